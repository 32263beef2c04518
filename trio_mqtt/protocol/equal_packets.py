"""Runs of PUBLISH packets that are all of one length: what they have in common is one comparison.

Floods mostly consist of such. Every byte that stands at one place in each of them is a slice with
the length of a packet as its step: type, length and packet identifiers are looked at so, and no
packet by itself.
"""

from __future__ import annotations

import operator
from functools import lru_cache
from struct import Struct

from trio_mqtt.errors import MalformedPacketError
from trio_mqtt.protocol.publish import PublishRun
from trio_mqtt.protocol.wire import known_topics, long_remaining_length, topic_name

_FEW = 8  # packets: so many cost less one by one
_AT_ONCE = 16  # packets whose topics are taken out by one call
_ONE_STRETCH = range(1)


def decode_equal_packets(
    data: bytes, start: int, end: int, maximum: int, longest: int, most_mixed: int, *, is_v5: bool
) -> PublishRun | None:
    """The run that begins at `start`; None if it is short, or its packets are not of one length.

    It has `longest` packets at most, and no more than `most_mixed` where they are of several
    topics. What is not right is not part of it: then, too, the answer is None.
    """
    length, body = data[start + 1], start + 2
    if length > 127:
        try:
            length, body = long_remaining_length(data, start, end)
        except MalformedPacketError:
            return None
        if body == 0:
            return None
    size = body + length - start
    count = min((end - start) // size, longest)
    if count < _FEW or size > maximum:
        return None
    qos = data[start] >> 1 & 3
    name_size = 2 + (data[body] << 8 | data[body + 1])
    header = body + name_size + (2 if qos else 0) + is_v5 - start
    if name_size == 2 or header > size:
        return None
    # The first two tell mostly, at no cost: what is otherwise would be looked at for each packet.
    if data[start + size] != data[start] or data[start + size + 1] != data[start + 1]:
        return None
    properties_at = start + header - 1
    if is_v5 and (data[properties_at] or data[properties_at + size]):
        return None
    stop = start + count * size
    kinds = data[start:stop:size]
    unlike = len(kinds.lstrip(kinds[:1]))
    if unlike:
        count -= unlike
        stop = start + count * size
        if count < _FEW:
            return None
    for at in range(start + 1, body + 2):  # of the packet, and of the topic
        if data[at:stop:size].count(data[at]) != count:
            return None
    if is_v5 and data[properties_at:stop:size].count(0) != count:
        return None  # they have properties
    ids_at = range(0)
    if qos:
        ids_at = range(body + name_size - start, stop - start, size)
        if not _are_identifiers(data[start + ids_at.start : stop : size],
                                data[start + ids_at.start + 1 : stop : size]):  # fmt: skip
            return None
    if stop < end and data[stop] == data[start] and count < longest and _is_whole(data, stop, end):
        return None  # a shorter one follows: apart from these it would cost more
    names = _names(data, start, stop, body - start, name_size, size)
    distinct = names.count(names[0]) != count
    if distinct and count > most_mixed:
        count = most_mixed
        stop = start + count * size
        del names[count:]
        ids_at = ids_at[:count]
    try:
        topics = [topic_name(names[0])] if not distinct else _topics(names)
    except MalformedPacketError:
        return None
    firsts: range | list[int] = _ONE_STRETCH
    headers: range | list[int] = _ONE_STRETCH
    if distinct:
        firsts, headers = range(count), range(0, count * header, header)
        if True in map(operator.is_, topics, topics[1:]):
            firsts = [0, *[at for at in range(1, count) if topics[at] is not topics[at - 1]]]
            headers = [at * header for at in firsts]
            topics = [topics[at] for at in firsts]
    return PublishRun(
        data[start:stop],
        range(0, count * size, size),
        topics,
        firsts,
        headers,
        count * (size - header),
        is_v5=is_v5,
        ids_at=ids_at,
    )


def _are_identifiers(high: bytes, low: bytes) -> bool:
    """Whether none of the packet identifiers is zero, of which these are the two bytes."""
    return not (b"\0" in high and b"\0" in low) or all(map(operator.or_, high, low))


def _is_whole(data: bytes, start: int, end: int) -> bool:
    """Whether the packet at `start` has come as a whole, as far as its length is right."""
    if end - start < 2:
        return False
    length, body = data[start + 1], start + 2
    if length > 127:
        try:
            length, body = long_remaining_length(data, start, end)
        except MalformedPacketError:
            return False
    return body > 0 and body + length <= end


@lru_cache(256)
def _layout(before: int, name_size: int, after: int, count: int) -> Struct:
    """Packets that have a topic of `name_size` bytes between as many others."""
    return Struct(f"{before}x{name_size}s{after}x" * count)


def _names(
    data: bytes, start: int, stop: int, before: int, name_size: int, size: int
) -> list[bytes]:
    """The topics of packets of one `size`, with their lengths."""
    after = size - before - name_size
    names: list[bytes] = []
    at_once = size * _AT_ONCE
    if stop - start >= at_once:
        unpack = _layout(before, name_size, after, _AT_ONCE).unpack_from
        while stop - start >= at_once:
            names += unpack(data, start)
            start += at_once
    if start < stop:
        names += [data[at : at + name_size] for at in range(start + before, stop, size)]
    return names


def _topics(names: list[bytes]) -> list[str]:
    """The topic in each field. Raises MalformedPacketError for what is none."""
    return [
        topic_name(name) if topic is None else topic
        for name, topic in zip(names, map(known_topics.get, names), strict=True)
    ]
