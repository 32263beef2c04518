"""The packets that a client sends and receives, for who looks for a fault."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum

from trio_mqtt.client.latest import Latest
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Packet, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.records import record

logger = logging.getLogger("trio_mqtt.client")

# Packets that wait for one reader; where it does not read, the oldest are forgotten.
BUFFER = 1_000
_SHOWN = 64  # bytes of a payload that a line shows
_TOLD = 1_000  # characters of anything else, such as a topic or properties


@record
class PacketEvent:
    """A packet that was sent (handed to the system) or received.

    `kind` is its name, such as "PUBLISH", and `fields` what it says, by the names of the standard;
    a password is left out, and so is the data of authentication.
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
    if isinstance(value, ReasonCode):
        return f"{value.value} {value.name}"
    if isinstance(value, IntEnum):
        return f"{value.value}"
    if isinstance(value, list) and all(isinstance(one, ReasonCode) for one in value):
        text = f"[{', '.join(map(_short, value[:_TOLD]))}]"
    else:
        text = repr(value)
    # Whoever sent it chooses how long that is.
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}… ({len(text):,} characters)"


class PacketEvents(Latest[PacketEvent]):
    """An async iterator of packets, from when it was made until the client is closed.

    It keeps up to 1,000 that were not taken yet; then the oldest is forgotten for each new, and
    counted in `missed`.
    """

    def __init__(self) -> None:
        super().__init__(BUFFER)


class PacketWatch:
    """Shows the packets of a client's connections to everybody who follows them."""

    def __init__(self, on_packet: Callable[[PacketEvent], None] | None = None) -> None:
        self.streams: set[PacketEvents] = set()
        self._on_packet = on_packet
        self._closed = False
        self._decoder: PacketDecoder | None = None  # of what is sent

    @property
    def is_followed(self) -> bool:
        """Whether anybody wants to see packets."""
        return bool(self.streams) or self._on_packet is not None

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
        if not self.is_followed:
            return
        events = [_event(packet, sent) for packet in packets]
        for stream in self.streams:
            stream.push(*events)
        try:
            for event in events:
                if self._on_packet is not None:
                    self._on_packet(event)
        except Exception:
            # Whoever looks for a fault is not to make another.
            self._on_packet = None
            logger.exception("on_packet has raised, and is not called any more.")

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
    properties = fields.get("properties")
    if isinstance(properties, dict) and "authentication_data" in properties:
        fields["properties"] = {
            name: value for name, value in properties.items() if name != "authentication_data"
        }
    return PacketEvent(sent, type(packet).__name__.upper(), fields)
