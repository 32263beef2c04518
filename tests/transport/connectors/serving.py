"""Servers for clients, over TCP, TLS, WebSocket and Unix sockets, with their certificates."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import trustme
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Request

from trio_mqtt import ReasonCode, TlsOptions
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Packet,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.server_connection import ServerConnection

AUTHORITY = trustme.CA()
Handle = Callable[[ByteStream], Awaitable[None]]


class Server:
    """An echo: what is published comes back to its publisher."""

    def __init__(self, port: int) -> None:
        self.url = f"mqtt://localhost:{port}"
        self.received: list[Packet] = []
        self.hosts: list[str] = []  # where its clients come from
        self.closed = anyio.Event()

    async def serve(self, stream: ByteStream) -> None:
        protocol = ServerConnection(
            maximum_packet_size=100_000_000, receive_maximum=65_535, topic_alias_maximum=0
        )
        async with stream:
            try:
                while True:
                    packets = protocol.receive(await stream.receive())
                    self.received += packets
                    answer = b"".join(self.answer(protocol, packet) for packet in packets)
                    if answer:
                        await stream.send(answer)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                self.closed.set()

    def answer(self, protocol: ServerConnection, packet: Packet) -> bytes:
        match packet:
            case Connect():
                return protocol.send(ConnAck())
            case Subscribe():
                return protocol.send(SubAck(packet.packet_id, [ReasonCode.SUCCESS]))
            case Unsubscribe():
                return protocol.send(UnsubAck(packet.packet_id, [ReasonCode.SUCCESS]))
            case Publish(qos=0):
                return packet.frame or b""
            case Publish():
                return protocol.send(PubAck(packet.packet_id))
        return b""


def server_context(
    *names: str, authority: trustme.CA = AUTHORITY, demanding: bool = False
) -> ssl.SSLContext:
    """A server's side of TLS, for these host names; `demanding` wants a client certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
    if demanding:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


class Within(ByteStream):
    """The server's end of a WebSocket, as a byte stream; `cut` says how large its frames are."""

    def __init__(self, stream: ByteStream, cut: int = 70_000) -> None:
        self.stream = stream
        self.websocket = WSConnection(ConnectionType.SERVER)
        self.cut = cut
        self.request: Request | None = None

    async def event(self) -> Event:
        while True:
            for event in self.websocket.events():
                return event
            self.websocket.receive_data(await self.stream.receive())

    async def say(self, event: Event) -> None:
        await self.stream.send(self.websocket.send(event))

    async def accept(self) -> None:
        event = await self.event()
        assert isinstance(event, Request)
        self.request = event
        await self.say(AcceptConnection(subprotocol=event.subprotocols[0]))

    async def receive(self, _max_bytes: int = 65_536) -> bytes:
        while True:
            match await self.event():
                case BytesMessage(data=data) if data:
                    return bytes(data)
                case CloseConnection() as goodbye:
                    await self.say(goodbye.response())
                    raise anyio.EndOfStream

    async def send(self, item: bytes) -> None:
        for start in range(0, len(item), self.cut):
            await self.say(BytesMessage(item[start : start + self.cut]))

    async def send_eof(self) -> None:
        await self.stream.send_eof()

    async def aclose(self) -> None:
        await self.stream.aclose()


def within_tls(handle: Handle, context: ssl.SSLContext) -> Handle:
    """Speak TLS first; where that fails the client is told why, as by brokers in C."""

    async def serve(stream: ByteStream) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        async with stream:
            try:
                while True:
                    try:
                        tls.do_handshake()
                    except ssl.SSLWantReadError:
                        await stream.send(outgoing.read())
                        incoming.write(await stream.receive())
                    else:
                        await stream.send(outgoing.read())
                        break
            except ssl.SSLError:
                await stream.send(outgoing.read())
                await stream.send_eof()
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    while True:
                        await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
            else:
                await handle(TLSStream(stream, False, tls, incoming, outgoing))

    return serve


def only(scheme: str, tls: TlsOptions) -> TlsOptions | None:
    """The options, where the scheme goes through TLS."""
    return tls if scheme in ("mqtts", "wss") else None


@asynccontextmanager
async def listening(
    handle: Handle,
    scheme: str = "mqtt",
    context: ssl.SSLContext | None = None,
    hosts: list[str] | None = None,
) -> AsyncIterator[str]:
    """A server at a free port, where each connection is handled; yields its URL.

    `hosts` gathers where clients come from.
    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 # not Django
    if context is not None:
        handle = within_tls(handle, context)

    async def noted(stream: ByteStream) -> None:
        if hosts is not None:
            hosts.append(stream.extra(SocketAttribute.remote_address)[0])  # noqa: S610
        await handle(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, noted)
        yield f"{scheme}://localhost:{port}"
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def running(
    scheme: str, folder: Path, context: ssl.SSLContext | None = None, cut: int = 70_000
) -> AsyncIterator[Server]:
    """The echo of an MQTT server, reached by that scheme."""
    server = Server(0)

    async def within(stream: ByteStream) -> None:
        websocket = Within(stream, cut)
        async with websocket:
            try:
                await websocket.accept()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return
            await server.serve(websocket)

    if scheme == "unix":
        path = folder / "mqtt.sock"
        listener = await anyio.create_unix_listener(path)
        server.url = f"unix://{path}"
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, server.serve)
            yield server
            tasks.cancel_scope.cancel()
        return
    if scheme in ("mqtts", "wss") and context is None:
        context = server_context()
    handle: Handle = within if scheme in ("ws", "wss") else server.serve
    async with listening(handle, scheme, context, server.hosts) as url:
        server.url = url
        yield server
