"""Opening a connection: CONNECT, CONNACK, and what a refusal means."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import cast

import anyio
from anyio.abc import ByteStream

from trio_mqtt.client.authentication import ClientExchange
from trio_mqtt.client.connection.authentication import answer_to, data_of
from trio_mqtt.client.connection.connection import READ_SIZE, Connection
from trio_mqtt.client.connection.first_packets import (
    ClosedUnansweredError,
    Settings,
    closed_unanswered,
    connect_packet,
    disconnect_for,
    no_mqtt,
    refused,
    too_late,
)
from trio_mqtt.client.packets import PacketWatch
from trio_mqtt.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionRefusedByBrokerError,
    DisconnectedByBrokerError,
    MqttError,
    TlsError,
)
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Auth, ConnAck, Connect, Disconnect, Packet
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE
from trio_mqtt.transport.connectors.by_url import UrlConnector

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


async def connect(
    settings: Settings, version: ProtocolVersion | None, watch: PacketWatch, *, clean_start: bool
) -> Connection:
    """A connection that the broker has accepted; `watch` is shown the packets up to CONNACK.

    Where no version is asked for, MQTT 5 is tried first, and 3.1.1 if the broker does not know it.
    Raises ConnectionFailedError, ConnectionRefusedByBrokerError, RemoteProtocolError,
    AuthenticationError, and LocalProtocolError for settings that MQTT does not allow.
    """
    if version is not None:
        return await _connect(settings, version, watch, clean_start=clean_start)
    try:
        return await _connect(settings, ProtocolVersion.V5, watch, clean_start=clean_start)
    except ConnectionRefusedByBrokerError as error:
        if error.reason_code != ReasonCode.UNSUPPORTED_PROTOCOL_VERSION:
            raise
    except ClosedUnansweredError:
        pass
    return await _connect(settings, ProtocolVersion.V311, watch, clean_start=clean_start)


async def _connect(
    settings: Settings, version: ProtocolVersion, watch: PacketWatch, *, clean_start: bool
) -> Connection:
    protocol = ClientConnection(
        version, settings.properties.get("maximum_packet_size", MAX_PACKET_SIZE)
    )
    exchange = settings.authentication.begin() if settings.authentication is not None else None
    request = connect_packet(settings, version, clean_start, exchange)
    connection: Connection | None = None
    with anyio.move_on_after(settings.connect_timeout):
        connection = await _exchange(settings, protocol, request, exchange, watch)
    if connection is None:
        raise too_late(settings.address.url, settings.connect_timeout)
    if connection.connack.reason_code.is_failure:
        await connection.discard()
        raise refused(settings, connection.connack)
    return connection


async def _exchange(
    settings: Settings,
    protocol: ClientConnection,
    request: Connect,
    exchange: ClientExchange | None,
    watch: PacketWatch,
) -> Connection:
    url = settings.address.url
    first = protocol.send(request)
    stream = await (settings.connector or UrlConnector())(settings.address)
    try:
        try:
            watch.show([request], sent=True)
            with suppress(anyio.BrokenResourceError):  # what the broker said before is read below
                await stream.send(first)
            packets = await _receive(protocol, stream)
            authentication = settings.authentication
            step = 0
            while packets and isinstance(asked := packets[0], Auth):
                watch.show([packets.pop(0)], sent=False)
                if packets or protocol.violation is not None:
                    continue  # CONNACK is here, or nothing more will come: no answer is due
                if exchange is None or authentication is None:
                    raise AssertionError("the protocol lets no AUTH pass without a method")
                step += 1
                answer = await answer_to(asked, authentication.method, exchange, step)
                watch.show([answer], sent=True)
                await stream.send(protocol.send(answer))
                packets = await _receive(protocol, stream)
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            if isinstance(error.__cause__, ConnectionFailedError):
                raise error.__cause__ from None  # TLS or WebSocket knows better
            raise closed_unanswered(url, protocol.version) from error
        violation = protocol.violation
        if not packets and violation is not None:
            if protocol.version == ProtocolVersion.V5:
                reason = disconnect_for(violation)
                watch.show([reason], sent=True)
                with suppress(anyio.BrokenResourceError):
                    await stream.send(protocol.send(reason))
            raise no_mqtt(url, protocol.version, violation) from violation
        connack = cast(ConnAck, packets[0])  # nothing else may come first
        watch.show([connack], sent=False)
        if exchange is not None and not connack.reason_code.is_failure:
            try:
                await exchange.finish(data_of(connack.properties))
            except AuthenticationError:
                # It would go on believing in this connection (§4.12.1).
                reason = Disconnect(ReasonCode.UNSPECIFIED_ERROR)
                watch.show([reason], sent=True)
                with suppress(anyio.BrokenResourceError):
                    await stream.send(protocol.send(reason))
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
