"""Messages of one topic as the bytes that are kept, and the other way round. Sans-IO.

What came together is a piece: when, in which version, and its packets as they came. Pieces of one
topic that came one after the other are a chunk, which is one row; it is compressed where that pays.
All of a chunk came within one stretch of time, its bucket: rows are found by bucket and topic.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from trio_mqtt.errors import MqttError
from trio_mqtt.history.queries import MICROSECONDS
from trio_mqtt.protocol.encoding import publish_parts
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish, PublishRun
from trio_mqtt.protocol.properties import NO_PROPERTIES, Carrier, Properties, decode_properties
from trio_mqtt.protocol.wire import Reader

BUCKET = 10 * MICROSECONDS
CHUNK = 64 * 1024  # bytes of packets, from which on the next chunk is begun
_PIECE = struct.Struct(">qBII")  # when, version, messages, bytes
_PLAIN, _DEFLATED = b"\0", b"\1"
_LEVEL = 1  # of zlib: the most time that pays
_SHORT = 160  # bytes that are not worth it
_MOST = 256 * 1024 * 1024  # bytes of a chunk: the largest packet, and a chunk before it


class ChunkError(ValueError):
    """A chunk is damaged."""


class Came(NamedTuple):
    """Messages that came together: a sequence of them, or a run."""

    content: Sequence[Publish] | PublishRun
    is_v5: bool
    """The version of their packets."""
    at: int
    """When, in microseconds since 1970."""


class Chunk(NamedTuple):
    """Messages of one topic, as they are kept."""

    topic: str
    bucket: int
    first: int
    """When the first came, in microseconds since 1970."""
    last: int
    messages: int
    data: bytes


class Decoded(NamedTuple):
    """A message of a chunk."""

    at: int
    payload: bytes
    qos: int
    retain: bool
    properties: Properties


def bucket_of(at: int) -> int:
    """The number of the stretch of time in which that is."""
    return at // BUCKET


class _Growing:
    """A chunk that becomes more."""

    __slots__ = ("count", "first", "last", "pieces", "size")

    def __init__(self, at: int) -> None:
        self.first = self.last = at
        self.count = self.size = 0
        self.pieces: list[tuple[int, bool, int, bytes]] = []

    def add(self, at: int, is_v5: bool, count: int, frames: bytes) -> None:
        self.pieces.append((at, is_v5, count, frames))
        self.count += count
        self.size += len(frames)
        if at < self.first:
            self.first = at
        if at > self.last:
            self.last = at

    @property
    def data(self) -> bytes:
        parts: list[bytes] = []
        same: list[bytes] = []
        at, is_v5, count = 0, False, 0
        for piece in self.pieces:
            if same and piece[0] == at and piece[1] is is_v5:
                same.append(piece[3])
                count += piece[2]
                continue
            if same:
                _join(parts, at, is_v5, count, same)
            at, is_v5, count, frames = piece
            same = [frames]
        if same:
            _join(parts, at, is_v5, count, same)
        return b"".join(parts)


def _join(parts: list[bytes], at: int, is_v5: bool, count: int, frames: list[bytes]) -> None:
    parts.append(_PIECE.pack(at, is_v5, count, sum(map(len, frames))))
    parts += frames


def chunks_of(group: Iterable[Came]) -> Iterator[Chunk]:
    """What came, by topic and time, in the order in which chunks are full or the group ends."""
    growing: dict[tuple[str, int], _Growing] = {}
    for content, is_v5, at in group:
        bucket = bucket_of(at)
        for topic, version_5, count, frames in _by_topic(content, is_v5):
            key = topic, bucket
            chunk = growing.get(key)
            if chunk is None:
                chunk = growing[key] = _Growing(at)
            elif chunk.size + len(frames) > CHUNK:
                yield _finished(topic, bucket, chunk)
                chunk = growing[key] = _Growing(at)
            chunk.add(at, version_5, count, frames)
    for (topic, bucket), chunk in growing.items():
        yield _finished(topic, bucket, chunk)


def _finished(topic: str, bucket: int, chunk: _Growing) -> Chunk:
    data = chunk.data
    packed = _PLAIN + data
    if len(data) > _SHORT:
        deflated = zlib.compress(data, _LEVEL)
        if len(deflated) < len(data) - len(data) // 8:
            packed = _DEFLATED + deflated
    return Chunk(topic, bucket, chunk.first, chunk.last, chunk.count, packed)


def _by_topic(
    content: Sequence[Publish] | PublishRun, is_v5: bool
) -> Iterable[tuple[str, bool, int, bytes]]:
    """The packets of each topic, with their version, and how many they are."""
    if not isinstance(content, PublishRun):
        return _of_messages(content, is_v5)
    if content.topic is not None:
        return _of_one_topic(content, content.topic)
    return _of_stretches(content)


def _of_one_topic(run: PublishRun, topic: str) -> Iterator[tuple[str, bool, int, bytes]]:
    frames, starts, is_v5 = run.frames, run.starts, run.is_v5
    first, end = 0, len(starts)
    while first < end:
        start, beyond, stop = starts[first], end, len(frames)
        if stop - start > CHUNK and end - first > 1:
            beyond = first + max(1, (end - first) * CHUNK // (stop - start))
            stop = starts[beyond]
        yield topic, is_v5, beyond - first, frames[start:stop]
        first = beyond


def _of_stretches(run: PublishRun) -> Iterator[tuple[str, bool, int, bytes]]:
    # A flood over many topics comes this way, message by message another one.
    frames, starts, firsts, is_v5 = run.frames, run.starts, run.firsts, run.is_v5
    begins = starts if len(firsts) == len(starts) else [starts[first] for first in firsts]
    pieces: dict[str, list[bytes]] = {}
    for topic, start, stop in zip(run.topics, begins, [*begins[1:], len(frames)], strict=True):
        its = pieces.get(topic)
        if its is None:
            pieces[topic] = [frames[start:stop]]
        else:
            its.append(frames[start:stop])
    if begins is starts:
        for topic, its in pieces.items():
            yield topic, is_v5, len(its), b"".join(its)
        return
    counts = dict.fromkeys(pieces, 0)
    for topic, first, end in zip(run.topics, firsts, [*firsts[1:], len(starts)], strict=True):
        counts[topic] += end - first
    for topic, its in pieces.items():
        yield topic, is_v5, counts[topic], b"".join(its)


def _of_messages(
    messages: Sequence[Publish], is_v5: bool
) -> Iterator[tuple[str, bool, int, bytes]]:
    for message in messages:
        frame = message.frame
        if frame is None:  # it may have properties, which only MQTT 5 can say
            yield message.topic, True, 1, _frame(message)
        else:
            yield message.topic, is_v5, 1, frame


def _frame(message: Publish) -> bytes:
    before, after = publish_parts(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        message.properties,
        ProtocolVersion.V5,
    )
    return before + b"\0\1" + after if message.qos else before + after


def messages_in(data: bytes) -> Iterator[Decoded]:
    """The messages of a chunk, in their order. Raises ChunkError where it is damaged."""
    try:
        if data[:1] == _DEFLATED:
            inflate = zlib.decompressobj()
            raw = inflate.decompress(data[1:], _MOST + 1)
            if not inflate.eof:
                raise ChunkError("a chunk is longer than one is, or cut off")
        elif data[:1] == _PLAIN:
            raw = data[1:]
        else:
            raise ChunkError("what is no chunk")
        at, end = 0, len(raw)
        while at < end:
            when, is_v5, count, size = _PIECE.unpack_from(raw, at)
            at += _PIECE.size
            beyond = at + size
            if beyond > end:
                raise ChunkError("a chunk ends within a piece")
            for _ in range(count):
                at, message = _message(raw, at, beyond, when, bool(is_v5))
                yield message
            if at != beyond:
                raise ChunkError("a piece has something after its messages")
    except (struct.error, zlib.error, IndexError, MqttError) as error:
        raise ChunkError(f"a damaged chunk: {error}") from error


def _message(raw: bytes, start: int, end: int, when: int, is_v5: bool) -> tuple[int, Decoded]:
    head = raw[start]
    at = start + 1
    length = shift = 0
    while True:
        byte = raw[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 21:
            raise ChunkError("a message has no length")
    stop = at + length
    qos = head >> 1 & 3
    at += 2 + (raw[at] << 8 | raw[at + 1]) + (2 if qos else 0)
    if stop > end or at > stop:
        raise ChunkError("a message ends elsewhere than it says")
    properties = NO_PROPERTIES
    if is_v5:
        if raw[at]:
            reader = Reader(raw, at, stop, 1 << 16)
            properties = decode_properties(reader, Carrier.PUBLISH)
            at = reader.position
        else:
            at += 1
    return stop, Decoded(when, raw[at:stop], qos, bool(head & 1), properties)
