"""PUBLISH (MQTT 5.0 §3.3): one message, and runs of many that travel on as they came."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.run_frames import RunFrames, identifiers_in
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

    def __reduce__(self) -> tuple[object, ...]:
        # By itself, what is compiled is copied and pickled without its attributes.
        values = (self.topic, self._payload, self.qos, self.retain, self.dup, self.packet_id)
        return Publish, (*values, self.properties, self.frame, self.packet_id_at, self.payload_at)

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


class PublishRun(RunFrames):
    """Consecutive PUBLISH packets of one QoS, without RETAIN, DUP and properties.

    A server that asks its decoder for runs gets these as the bytes that they came in, `frames`,
    with the places where each starts, and above QoS 0 of each packet identifier (`ids_at`): most of
    them travel on unchanged, and are taken apart only when somebody asks for `messages`. Those on
    one topic, one after the other, are a stretch: `topics` has the topic of each, `firsts` the
    number of its first message, and `headers` the bytes before the payloads in all messages before
    it. `is_v5` says whether they are of MQTT 5. Where all packets have one length, `starts` and
    `ids_at` are ranges.
    """

    __slots__ = ("_messages", "firsts", "headers", "is_v5", "payload_size", "qos", "topic",
                 "topics")  # fmt: skip

    def __init__(
        self,
        frames: bytes,
        starts: Sequence[int],
        topics: list[str],
        firsts: Sequence[int],
        headers: Sequence[int],
        payload_size: int,
        *,
        is_v5: bool,
        ids_at: Sequence[int] = (),
    ) -> None:
        super().__init__(frames, starts, ids_at)
        self.qos = frames[0] >> 1 & 3
        self.topics = topics
        self.firsts = firsts
        self.headers = headers
        self.payload_size = payload_size
        self.is_v5 = is_v5
        # The topic of all messages; None if they have several.
        self.topic = topics[0] if len(topics) == 1 else None
        self._messages: list[Publish] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def messages(self) -> list[Publish]:
        """The packets one by one."""
        if self._messages is None:
            self._messages = self.first(len(self.starts))
        return self._messages

    def first(self, count: int) -> list[Publish]:
        """The first `count` packets, or as many as there are, without taking all apart."""
        starts, frames = self.starts, self.frames
        count = min(count, len(starts))
        ends = [*starts[1 : count + 1], len(frames)]
        messages: list[Publish] = []
        for topic, stop in zip(self.topics, [*self.firsts[1:], count], strict=True):
            for index in range(len(messages), min(stop, count)):
                messages.append(self._message(topic, frames[starts[index] : ends[index]]))
        return messages

    def message(self, index: int) -> Publish:
        """One of the packets, by its number."""
        starts = self.starts
        end = starts[index + 1] if index + 1 < len(starts) else len(self.frames)
        topic = self.topics[bisect_right(self.firsts, index) - 1]
        return self._message(topic, self.frames[starts[index] : end])

    def _message(self, topic: str, frame: bytes) -> Publish:
        at = self._topic_at(frame, 0)
        at += 2 + (frame[at] << 8 | frame[at + 1])
        if not self.qos:
            return Publish(topic, None, frame=frame, packet_id_at=at, payload_at=at + self.is_v5)
        packet_id = frame[at] << 8 | frame[at + 1]
        at += 2 + self.is_v5
        return Publish(
            topic,
            None,
            self.qos,
            False,
            False,
            packet_id,
            NO_PROPERTIES,
            frame,
            at - 2 - self.is_v5,
            at,
        )

    @property
    def packet_ids(self) -> list[int]:
        """The packet identifiers, at QoS 1 and 2."""
        return identifiers_in(self.identifiers)

    def sent_as(self, qos: int, properties: bytes, names: Sequence[str] | None = None) -> RunFrames:
        """The same messages at no higher a `qos`, with other properties, or on other topics.

        `properties` are those of each packet, with their length (MQTT 5.0 §2.2.2); no bytes at all
        for MQTT 3. `names` are topics, one for each stretch. There are no packet identifiers in it
        yet.
        """
        frames, starts = self.frames, self.starts
        ends = [*starts[1:], len(frames)]
        kind = bytes((0x30 | qos << 1,))
        between = bytes(2) + properties if qos else properties
        came_between = (2 if self.qos else 0) + self.is_v5
        pieces: list[bytes] = []
        new_starts: list[int] = []
        ids_at: list[int] = []
        place = 0
        for stretch, first in enumerate(self.firsts):
            stop = self.firsts[stretch + 1] if stretch + 1 < len(self.firsts) else len(starts)
            body = self._topic_at(frames, starts[first])
            name_size = 2 + (frames[body] << 8 | frames[body + 1])
            if names is None:
                name = frames[body : body + name_size]
            else:
                text = names[stretch].encode()
                name = len(text).to_bytes(2, "big") + text
            if isinstance(starts, range) and (names is None or not qos):
                # Packets of a size differ in their payloads alone.
                size = starts.step
                payload_at = self._topic_at(frames, 0) + name_size + came_between
                length = encode_variable_byte_integer(len(name) + len(between) + size - payload_at)
                before = kind + length + name + between
                pieces.append(before)
                pieces.append(
                    before.join([frames[at + payload_at : at + size] for at in starts[first:stop]])
                )
                continue
            size, before = -1, b""
            payload_at = id_at = new_size = 0
            for start, end in zip(starts[first:stop], ends[first:stop], strict=True):
                if end - start != size:
                    size = end - start
                    payload_at = self._topic_at(frames, start) - start + name_size + came_between
                    length = encode_variable_byte_integer(
                        len(name) + len(between) + size - payload_at
                    )
                    before = kind + length + name + between
                    id_at = 1 + len(length) + len(name)
                    new_size = len(before) + size - payload_at
                pieces.append(before)
                pieces.append(frames[start + payload_at : end])
                if qos:
                    new_starts.append(place)
                    ids_at.append(place + id_at)
                    place += new_size
        sent = b"".join(pieces)
        if qos and not new_starts:
            size = len(sent) // len(starts)
            id_at = len(pieces[0]) - len(between)
            return RunFrames(sent, range(0, len(sent), size), range(id_at, len(sent), size))
        return RunFrames(sent, new_starts, ids_at)

    def some(self, stretches: Sequence[int]) -> PublishRun:
        """The messages of some stretches, by their numbers in ascending order."""
        frames, starts, firsts, headers = self.frames, self.starts, self.firsts, self.headers
        last = len(firsts) - 1
        pieces: list[bytes] = []
        new_starts: list[int] = []
        new_ids_at: list[int] = []
        new_firsts: list[int] = []
        new_headers: list[int] = []
        size = header = 0
        for stretch in stretches:
            first = firsts[stretch]
            start = starts[first]
            new_firsts.append(len(new_starts))
            new_headers.append(header)
            if stretch < last:
                beyond = firsts[stretch + 1]
                end = starts[beyond]
                header += headers[stretch + 1] - headers[stretch]
            else:
                beyond = len(starts)
                end = len(frames)
                header += end - self.payload_size - headers[stretch]
            pieces.append(frames[start:end])
            moved = size - start
            if beyond - first == 1:
                new_starts.append(size)
            else:
                new_starts += [at + moved for at in starts[first:beyond]]
            if self.ids_at:
                new_ids_at += [at + moved for at in self.ids_at[first:beyond]]
            size += end - start
        topics = [self.topics[stretch] for stretch in stretches]
        return PublishRun(
            b"".join(pieces),
            new_starts,
            topics,
            new_firsts,
            new_headers,
            size - header,
            is_v5=self.is_v5,
            ids_at=new_ids_at,
        )

    def renamed(self, topics: Sequence[str]) -> PublishRun:
        """The same messages on other topics, one for each stretch."""
        frames, starts = self.frames, self.starts
        ends = [*starts[1:], len(frames)]
        pieces: list[bytes] = []
        new_starts: list[int] = []
        ids_at: list[int] = []
        headers: list[int] = []
        at = header = 0
        for topic, first, stop in zip(
            topics, self.firsts, [*self.firsts[1:], len(starts)], strict=True
        ):
            name = topic.encode()
            named = len(name).to_bytes(2, "big") + name
            headers.append(header)
            for start, end in zip(starts[first:stop], ends[first:stop], strict=True):
                rest = self._topic_at(frames, start)
                rest += 2 + (frames[rest] << 8 | frames[rest + 1])
                size = len(named) + end - rest
                length = encode_variable_byte_integer(size)
                pieces += frames[start : start + 1], length, named, frames[rest:end]
                new_starts.append(at)
                ids_at.append(at + 1 + len(length) + len(named))
                at += 1 + len(length) + size
                header += 1 + len(length) + len(named) + (2 if self.qos else 0) + self.is_v5
        return PublishRun(
            b"".join(pieces),
            new_starts,
            list(topics),
            self.firsts,
            headers,
            self.payload_size,
            is_v5=self.is_v5,
            ids_at=ids_at if self.qos else (),
        )

    @staticmethod
    def _topic_at(data: bytes, start: int) -> int:
        """Where the topic of the packet at `start` begins, with its length."""
        at = start + 1
        while data[at] & 0x80:
            at += 1
        return at + 1
