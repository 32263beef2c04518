"""PUBLISH (MQTT 5.0 §3.3): one message, and runs of many that travel on as they came."""

from __future__ import annotations

from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.wire import encode_variable_byte_integer


class Publish:
    """An application message (§3.3). `packet_id` is 0 at QoS 0.

    A PUBLISH that was received keeps its `frame`, which may travel on unchanged: `packet_id_at` is
    where its packet identifier starts in it (at QoS 0: where it would), `payload_at` where its
    payload starts. The payload is cut out of the frame only when somebody asks for it: most
    messages that a broker forwards are never looked into.
    """

    __slots__ = (
        "_payload",
        "dup",
        "frame",
        "packet_id",
        "packet_id_at",
        "payload_at",
        "properties",
        "qos",
        "retain",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes | None = b"",
        qos: int = 0,
        retain: bool = False,
        dup: bool = False,
        packet_id: int = 0,
        properties: Properties = NO_PROPERTIES,
        frame: bytes | None = None,
        packet_id_at: int = 0,
        payload_at: int = 0,
    ) -> None:
        self.topic = topic
        self._payload = payload
        self.qos = qos
        self.retain = retain
        self.dup = dup
        self.packet_id = packet_id
        self.properties = properties
        self.frame = frame
        self.packet_id_at = packet_id_at
        self.payload_at = payload_at

    @property
    def payload(self) -> bytes:
        payload = self._payload
        if payload is None:
            payload = self.frame[self.payload_at :] if self.frame is not None else b""
            self._payload = payload
        return payload

    @property
    def payload_size(self) -> int:
        """The bytes of the payload, which may lie in the frame as it came."""
        payload = self._payload
        if payload is not None:
            return len(payload)
        return len(self.frame) - self.payload_at if self.frame is not None else 0

    def forget_frame(self) -> None:
        """The frame no longer says what the packet says. The payload, which lies in it, stays."""
        self._payload = self.payload
        self.frame = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Publish) and self._fields() == other._fields()

    __hash__ = None  # type: ignore[assignment]  # mutable, like the other packets

    def __repr__(self) -> str:
        return "Publish({!r}, {!r}, qos={}, retain={}, dup={}, packet_id={}, {!r})".format(
            *self._fields()
        )

    def _fields(self) -> tuple[object, ...]:
        return (
            self.topic,
            self.payload,
            self.qos,
            self.retain,
            self.dup,
            self.packet_id,
            self.properties,
        )


class PublishRun:
    """Consecutive PUBLISH packets on one topic, at QoS 0 without RETAIN, DUP and properties.

    A server that asks its decoder for runs gets these as the bytes that they came in, `frames`,
    with the places where each starts: most of them travel on unchanged, and are taken apart only
    when somebody asks for `messages`.
    """

    __slots__ = ("_long_lengths", "_messages", "frames", "starts", "topic", "topic_size")

    def __init__(
        self, topic: str, topic_size: int, frames: bytes, starts: list[int], long_lengths: int = 0
    ) -> None:
        self.topic = topic
        # Bytes between the remaining length and the payload.
        self.topic_size = topic_size
        self.frames = frames
        self.starts = starts
        # Bytes that the remaining lengths take beyond one for each.
        self._long_lengths = long_lengths
        self._messages: list[Publish] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def payload_size(self) -> int:
        """The bytes of all payloads."""
        return len(self.frames) - len(self.starts) * (2 + self.topic_size) - self._long_lengths

    @property
    def messages(self) -> list[Publish]:
        """The packets one by one."""
        if self._messages is None:
            self._messages = self.first(len(self.starts))
        return self._messages

    def renamed(self, topic: str) -> PublishRun:
        """The same messages on another topic."""
        name = topic.encode()
        header = len(name).to_bytes(2, "big") + name
        frames, named = self.frames, 2 + len(self.topic.encode())
        pieces: list[bytes] = []
        starts: list[int] = []
        at = long_lengths = 0
        for start, end in zip(self.starts, [*self.starts[1:], len(frames)], strict=True):
            rest = start + 1
            while frames[rest] & 0x80:
                rest += 1
            rest += 1 + named
            size = len(header) + end - rest
            length = encode_variable_byte_integer(size)
            pieces += frames[start : start + 1], length, header, frames[rest:end]
            starts.append(at)
            at += 1 + len(length) + size
            long_lengths += len(length) - 1
        topic_size = self.topic_size - named + len(header)
        return PublishRun(topic, topic_size, b"".join(pieces), starts, long_lengths)

    def first(self, count: int) -> list[Publish]:
        """The first `count` packets, without taking all apart."""
        starts = self.starts
        ends = [*starts[1 : count + 1], len(self.frames)]
        return [self._message(start, end) for start, end in zip(starts[:count], ends, strict=False)]

    def _message(self, start: int, end: int) -> Publish:
        frame = self.frames[start:end]
        at = 1
        while frame[at] & 0x80:
            at += 1
        at += 1 + self.topic_size
        return Publish(self.topic, None, frame=frame, payload_at=at)
