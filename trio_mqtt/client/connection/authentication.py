"""Enhanced authentication (MQTT 5.0 §4.12): what CONNECT, AUTH and CONNACK carry of a method."""

from __future__ import annotations

from trio_mqtt.client.authentication import ClientAuthentication, ClientExchange
from trio_mqtt.errors import AuthenticationError, LocalProtocolError
from trio_mqtt.protocol.packets import Auth
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

# Challenges that a broker may send in one authentication: none of the usual methods needs many.
MAX_STEPS = 16


def properties_of(method: str, data: bytes) -> Properties:
    """The properties by which CONNECT and AUTH carry data of the method."""
    properties: Properties = {"authentication_method": method}
    if data:
        properties["authentication_data"] = data
    return properties


def data_of(properties: Properties) -> bytes:
    """The data of the method that a packet carries."""
    return properties.get("authentication_data", b"")


async def answer_to(packet: Auth, method: str, exchange: ClientExchange, step: int) -> Auth:
    """The AUTH that answers the broker's; `step` counts them from 1."""
    if step > MAX_STEPS:
        raise AuthenticationError(f"The broker asked more than {MAX_STEPS} times who this is.")
    data = await exchange.respond(data_of(packet.properties))
    return Auth(ReasonCode.CONTINUE_AUTHENTICATION, properties_of(method, data))


def check_authentication(
    authentication: ClientAuthentication | None, version: int | None, properties: Properties
) -> None:
    """Raise LocalProtocolError where CONNECT cannot carry this."""
    if "authentication_method" in properties or "authentication_data" in properties:
        raise LocalProtocolError(
            "The authentication method is not among the properties: give `authentication`."
        )
    if authentication is not None and version not in (None, 5):
        raise LocalProtocolError("Only MQTT 5 has authentication methods.")
