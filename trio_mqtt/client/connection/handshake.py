"""Opening a connection: CONNECT, CONNACK, and what a refusal means."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import anyio
from anyio.abc import ByteStream

from trio_mqtt.client.authentication import ClientAuthentication, ClientExchange
from trio_mqtt.client.connection.authentication import answer_to, data_of, properties_of
from trio_mqtt.client.connection.connection import READ_SIZE, Connection
from trio_mqtt.client.explanations import explained
from trio_mqtt.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionRefusedByBrokerError,
    DisconnectedByBrokerError,
    MqttError,
    RemoteProtocolError,
    TlsError,
)
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Auth, ConnAck, Connect, Disconnect, Packet, Will
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE
from trio_mqtt.transport.connectors.by_url import Connector, UrlConnector
from trio_mqtt.transport.urls import Address

# QoS 1 and 2 messages that a broker may have unacknowledged here, unless the program says more.
RECEIVE_MAXIMUM = 1_000

# Refusals of CONNECT that the same CONNECT will meet again.
_LASTING_REFUSALS = frozenset({
    ReasonCode.MALFORMED_PACKET, ReasonCode.PROTOCOL_ERROR,
    ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    ReasonCode.BAD_USER_NAME_OR_PASSWORD, ReasonCode.NOT_AUTHORIZED, ReasonCode.BANNED,
    ReasonCode.BAD_AUTHENTICATION_METHOD, ReasonCode.TOPIC_NAME_INVALID,
    ReasonCode.PACKET_TOO_LARGE, ReasonCode.PAYLOAD_FORMAT_INVALID,
    ReasonCode.RETAIN_NOT_SUPPORTED, ReasonCode.QOS_NOT_SUPPORTED, ReasonCode.USE_ANOTHER_SERVER,
    ReasonCode.SERVER_MOVED,
})  # fmt: skip
# DISCONNECT reasons after which coming back would be wrong: another client has taken over, or the
# broker does not want this one.
_LASTING_DISCONNECTS = frozenset({
    ReasonCode.SESSION_TAKEN_OVER, ReasonCode.NOT_AUTHORIZED, ReasonCode.USE_ANOTHER_SERVER,
    ReasonCode.SERVER_MOVED,
})  # fmt: skip

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
    connector: Connector = field(default_factory=UrlConnector)
    authentication: ClientAuthentication | None = None


def is_lasting(error: MqttError) -> bool:
    """Whether trying again cannot help."""
    if isinstance(error, ConnectionRefusedByBrokerError):
        return error.reason_code in _LASTING_REFUSALS
    if isinstance(error, AuthenticationError):
        return True
    if isinstance(error, DisconnectedByBrokerError):
        return error.reason_code in _LASTING_DISCONNECTS
    return False


def is_distrusted(error: MqttError) -> bool:
    """Whether the broker's certificate is not one to trust."""
    return isinstance(error, TlsError) and isinstance(error.__cause__, ssl.SSLCertVerificationError)


# What else a broker may want that closes a connection without TLS.
_WANTS_TLS = {"mqtt": " wants TLS there (mqtts://),", "ws": " wants TLS there (wss://),"}


class _ClosedUnansweredError(ConnectionFailedError):
    """The broker closed the connection on CONNECT, as some of MQTT 3 do on version 5."""


async def connect(
    settings: Settings, version: ProtocolVersion | None, *, clean_start: bool
) -> Connection:
    """A connection that the broker has accepted.

    Where no version is asked for, MQTT 5 is tried first, and 3.1.1 if the broker does not know it.
    Raises ConnectionFailedError, ConnectionRefusedByBrokerError, RemoteProtocolError,
    AuthenticationError, and LocalProtocolError for settings that MQTT does not allow.
    """
    if version is not None:
        return await _connect(settings, version, clean_start=clean_start)
    try:
        return await _connect(settings, ProtocolVersion.V5, clean_start=clean_start)
    except ConnectionRefusedByBrokerError as error:
        if error.reason_code != ReasonCode.UNSUPPORTED_PROTOCOL_VERSION:
            raise
    except _ClosedUnansweredError:
        pass
    return await _connect(settings, ProtocolVersion.V311, clean_start=clean_start)


