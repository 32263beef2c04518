"""A server in memory that answers each packet at once, or does as a test tells it.

It has no tasks: what the client sends is decoded and answered within the client's own send, so that
a test always knows what has happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import anyio
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from trio_mqtt import Client, ConnectionFailedError, ReasonCode, open_client
from trio_mqtt.protocol.encoding import publish_parts
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.transport.urls import Address

P = TypeVar("P", bound=Packet)
Answer = Callable[["Peer", Any], None]


class MemoryStream(ByteStream):
    """The client's end of a connection to a `Peer`."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.closed = False

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        await checkpoint()
        peer = self._peer
        while True:
            if self.closed:
                raise anyio.ClosedResourceError
            if peer.to_client:
                data = bytes(peer.to_client[:max_bytes])
                del peer.to_client[:max_bytes]
                return data
            if peer.broken:
                raise anyio.BrokenResourceError from ConnectionResetError("connection reset")
            if peer.ended:
                raise anyio.EndOfStream
            await peer.changed.wait()

    async def send(self, item: bytes) -> None:
        await checkpoint()
        while not self.put(item):
            await self._peer.changed.wait()

    def put(self, item: bytes) -> int:
        if self.closed:
            raise anyio.ClosedResourceError
        if self._peer.broken:
            raise anyio.BrokenResourceError from BrokenPipeError("broken pipe")
        if self._peer.deaf:
            return 0
        self._peer.feed(item)
        return len(item)

    def send_now(self, item: bytes) -> int:
        return self.put(item)

    async def send_eof(self) -> None:
        await checkpoint()
        self._peer.on_eof()

    async def aclose(self) -> None:
        self.closed = True
        self._peer.wake()
        await checkpoint()


class SlowStream(MemoryStream):
    """A stream that cannot send at once, such as one of TLS."""

    send_now = None  # type: ignore[assignment]  # as if it were not there


