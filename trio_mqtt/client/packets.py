"""The packets that a client sends and receives, for who looks for a fault."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping

import anyio

from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Packet, Publish
from trio_mqtt.records import record

# Packets that wait for one reader; where it does not read, the oldest are forgotten.
BUFFER = 1_000
_SHOWN = 64  # bytes of a payload that a line shows


@record
class PacketEvent:
    """A packet that was sent (handed to the system) or received.

    `kind` is its name, such as "PUBLISH", and `fields` what it says, by the names of the standard;
    a password is left out.
    """

    sent: bool
    kind: str
    fields: Mapping[str, object]

    def __str__(self) -> str:
        said = ", ".join(f"{name}={_short(value)}" for name, value in self.fields.items())
        return f"{'->' if self.sent else '<-'} {self.kind}{f' ({said})' if said else ''}"


def _short(value: object) -> str:
    if isinstance(value, bytes) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}… ({len(value):,} bytes)"
    return repr(value)


class PacketEvents:
    """An async iterator of packets, from when it was made until the client is closed.

    It keeps up to 1,000 that were not taken yet; then the oldest is forgotten for each new, and
    counted in `missed`.
    """

    def __init__(self) -> None:
        self.missed = 0
        self._queue: deque[PacketEvent] = deque()
        self._changed = anyio.Event()
        self._closed = False

    def __aiter__(self) -> PacketEvents:
        return self

    async def __anext__(self) -> PacketEvent:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            changed = self._changed
            await changed.wait()
        return self._queue.popleft()

    async def take(self) -> list[PacketEvent]:
        """All packets that are here, at least one: it waits for that as iterating does.

        Raises StopAsyncIteration where iterating would end.
        """
        taken = [await self.__anext__(), *self._queue]
        self._queue.clear()
        return taken

    def push(self, events: Iterable[PacketEvent]) -> None:
        """Add packets (the client does)."""
        for event in events:
            if len(self._queue) >= BUFFER:
                self._queue.popleft()
                self.missed += 1
            self._queue.append(event)
        self._wake()

    def close(self) -> None:
        """End the iteration after what is queued."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class PacketWatch:
    """Shows the packets of a client's connections to everybody who follows them."""

    def __init__(self) -> None:
        self.streams: set[PacketEvents] = set()
        self._closed = False
        self._decoder: PacketDecoder | None = None  # of what is sent

    def follow(self, events: PacketEvents) -> None:
        """Somebody follows from now on."""
        self.streams.add(events)
        if self._closed:
            events.close()

    def begin(self, version: ProtocolVersion) -> None:
        """A connection begins to be followed: what it sends next begins with a packet."""
        self._decoder = PacketDecoder(PacketType.CONNECT, version)
        self._decoder.first = None

    def sent(self, data: bytes) -> None:
        """Bytes were handed to the system, on the connection that was begun last."""
        if self._decoder is not None:
            self.show(self._decoder.feed(data), sent=True)

    def show(self, packets: Iterable[Packet], *, sent: bool) -> None:
        """Packets went or came."""
        events = [_event(packet, sent) for packet in packets]
        for stream in self.streams:
            stream.push(events)

    def close(self) -> None:
        """The client is closed."""
        self._closed = True
        for stream in self.streams:
            stream.close()


def _event(packet: Packet, sent: bool) -> PacketEvent:
    if isinstance(packet, Publish):
        fields: dict[str, object] = {
            name: getattr(packet, name)
            for name in ("topic", "payload", "qos", "retain", "dup", "packet_id", "properties")
        }
        if not packet.qos:
            del fields["packet_id"]
    else:
        fields = {
            one.name: getattr(packet, one.name)
            for one in dataclasses.fields(packet)  # type: ignore[arg-type]  # all others are
            if one.name != "password"
        }
    return PacketEvent(sent, type(packet).__name__.upper(), fields)
