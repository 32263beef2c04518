"""Enhanced authentication (MQTT 5.0 §4.12): what a program implements, and what packets carry."""

from __future__ import annotations

from typing import Protocol

from trio_mqtt.errors import AuthenticationError, LocalProtocolError
from trio_mqtt.protocol.packets import Auth
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

# Challenges that a broker may send in one authentication: none of the usual methods needs many.
MAX_STEPS = 16


class ClientExchange(Protocol):
    """One authentication, from its first data to the broker's last.

    Each method may raise AuthenticationError where the broker is not to be trusted. The connection
    is closed then, and not made again.
    """

    @property
    def data(self) -> bytes:
        """What is sent first, with CONNECT or the AUTH that begins again; empty for nothing."""

    async def respond(self, challenge: bytes) -> bytes:
        """The answer to what the broker sent with AUTH."""

    async def finish(self, data: bytes) -> None:
        """Check what the broker sent when it let the client in; empty where it sent nothing.

        A broker may let a client in without any challenge: that is for this method to refuse.
        """


class ClientAuthentication(Protocol):
    """An authentication method, and what it needs to know of the user.

    It is used on each connection that the client makes, and again by `Client.reauthenticate`.
    """

    @property
    def method(self) -> str:
        """The name of the method, such as SCRAM-SHA-256."""

    def begin(self) -> ClientExchange:
        """A new authentication."""


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


def check(
    authentication: ClientAuthentication | None, version: int | None, properties: Properties
) -> None:
    """Raise LocalProtocolError where CONNECT cannot carry this."""
    if "authentication_method" in properties or "authentication_data" in properties:
        raise LocalProtocolError(
            "The authentication method is not among the properties: give `authentication`."
        )
    if authentication is not None and version not in (None, 5):
        raise LocalProtocolError("Only MQTT 5 has authentication methods.")
