"""Bytes of a connection cut into packets, and what is seen of one on its way."""

from __future__ import annotations

from typing import Literal, TypeAlias

from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.packet_types import PacketType

Direction: TypeAlias = Literal["to broker", "to client"]

_LONGEST_HEADER = 5  # bytes: a first one, and the length


class FrameCutter:
    """Cuts what comes in one direction into whole packets; what is no MQTT stays as it comes."""

    def __init__(self, *, is_mqtt: bool) -> None:
        self._rest = bytearray()
        self.is_mqtt = is_mqtt

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole now."""
        if not self.is_mqtt:
            return [data]
        self._rest += data
        frames: list[bytes] = []
        at = 0
        while True:
            size = _frame_size(self._rest, at)
            if size is None:
                self.is_mqtt = False
                frames.append(bytes(self._rest[at:]))
                at = len(self._rest)
                break
            if not size or at + size > len(self._rest):
                break
            frames.append(bytes(self._rest[at : at + size]))
            at += size
        del self._rest[:at]
        return frames

    def rest(self) -> bytes:
        """What has come of a packet that will not be whole."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


def _frame_size(data: bytearray, at: int) -> int | None:
    """The bytes of the packet that begins there; 0 where that is not known yet, None: it is none"""
    if len(data) - at < 2:
        return 0 if len(data) == at or data[at] >> 4 else None
    if not data[at] >> 4:
        return None
    length = shift = 0
    for index in range(at + 1, min(len(data), at + _LONGEST_HEADER)):
        length |= (data[index] & 0x7F) << shift
        shift += 7
        if data[index] < 0x80:
            return index + 1 - at + length
    return 0 if len(data) - at < _LONGEST_HEADER else None


class NetworkPacket:
    """A packet on its way, as `Network.on_packet` shows it: the function says what becomes of it.

    It goes on as it is if the function does nothing. `direction` is "to broker" or "to client".
    """

    __slots__ = ("client_id", "copies", "cuts", "delayed", "direction", "frame")

    def __init__(self, frame: bytes, direction: Direction, client_id: str) -> None:
        self.frame: bytes = frame
        """Its bytes."""
        self.direction: Direction = direction
        """Where it goes."""
        self.client_id: str = client_id
        """The identifier of the client whose connection it is, as CONNECT gave it."""
        self.copies: int = 1
        """How often it arrives."""
        self.delayed: float = 0.0
        """Seconds by which it is later than the network's delay."""
        self.cuts: bool = False
        """Whether the connection ends here."""

    def __repr__(self) -> str:
        about = f" {self.topic!r} QoS {self.qos}" if self.kind == "PUBLISH" else ""
        number = f" number {self.packet_id}" if self.packet_id else ""
        return f"<{self.kind}{about}{number} {self.direction}, client {self.client_id!r}>"

    @property
    def kind(self) -> str:
        """The name of its type, such as "PUBLISH"."""
        number = self.frame[0] >> 4
        return PacketType(number).name if number else "unknown"

    @property
    def qos(self) -> int:
        """The QoS of a PUBLISH; 0 of all others."""
        return self.frame[0] >> 1 & 3 if self.kind == "PUBLISH" else 0

    @property
    def retain(self) -> bool:
        """Whether it is a PUBLISH with RETAIN."""
        return self.kind == "PUBLISH" and bool(self.frame[0] & 1)

    @property
    def dup(self) -> bool:
        """Whether it is a PUBLISH with DUP."""
        return self.kind == "PUBLISH" and bool(self.frame[0] & 8)

    @property
    def topic(self) -> str:
        """The topic of a PUBLISH; empty of all others, and where there is a topic alias instead."""
        if self.kind != "PUBLISH":
            return ""
        at = self._body
        size = int.from_bytes(self.frame[at : at + 2], "big")
        return self.frame[at + 2 : at + 2 + size].decode(errors="replace")

    @property
    def packet_id(self) -> int:
        """The packet identifier; 0 where there is none."""
        at = self._body
        if self.kind == "PUBLISH":
            if not self.qos:
                return 0
            at += 2 + int.from_bytes(self.frame[at : at + 2], "big")
        elif self.kind not in _WITH_IDENTIFIER:
            return 0
        return int.from_bytes(self.frame[at : at + 2], "big")

    @property
    def _body(self) -> int:
        """Where its header ends."""
        at = 1
        while self.frame[at] >= 0x80:
            at += 1
        return at + 1

    def drop(self) -> None:
        """It does not arrive; the connection goes on, as no real one would."""
        self.copies = 0

    def duplicate(self) -> None:
        """It arrives twice; a PUBLISH above QoS 0 with DUP the second time."""
        self.copies = 2

    def delay(self, seconds: float) -> None:
        """It arrives later, and so does all that comes after it."""
        self.delayed += seconds

    def cut(self) -> None:
        """It does not arrive, and the connection ends here."""
        self.copies = 0
        self.cuts = True


_WITH_IDENTIFIER = frozenset(
    {"PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK"}
)
_FIXED = frozenset({"CONNECT", "CONNACK", "DISCONNECT", "AUTH", "unknown"})
_REQUESTS = frozenset({"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK"})


def frames_of(packet: NetworkPacket) -> list[bytes]:
    """What goes on of a packet."""
    if packet.copies < 2:
        return [packet.frame] * packet.copies
    again = packet.frame
    if packet.qos:
        again = bytes((again[0] | 8,)) + again[1:]
    return [packet.frame] + [again] * (packet.copies - 1)


def may_overtake(packet: NetworkPacket, other: NetworkPacket) -> bool:
    """Whether it may arrive before one that was sent before it (MQTT 5.0 §4.6).

    Messages of one topic and QoS keep their order, and so do acknowledgements of a kind; what
    begins and ends a connection stays where it is.
    """
    kinds = {packet.kind, other.kind}
    if kinds & _FIXED:
        return False
    if kinds == {"PUBLISH"}:
        return bool(packet.topic and other.topic) and (
            (packet.topic, packet.qos) != (other.topic, other.qos)
        )
    return len(kinds) == 2 and not kinds & _REQUESTS


def client_id_of(frame: bytes) -> str:
    """The client identifier that a CONNECT gives."""
    from trio_mqtt.protocol.decoding import PacketDecoder
    from trio_mqtt.protocol.packets import Connect

    try:
        packets = PacketDecoder(PacketType.CONNECT).feed(frame)
    except MqttError:
        return ""
    first = packets[0] if packets else None
    return first.client_id if isinstance(first, Connect) else ""
