"""What nodes write for each other: items in an entry, and batches of messages as items. Sans-IO.

An entry begins with the version of all this, one byte; then come items, one after the other: a byte
that says of which kind, four that say how long, and as many as that. Who meets a kind that it does
not know leaves it out, so a later version may add some. Numbers are big-endian, strings are UTF-8
with two bytes of length before them.

A run of messages travels as the bytes that it came in, with the places that were found in it, or
their distance where all have one length: at the other end nothing is taken apart. Other messages
travel as their packets do.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import publish_parts
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Publish, PublishRun
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE, known_topics, topic_name

VERSION = 1
ITEM = struct.Struct(">BI")
_FIXED = struct.Struct(">BdHH")  # flags, when it came, the lengths of client and mount point
_RUN = struct.Struct(">BIIII")  # QoS, messages, stretches, bytes of the payloads and in all
_EVEN = struct.Struct(">II")  # bytes of each message, and those before the packet identifier
_ARE_EVEN = 16  # beside the QoS of a run: all messages have one length
_IS_V5, _IS_RUN, _IS_RETAINED, _HAS_SENDER = 1, 2, 4, 8
_MOST_REPETITIONS = 1 << 16  # whoever took the message in has looked at that


class EntryError(ValueError):
    """An entry is none, or of a version that this one does not know."""


class Travelling(NamedTuple):
    """Messages that came together, on their way to another node.

    `received_at` is when they came by the clock of the engine, in seconds since 1970. `client_id`
    and `mount_point` are those of the client that published them; None for a broker itself.
    `is_v5` says of which version their packets are, `is_retained` that they were retained.
    """

    content: Sequence[Publish] | PublishRun
    is_v5: bool
    received_at: float
    client_id: str | None = None
    mount_point: str = ""
    is_retained: bool = False


def encode_entry(items: Sequence[tuple[int, bytes]]) -> bytes:
    """An entry of items, each with its kind, from 0 to 255."""
    parts = [bytes((VERSION,))]
    for kind, data in items:
        parts += ITEM.pack(kind, len(data)), data
    return b"".join(parts)


def decode_entry(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """The items of an entry, each with its kind. Raises EntryError where it is damaged."""
    if not data or data[0] != VERSION:
        raise EntryError(f"an entry of version {data[0]}" if data else "an empty entry")
    view = memoryview(data)
    at, end = 1, len(data)
    while at < end:
        if at + ITEM.size > end:
            raise EntryError("an entry ends within an item")
        kind, size = ITEM.unpack_from(data, at)
        at += ITEM.size
        if at + size > end:
            raise EntryError("an entry ends within an item")
        yield kind, view[at : at + size]
        at += size


def encode_batch(batch: Travelling) -> bytes:
    """Messages as the data of an item."""
    content = batch.content
    flags = _IS_RETAINED * batch.is_retained
    client = mount = b""
    if batch.client_id is not None:
        flags |= _HAS_SENDER
        client, mount = batch.client_id.encode(), batch.mount_point.encode()
    if isinstance(content, PublishRun) and content.qos < 2:
        flags |= _IS_RUN | content.is_v5
        content_parts = _run_parts(content)
    else:
        content = content.messages if isinstance(content, PublishRun) else content
        # Those without a frame may have properties, which only MQTT 5 can say.
        is_v5 = batch.is_v5 or any(message.frame is None for message in content)
        flags |= is_v5
        content_parts = [_frame(message, batch.is_v5, is_v5) for message in content]
    fixed = _FIXED.pack(flags, batch.received_at, len(client), len(mount))
    return b"".join((fixed, client, mount, *content_parts))


def decode_batch(data: memoryview | bytes) -> Travelling:
    """Messages from the data of an item. Raises EntryError where it is damaged."""
    try:
        flags, received_at, client_size, mount_size = _FIXED.unpack_from(data, 0)
        at = _FIXED.size + client_size
        client_id = mount_point = ""
        if flags & _HAS_SENDER:
            client_id = str(data[_FIXED.size : at], "utf-8")
            mount_point = str(data[at : at + mount_size], "utf-8")
        at += mount_size
        is_v5 = bool(flags & _IS_V5)
        content: Sequence[Publish] | PublishRun = (
            _run(data, at, is_v5) if flags & _IS_RUN else _messages(bytes(data[at:]), is_v5)
        )
    except (struct.error, IndexError, UnicodeDecodeError, MqttError) as error:
        raise EntryError(f"a damaged batch: {error}") from error
    return Travelling(
        content,
        is_v5,
        received_at,
        client_id if flags & _HAS_SENDER else None,
        mount_point,
        bool(flags & _IS_RETAINED),
    )


def _numbers(numbers: Sequence[int]) -> bytes:
    """Numbers of four bytes each."""
    packed = array("I", numbers)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def _numbers_in(data: memoryview | bytes, at: int, count: int) -> list[int]:
    if at + 4 * count > len(data):
        raise EntryError("a batch ends within its places")
    packed = array("I")
    packed.frombytes(data[at : at + 4 * count])
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tolist()


def _run_parts(run: PublishRun) -> list[bytes]:
    count, stretches = len(run), len(run.topics)
    size, kind = len(run.frames), run.qos
    starts, ids_at = run.starts, run.ids_at
    if isinstance(starts, range) and (isinstance(ids_at, range) or not run.qos):
        kind |= _ARE_EVEN
        places = _EVEN.pack(starts.step, ids_at[0] if run.qos else 0)
    else:
        places = _numbers(starts) + (_numbers(ids_at) if run.qos else b"")
    parts = [_RUN.pack(kind, count, stretches, run.payload_size, size), places]
    if stretches > 1:
        parts += _numbers(run.firsts), _numbers(run.headers)
    parts.append(run.frames)
    return parts


def _run(data: memoryview | bytes, at: int, is_v5: bool) -> PublishRun:
    kind, count, stretches, payload_size, size = _RUN.unpack_from(data, at)
    at += _RUN.size
    qos = kind & 3
    starts: Sequence[int]
    ids_at: Sequence[int] = ()
    if kind & _ARE_EVEN:
        each, first_id = _EVEN.unpack_from(data, at)
        at += _EVEN.size
        starts = range(0, count * each, each or 1)
        if qos:
            ids_at = range(first_id, first_id + count * each, each or 1)
    else:
        starts = _numbers_in(data, at, count)
        at += 4 * count
        if qos:
            ids_at = _numbers_in(data, at, count)
            at += 4 * count
    firsts = headers = [0]
    if stretches > 1:
        firsts = _numbers_in(data, at, stretches)
        headers = _numbers_in(data, at + 4 * stretches, stretches)
        at += 8 * stretches
    frames = bytes(data[at:])
    if len(frames) != size:
        raise EntryError("a batch ends within its messages")
    if not starts or starts[-1] >= size or firsts[-1] >= count or qos > 1:
        raise EntryError("a batch has places beyond its end")
    topics = [_topic_at(frames, starts[first]) for first in firsts]
    return PublishRun(
        frames, starts, topics, firsts, headers, payload_size, is_v5=is_v5, ids_at=ids_at
    )


def _topic_at(frames: bytes, start: int) -> str:
    """The topic of the packet that begins there."""
    at = start + 1
    while frames[at] & 0x80:
        at += 1
    at += 1
    named = frames[at : at + 2 + (frames[at] << 8 | frames[at + 1])]
    topic = known_topics.get(named)
    return topic_name(named) if topic is None else topic


def _frame(message: Publish, came_as_v5: bool, is_v5: bool) -> bytes:
    """The packet of a message, in the version of all that travel with it."""
    if message.frame is not None and came_as_v5 is is_v5:
        return message.frame
    before, after = publish_parts(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        message.properties,
        ProtocolVersion.V5 if is_v5 else ProtocolVersion.V311,
    )
    # Some identifier stands where the packet has one: whoever sends it on has another.
    return before + b"\0\1" + after if message.qos else before + after


def _messages(frames: bytes, is_v5: bool) -> list[Publish]:
    version = ProtocolVersion.V5 if is_v5 else ProtocolVersion.V311
    decoder = PacketDecoder(
        PacketType.PUBLISH, version, MAX_PACKET_SIZE, maximum_repetitions=_MOST_REPETITIONS
    )
    packets = decoder.feed(frames)
    if decoder.violation is not None or decoder.held or not packets:
        raise EntryError(f"a batch of what are no messages: {decoder.violation or 'cut off'}")
    messages = [packet for packet in packets if isinstance(packet, Publish)]
    if len(messages) != len(packets):
        raise EntryError("a batch of what are no messages")
    return messages
