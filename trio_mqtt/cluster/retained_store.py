"""Retained messages in the engine: one hash has the truth, the stream of changes its order.

A value begins with two times of the engine's clock, so that the engine can tell which have expired.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from trio_mqtt.cluster.changes import RETAINED
from trio_mqtt.cluster.engine.calls import Call, Script
from trio_mqtt.cluster.entries import EntryError
from trio_mqtt.storage.rows import RetainedRow

if TYPE_CHECKING:
    from trio_mqtt.cluster.changes import Changes, Fields
    from trio_mqtt.cluster.engine.engine import Engine

_FIXED = struct.Struct(">ddBII")  # received, expires, QoS, bytes of the author and the properties
_HAS_AUTHOR = 4  # beside the QoS
_NAMED = struct.Struct(">HHB")  # bytes of the node and of the topic, whether there is a message
_AT_ONCE = 500  # topics in one change, or in one look for what has expired
_BYTES_AT_ONCE = 512 * 1024

EXPIRE = Script("""\
-- KEYS: the retained messages, when others went. ARGV: seconds that one lasts which has no end
-- itself, topics.
local time = now() / 1000
local last = time - tonumber(ARGV[1])
for at = 2, #ARGV do
  local value = redis.call('HGET', KEYS[1], ARGV[at])
  if value then
    local received, expires = struct.unpack('>dd', value)
    if expires <= time or received <= last then
      redis.call('HDEL', KEYS[1], ARGV[at])
      redis.call('ZADD', KEYS[2], 'GT', received * 1000, ARGV[at])
    end
  end
end
return 1
""")


class RetainedChange(NamedTuple):
    """The retained message of a topic, as a node has it changed; None if there is none any more."""

    node: str
    topic: str
    row: RetainedRow | None


def encode_row(row: RetainedRow) -> bytes:
    """A retained message as a value, without its topic."""
    author = b"" if row.author is None else row.author.encode()
    expires = math.inf if row.expires_at is None else row.expires_at
    kind = row.qos | (0 if row.author is None else _HAS_AUTHOR)
    fixed = _FIXED.pack(row.received_at, expires, kind, len(author), len(row.properties))
    return b"".join((fixed, author, row.properties, row.payload))


def decode_row(topic: str, value: bytes | memoryview) -> RetainedRow:
    """The retained message of a topic. Raises EntryError where it is damaged."""
    try:
        received, expires, kind, author_size, size = _FIXED.unpack_from(value, 0)
        at = _FIXED.size + author_size
        author = str(value[_FIXED.size : at], "utf-8") if kind & _HAS_AUTHOR else None
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"a damaged retained message: {error}") from error
    return RetainedRow(
        topic,
        bytes(value[at + size :]),
        kind & 3,
        received,
        bytes(value[at : at + size]),
        author,
        None if expires == math.inf else expires,
    )


def encode_change(node: str, topic: str, value: bytes) -> bytes:
    """The retained message of a topic has changed, or is gone, where the value is empty."""
    name, text = node.encode(), topic.encode()
    return b"".join((_NAMED.pack(len(name), len(text), bool(value)), name, text, value))


def decode_change(data: memoryview) -> RetainedChange:
    """What has changed. Raises EntryError where that is damaged."""
    try:
        name_size, size, has_message = _NAMED.unpack_from(data, 0)
        at = _NAMED.size + name_size
        node = str(data[_NAMED.size : at], "utf-8")
        topic = str(data[at : at + size], "utf-8")
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"a damaged retained message: {error}") from error
    value = data[at + size :]
    return RetainedChange(node, topic, decode_row(topic, value) if has_message else None)


class RetainedStore:
    """The retained messages of a cluster."""

    def __init__(self, engine: Engine, changes: Changes) -> None:
        self._engine = engine
        self._changes = changes
        self._key = engine.keys.retained
        self._gone = engine.keys.shared("retained-gone")

    def calls(self, node: str, rows: Mapping[str, RetainedRow | None]) -> list[Call]:
        """What keeps retained messages, or has them gone, by their topics; and tells all nodes."""
        calls: list[Call] = []
        fields: dict[bytes, bytes] = {}
        items: list[tuple[int, bytes]] = []
        size = 0
        for left, (topic, row) in zip(range(len(rows) - 1, -1, -1), rows.items(), strict=True):
            value = b"" if row is None else encode_row(row)
            fields[topic.encode()] = value
            items.append((RETAINED, encode_change(node, topic, value)))
            size += len(value)
            if not left or len(items) == _AT_ONCE or size >= _BYTES_AT_ONCE:
                calls.append(self._changes.call(self._key, fields, items, [self._gone]))
                fields, items, size = {}, [], 0
        return calls

    def late_call(self, node: str, topic: str, row: RetainedRow | None, at: float) -> Call:
        """What does so for a topic that has changed `at` a while ago, if it has nothing later by
        now: else it answers with that, as bytes; without any where a later one is gone.
        """
        value = b"" if row is None else encode_row(row)
        items = [(RETAINED, encode_change(node, topic, value))]
        return self._changes.late_call(self._key, topic.encode(), value, items, at, self._gone)

    def expire(self, topics: Iterable[str], default_expiry: float) -> list[Call]:
        """What has those go that have expired, of some topics.

        `default_expiry` is how many seconds a message lasts that has no expiry interval.
        """
        names = [topic.encode() for topic in topics]
        lasts = min(default_expiry, 1e12)
        return [
            self._engine.scripted(
                EXPIRE, (self._key, self._gone), lasts, *names[at : at + _AT_ONCE]
            )
            for at in range(0, len(names), _AT_ONCE)
        ]

    def load(self) -> Fields:
        """All that there are, some at a time: topics and values. One may come twice."""
        return self._changes.fields(self._key)
