"""CONNECT, and what becomes of it and of a connection, in sentences: without a socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trio_mqtt.client.authentication import ClientAuthentication, ClientExchange
from trio_mqtt.client.connection.authentication import properties_of
from trio_mqtt.client.explanations import explained
from trio_mqtt.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    DisconnectedByBrokerError,
    RemoteProtocolError,
)
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect, Will
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode
from trio_mqtt.transport.urls import Address

if TYPE_CHECKING:
    from trio_mqtt.transport.connectors.by_url import Connector

# QoS 1 and 2 messages that a broker may have unacknowledged here, unless the program says more.
RECEIVE_MAXIMUM = 1_000

_ADVICE = {
    ReasonCode.BAD_USER_NAME_OR_PASSWORD: " Check the user name and the password.",
    ReasonCode.NOT_AUTHORIZED: " Check the user name, the password and what they allow.",
    ReasonCode.CLIENT_IDENTIFIER_NOT_VALID: " Choose another client identifier.",
    ReasonCode.UNSUPPORTED_PROTOCOL_VERSION: " Ask for another protocol version.",
    ReasonCode.USE_ANOTHER_SERVER: " Connect to that one, or allow to follow redirection.",
    ReasonCode.SERVER_MOVED: " Connect to that one, or allow to follow redirection.",
}


@dataclass(slots=True)
class Settings:
    """What every connection of a client is opened with."""

    address: Address
    client_id: str
    username: str | None
    password: bytes | None
    clean_start: bool
    session_expiry_interval: int
    keep_alive: int
    will: Will | None
    connect_timeout: float
    properties: Properties = field(default_factory=lambda: NO_PROPERTIES)
    connector: Connector | None = None  # None opens what the URL says
    authentication: ClientAuthentication | None = None


# What else a broker may want that closes a connection without TLS.
_WANTS_TLS = {"mqtt": " wants TLS there (mqtts://),", "ws": " wants TLS there (wss://),"}


class ClosedUnansweredError(ConnectionFailedError):
    """The broker closed the connection on CONNECT, as some of MQTT 3 do on version 5."""


def closed_unanswered(url: str, version: ProtocolVersion) -> ClosedUnansweredError:
    """The connection ended before CONNACK."""
    return ClosedUnansweredError(
        f"The broker at {url} closed the connection without answering CONNECT"
        f" (MQTT {version.text}). It has no room for more connections,"
        f"{_WANTS_TLS.get(url.partition(':')[0], '')} or is no MQTT broker of that version."
    )


def too_late(url: str, timeout: float) -> ConnectionFailedError:
    """There was no CONNACK in time."""
    return ConnectionFailedError(
        f"{url} did not answer within {timeout:g} s. "
        "Check the address, the network, and that an MQTT broker is there."
    )


def no_mqtt(url: str, version: ProtocolVersion, why: RemoteProtocolError) -> RemoteProtocolError:
    """What came in place of CONNACK is none."""
    return RemoteProtocolError(
        f"What answers at {url} does not speak MQTT {version.text}: {why}.", why.reason_code
    )


def refused(settings: Settings, connack: ConnAck) -> ConnectionRefusedByBrokerError:
    """CONNACK says no."""
    code = connack.reason_code
    return ConnectionRefusedByBrokerError(
        f"The broker at {settings.address.url} refused the connection:"
        f" {explained(code, connack.properties)}.{_advice(code, settings)}",
        code,
        connack.properties.get("server_reference", ""),
    )


def told_to_leave(url: str, packet: Disconnect) -> DisconnectedByBrokerError:
    """The broker sent DISCONNECT."""
    code = packet.reason_code
    return DisconnectedByBrokerError(
        f"The broker at {url} ended the connection: {explained(code, packet.properties)}.",
        code,
        packet.properties.get("server_reference", ""),
    )


def closed(url: str) -> ConnectionLostError:
    """The connection ended, and the broker said nothing."""
    return ConnectionLostError(f"The broker at {url} closed the connection.")


def closed_anew(url: str) -> ConnectionLostError:
    """The program wanted another connection."""
    return ConnectionLostError(f"The program closed the connection to {url}, to have it made anew.")


def broken(url: str, cause: BaseException | None) -> ConnectionLostError:
    """The connection is of no use any more."""
    reason = (cause.strerror if isinstance(cause, OSError) else None) or "it is broken"
    return ConnectionLostError(f"The connection to {url} was lost ({reason.lower()}).")


def against_the_rules(url: str, why: RemoteProtocolError) -> RemoteProtocolError:
    """The broker sent what MQTT does not allow."""
    return RemoteProtocolError(
        f"The broker at {url} broke the rules of MQTT: {why}.", why.reason_code
    )


def disconnect_for(violation: RemoteProtocolError) -> Disconnect:
    """What tells the broker what it did (§4.13); MQTT 3 has no word for it."""
    code = violation.reason_code
    return Disconnect(code if code in ALLOWED[PacketType.DISCONNECT] else ReasonCode.PROTOCOL_ERROR)


def _advice(code: ReasonCode, settings: Settings) -> str:
    """What to do about a refusal, as the sentences after it."""
    is_for_who_it_is = code in (ReasonCode.BAD_USER_NAME_OR_PASSWORD, ReasonCode.NOT_AUTHORIZED)
    if is_for_who_it_is and settings.password is None and settings.authentication is None:
        if settings.username is None:
            return " No user name and no password were given."
        return " No password was given."
    return _ADVICE.get(code, "")


def connect_packet(
    settings: Settings,
    version: ProtocolVersion,
    clean_start: bool,
    exchange: ClientExchange | None,
) -> Connect:
    """The CONNECT of a client."""
    properties: Properties = NO_PROPERTIES
    if version == ProtocolVersion.V5:
        properties = {
            "receive_maximum": RECEIVE_MAXIMUM,
            "request_response_information": 1,  # for `Client.request`
            **settings.properties,
        }
        if settings.session_expiry_interval:
            properties["session_expiry_interval"] = settings.session_expiry_interval
        if settings.authentication is not None and exchange is not None:
            properties.update(properties_of(settings.authentication.method, exchange.data))
    return Connect(
        settings.client_id,
        clean_start,
        settings.keep_alive,
        version,
        settings.will,
        settings.username,
        settings.password,
        properties,
    )