class Peer:
    """The server's end of one connection."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.protocol = ServerConnection(
            maximum_packet_size=10_000_000, receive_maximum=65_535, topic_alias_maximum=0
        )
        self.stream = MemoryStream(self) if broker.sends_at_once else SlowStream(self)
        self.received: list[Packet] = []
        self.writes = 0  # how often the client's bytes arrived
        self.to_client = bytearray()
        self.broken = False
        self.ended = False
        self.deaf = False  # does not take what the client sends
        self.mute: set[type[Packet]] = set()  # packets not to answer
        self.changed = anyio.Event()
        self._seen = 0
        self._largest_id = 0

    # From the client.

    def feed(self, data: bytes) -> None:
        self.writes += 1
        for packet in self.protocol.receive(data):
            self.received.append(packet)
            if type(packet) not in self.mute:
                self.broker.answers[type(packet)](self, packet)
        violation = self.protocol.violation
        assert violation is None, f"the client broke the rules: {violation}"
        self.wake()

    def on_eof(self) -> None:
        if not self.broker.ignores_eof:
            self.end()

    async def expect(self, kind: type[P]) -> P:
        """The next packet that the client sends, among those of this kind."""
        with anyio.fail_after(1_000):
            while True:
                while self._seen < len(self.received):
                    packet = self.received[self._seen]
                    self._seen += 1
                    if isinstance(packet, kind):
                        return packet
                await self.changed.wait()

    def all(self, kind: type[P]) -> list[P]:
        """All packets of this kind that the client has sent."""
        return [packet for packet in self.received if isinstance(packet, kind)]

    # To the client.

    def send(self, *packets: Packet) -> None:
        """Send packets in one piece."""
        for packet in packets:
            self.to_client += self.protocol.send(packet)
        self.wake()

    def send_raw(self, data: bytes) -> None:
        self.to_client += data
        self.wake()

    def publish(
        self,
        topic: str,
        *payloads: bytes,
        qos: int = 0,
        retain: bool = False,
        dup: bool = False,
        packet_id: int = 0,
        properties: Properties = NO_PROPERTIES,
    ) -> None:
        """Send messages in one piece, with identifiers that count up unless one is given."""
        for payload in payloads:
            before, after = publish_parts(
                topic, payload, qos, retain, properties, self.protocol.version
            )
            if dup:
                before = bytes((before[0] | 8,)) + before[1:]
            if qos:
                self._largest_id = packet_id or self._largest_id + 1
                before += self._largest_id.to_bytes(2, "big")
            self.to_client += before + after
        self.wake()

    def end(self) -> None:
        """Close the server's end."""
        self.ended = True
        self.wake()

    def reset(self) -> None:
        """Have the connection break."""
        self.broken = True
        self.wake()

    def hear(self) -> None:
        """Take what the client sends again."""
        self.deaf = False
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class FakeBroker:
    """Makes a `Peer` for each connection of the client, through the client's `connector`."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.attempts = 0
        self.down = False  # refuses connections
        self.sends_at_once = True
        self.ignores_eof = False
        self.connack: ConnAck | bytes | None = ConnAck()
        self.next_connacks: deque[ConnAck | bytes | None] = deque()  # before `connack`
        self.prepare: Callable[[Peer], None] = lambda _peer: None
        self.answers: dict[type[Packet], Answer] = {
            Connect: self._on_connect,
            Publish: _on_publish,
            PubAck: _no_answer,
            PubRec: lambda peer, packet: peer.send(PubRel(packet.packet_id)),
            PubRel: lambda peer, packet: peer.send(PubComp(packet.packet_id)),
            PubComp: _no_answer,
            Subscribe: _on_subscribe,
            Unsubscribe: _on_unsubscribe,
            PingReq: lambda peer, _packet: peer.send(PingResp()),
            Disconnect: _no_answer,
        }
        self._arrived = anyio.Event()

    @property
    def peer(self) -> Peer:
        """The connection made last."""
        return self.peers[-1]

    def client(self, **options: Any) -> AbstractAsyncContextManager[Client]:
        """A client of this broker."""
        return open_client("mqtt://fake:1883", connector=self.connect, **options)

    async def connect(self, address: Address) -> ByteStream:
        await checkpoint()
        self.attempts += 1
        if self.down:
            raise ConnectionFailedError(f"Nothing answers at {address.url}.")
        peer = Peer(self)
        self.peers.append(peer)
        self.prepare(peer)
        self._arrived.set()
        self._arrived = anyio.Event()
        return peer.stream

    async def connection(self, number: int) -> Peer:
        """The connection of that number, counted from 1, once it has been accepted."""
        with anyio.fail_after(1_000):
            while len(self.peers) < number:
                await self._arrived.wait()
            await self.peers[number - 1].expect(Connect)
        return self.peers[number - 1]

    def _on_connect(self, peer: Peer, _packet: Connect) -> None:
        answer = self.next_connacks.popleft() if self.next_connacks else self.connack
        if answer is None:
            peer.end()
        elif isinstance(answer, bytes):
            peer.send_raw(answer)
        else:
            peer.send(answer)


def _no_answer(_peer: Peer, _packet: Packet) -> None:
    pass


def _on_publish(peer: Peer, packet: Publish) -> None:
    if packet.qos == 1:
        peer.send(PubAck(packet.packet_id))
    elif packet.qos == 2:
        peer.send(PubRec(packet.packet_id))


def _on_subscribe(peer: Peer, packet: Subscribe) -> None:
    codes = [ReasonCode(one.qos) for one in packet.subscriptions]
    peer.send(SubAck(packet.packet_id, codes))


def _on_unsubscribe(peer: Peer, packet: Unsubscribe) -> None:
    codes = [ReasonCode.SUCCESS for _ in packet.topic_filters]
    peer.send(UnsubAck(packet.packet_id, codes))


def mute(*kinds: type) -> Callable[[Peer], None]:
    """A preparation of peers that do not answer such packets."""

    def prepare(peer: Peer) -> None:
        peer.mute = set(kinds)

    return prepare


async def stay(broker: FakeBroker, then: Callable[[Peer], None], **options: Any) -> None:
    """Be a connected client to which `then` happens, until that ends it."""
    async with broker.client(**options):
        then(broker.peer)
        await anyio.sleep_forever()