async def _connect(
    settings: Settings, version: ProtocolVersion, *, clean_start: bool
) -> Connection:
    url = settings.address.url
    protocol = ClientConnection(
        version, settings.properties.get("maximum_packet_size", MAX_PACKET_SIZE)
    )
    exchange = settings.authentication.begin() if settings.authentication is not None else None
    request = protocol.send(_connect_packet(settings, version, clean_start, exchange))
    connection: Connection | None = None
    with anyio.move_on_after(settings.connect_timeout):
        connection = await _exchange(settings, protocol, request, exchange)
    if connection is None:
        raise ConnectionFailedError(
            f"{url} did not answer within {settings.connect_timeout:g} s. "
            "Check the address, the network, and that an MQTT broker is there."
        )
    code = connection.connack.reason_code
    if code.is_failure:
        await connection.discard()
        raise ConnectionRefusedByBrokerError(
            f"The broker at {url} refused the connection:"
            f" {explained(code, connection.connack.properties)}.{_advice(code, settings)}",
            code,
            connection.connack.properties.get("server_reference", ""),
        )
    return connection


def _advice(code: ReasonCode, settings: Settings) -> str:
    """What to do about a refusal, as the sentences after it."""
    is_for_who_it_is = code in (ReasonCode.BAD_USER_NAME_OR_PASSWORD, ReasonCode.NOT_AUTHORIZED)
    if is_for_who_it_is and settings.password is None and settings.authentication is None:
        if settings.username is None:
            return " No user name and no password were given."
        return " No password was given."
    return _ADVICE.get(code, "")


def _connect_packet(
    settings: Settings,
    version: ProtocolVersion,
    clean_start: bool,
    exchange: ClientExchange | None,
) -> Connect:
    properties = NO_PROPERTIES
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


async def _exchange(
    settings: Settings,
    protocol: ClientConnection,
    request: bytes,
    exchange: ClientExchange | None,
) -> Connection:
    url = settings.address.url
    stream = await settings.connector(settings.address)
    try:
        try:
            with suppress(anyio.BrokenResourceError):  # what the broker said before is read below
                await stream.send(request)
            packets = await _receive(protocol, stream)
            authentication = settings.authentication
            step = 0
            while packets and isinstance(asked := packets[0], Auth):
                del packets[0]
                if packets or protocol.violation is not None:
                    continue  # CONNACK is here, or nothing more will come: no answer is due
                if exchange is None or authentication is None:
                    raise AssertionError("the protocol lets no AUTH pass without a method")
                step += 1
                answer = await answer_to(asked, authentication.method, exchange, step)
                await stream.send(protocol.send(answer))
                packets = await _receive(protocol, stream)
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            if isinstance(error.__cause__, ConnectionFailedError):
                raise error.__cause__ from None  # TLS or WebSocket knows better
            raise _ClosedUnansweredError(
                f"The broker at {url} closed the connection without answering CONNECT"
                f" (MQTT {protocol.version.text}). It has no room for more connections,"
                f"{_WANTS_TLS.get(url.partition(':')[0], '')} or is no MQTT broker of that version."
            ) from error
        violation = protocol.violation
        if not packets and violation is not None:
            if protocol.version == ProtocolVersion.V5:
                code = violation.reason_code
                if code not in ALLOWED[PacketType.DISCONNECT]:
                    code = ReasonCode.PROTOCOL_ERROR
                with suppress(anyio.BrokenResourceError):
                    await stream.send(protocol.send(Disconnect(code)))
            raise RemoteProtocolError(
                f"What answers at {url} does not speak MQTT {protocol.version.text}: {violation}.",
                violation.reason_code,
            ) from violation
        connack = cast(ConnAck, packets[0])  # nothing else may come first
        if exchange is not None and not connack.reason_code.is_failure:
            try:
                await exchange.finish(data_of(connack.properties))
            except AuthenticationError:
                # It would go on believing in this connection (§4.12.1).
                with suppress(anyio.BrokenResourceError):
                    await stream.send(protocol.send(Disconnect(ReasonCode.UNSPECIFIED_ERROR)))
                raise
        return Connection(url, stream, protocol, connack, packets[1:], settings.keep_alive)
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


async def _receive(protocol: ClientConnection, stream: ByteStream) -> list[Packet]:
    """The next packets; none where the broker broke the rules."""
    packets: list[Packet] = []
    while not packets and protocol.violation is None:
        packets = protocol.receive(await stream.receive(READ_SIZE))
    return packets
