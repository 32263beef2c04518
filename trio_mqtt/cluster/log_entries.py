"""What an entry of a log holds: who added it, and batches whose messages have numbers. Sans-IO.

By node and number a message is known wherever it stands: one that several filters of a session
match is in the log of each, and reaches the session once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from trio_mqtt.cluster.entries import EntryError, Travelling, decode_batch, decode_entry
from trio_mqtt.cluster.items import SOURCE, decode_numbered
from trio_mqtt.cluster.positions import EntryId

LOGGED = 1
"""The kind of an item of a log: a batch, with the number of its first message."""

_LOGGED = struct.Struct(">QH")  # the first number, how many other logs
_SHORT = struct.Struct(">H")
_COPY = struct.Struct(">QQQQH")  # the entry, the one before it, the length of the filter


class Logged(NamedTuple):
    """Messages of an entry; their numbers begin at `first`. `others` are the other logs that they
    were added to."""

    first: int
    others: tuple[str, ...]
    batch: Travelling


def encode_logged(first: int, others: Sequence[str], batch: bytes) -> bytes:
    """Messages as the data of an item of a log."""
    parts = [_LOGGED.pack(first, len(others))]
    for topic_filter in others:
        text = topic_filter.encode()
        parts += _SHORT.pack(len(text)), text
    parts.append(batch)
    return b"".join(parts)


def decode_logged(data: bytes | memoryview) -> tuple[str, list[Logged]]:
    """The node that added an entry, and what it holds. Raises EntryError where it is damaged."""
    node = ""
    found: list[Logged] = []
    try:
        for kind, item in decode_entry(bytes(data)):
            if kind == SOURCE:
                node, _ = decode_numbered(item)
            elif kind == LOGGED:
                first, count = _LOGGED.unpack_from(item, 0)
                at = _LOGGED.size
                others: list[str] = []
                for _ in range(count):
                    (size,) = _SHORT.unpack_from(item, at)
                    others.append(str(item[at + 2 : at + 2 + size], "utf-8"))
                    at += 2 + size
                found.append(Logged(first, tuple(others), decode_batch(item[at:])))
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"a damaged entry of a log: {error}") from error
    return node, found


class Copy(NamedTuple):
    """An entry of a log as it is sent to a node at once, that has sessions which follow the log."""

    topic_filter: str
    entry: EntryId
    previous: EntryId
    data: memoryview | bytes


def encode_copy(copy: Copy) -> bytes:
    """It as the data of an item of an inbox."""
    text = copy.topic_filter.encode()
    return b"".join((_COPY.pack(*copy.entry, *copy.previous, len(text)), text, copy.data))


def decode_copy(data: memoryview) -> Copy:
    """Raises EntryError where it is damaged."""
    try:
        *numbers, size = _COPY.unpack_from(data, 0)
        at = _COPY.size + size
        topic_filter = str(data[_COPY.size : at], "utf-8")
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"a damaged item: {error}") from error
    return Copy(topic_filter, (numbers[0], numbers[1]), (numbers[2], numbers[3]), data[at:])
