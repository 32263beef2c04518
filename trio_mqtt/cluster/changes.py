"""The stream of changes that all nodes of a cluster follow, and the hashes that they end up in.

A change is one step: fields of one hash get other values, and the stream says so. Its entries are
numbered without gaps, so that who reads them knows whether it has missed any: then, and at its
start, it reads the hashes as they are. A change that comes twice, or after its hash was read, makes
no difference.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from trio_mqtt.cluster.engine.calls import Call, EngineRefusedError, Script, number_of
from trio_mqtt.cluster.entries import EntryError, encode_entry

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine

# Kinds of items.
INTERESTS, RETAINED, GONE = 1, 2, 3

# Before a filter of which a node wants what is of QoS 0 alone: the rest comes by its log. No filter
# has such a character.
QOS_0 = "\0"
KEPT = 100_000  # changes that the stream has at least: who falls back further reads the hashes
_FIELD = b"e"
_NUMBER = "the number of the changes"
_STEP = 200  # fields of a hash that are read at once
_SHORT, _LONG = struct.Struct(">H"), struct.Struct(">I")

_CHANGE = """\
-- KEYS: the nodes, the changes, their number, the hash; where it is told when fields went, a sorted
-- set of those. ARGV: the entry, how many are kept, and fields with their values, of which none is
-- empty: then the field goes.
local went = false
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', KEYS[4], ARGV[at])
    if KEYS[5] then went = redis.call('ZADD', KEYS[5], 'GT', changed, ARGV[at]) end
  else
    redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
  end
end
-- That is remembered for an hour, and of 10,000: who comes late brings none of them back.
if went then
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now() - 3600000)
  redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -10001)
end
local number = redis.call('INCR', KEYS[3])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], number .. '-1', 'e', ARGV[1], 't', now())
return {number, redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf')}
"""
CHANGE = Script("local changed = now()\n" + _CHANGE, fenced=True)
LATE_CHANGE = Script(
    """\
-- As below, of one field; before all else, when it changed, in seconds. Values begin with theirs.
local changed = tonumber(ARGV[1]) * 1000
local value = redis.call('HGET', KEYS[4], ARGV[4])
if value and struct.unpack('>d', value) * 1000 > changed then return value end
if not value and tonumber(redis.call('ZSCORE', KEYS[5], ARGV[4]) or 0) > changed then return '' end
table.remove(ARGV, 1)
"""
    + _CHANGE,
    fenced=True,
)


END = Script("""\
-- KEYS: the nodes, the number of changes. Both as of one moment: whoever is no node yet tells what
-- it wants later.
return {redis.call('GET', KEYS[2]) or '0', redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf')}
""")


class Changed(NamedTuple):
    """A change was made: its number, and the nodes that lived then."""

    number: int
    nodes: set[str]


class Changes:
    """The changes of a cluster, as one node makes and follows them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._keys = engine.keys
        self.number = 0  # of the last one that was read
        self._made = 0  # of the last one that this node made
        # What that is known by: its identifier, and when it came.
        self._last: tuple[bytes, bytes] | None = None

    async def make(
        self, key: bytes, fields: Mapping[bytes, bytes], items: Sequence[tuple[int, bytes]]
    ) -> Changed:
        """Give fields of a hash other values, and have all nodes told by `items`.

        Raises EngineGoneError and EngineRefusedError.
        """
        (reply,) = await self._engine.all((self.call(key, fields, items),))
        if isinstance(reply, EngineRefusedError):
            raise reply
        number, nodes = reply
        self._made = max(number, self._made)
        return Changed(number, {node.decode() for node in nodes})

    def call(
        self,
        key: bytes,
        fields: Mapping[bytes, bytes],
        items: Sequence[tuple[int, bytes]],
        gone: Sequence[bytes] = (),
    ) -> Call:
        """What does so. `gone` may be the key of what says when which fields went.

        Raises EngineFencedError where this node has no lease.
        """
        keys = self._keys
        return self._engine.scripted(
            CHANGE,
            (keys.nodes, keys.changes, keys.changes_number, key, *gone),
            encode_entry(items),
            KEPT,
            *chain.from_iterable(fields.items()),
        )

    def late_call(
        self,
        key: bytes,
        field: bytes,
        value: bytes,
        items: Sequence[tuple[int, bytes]],
        at: float,
        gone: bytes,
    ) -> Call:
        """The same of one field that has changed a while ago, `at` so many seconds of the engine's
        clock; where what it has is later, it answers that, and nothing where it went later.

        Raises EngineFencedError where this node has no lease.
        """
        keys = self._keys
        return self._engine.scripted(
            LATE_CHANGE,
            (keys.nodes, keys.changes, keys.changes_number, key, gone),
            repr(at),
            encode_entry(items),
            KEPT,
            field,
            value,
        )

    async def count(self) -> int:
        """The number of the last change that there is.

        Raises EngineGoneError and EngineRefusedError.
        """
        number = await self._engine.call(b"GET", self._keys.changes_number)
        return number_of(number or 0, _NUMBER)

    async def find_end(self) -> set[str]:
        """From now on, what comes after this moment is read; the nodes that are alive now.

        Raises EngineGoneError and EngineRefusedError.
        """
        keys = self._keys
        number, nodes = await self._engine.run(END, (keys.nodes, keys.changes_number))
        self.number = self._made = number_of(number, _NUMBER)
        self._last = None
        return {node.decode() for node in nodes}

    async def goes_on(self) -> bool:
        """Whether the stream is still the one that was read: an engine that fails may lose the
        last that it had, and then others stand in its place.

        Raises EngineGoneError and EngineRefusedError.
        """
        # As of now: a change that this node makes meanwhile may be counted after the answer.
        known, last = max(self.number, self._made), self._last
        name = b"%d-1" % self.number
        if await self.count() < known:
            return False
        if last is None:
            return True
        found = await self._engine.call(b"XRANGE", self._keys.changes, name, name)
        return [_last_of(entry) for entry in found] == [last]

    async def read(self, *, count: int, block: float) -> list[bytes] | None:
        """What comes next; nothing where nothing came in `block` seconds, None where some is gone.

        Raises EngineGoneError and EngineRefusedError.
        """
        after = b"%d-1" % self.number
        found = await self._engine.read(self._keys.changes, after, count=count, block=block)
        entries: list[bytes] = []
        for identifier, fields in found:
            number = int(identifier.partition(b"-")[0])
            if number != self.number + 1:
                return None
            self.number = number
            entries.append(fields.get(_FIELD, b""))  # without one it is a damaged entry
            self._last = identifier, fields.get(b"t", b"")
        return entries

    def fields(self, key: bytes) -> Fields:
        """The fields of a hash with their values."""
        return Fields(self._engine, key)


class Fields:
    """The fields of a hash with their values, some at a time. One may come twice.

    No generator: whoever ends within `async for`, cancelled or not, leaves nothing to be closed.
    """

    def __init__(self, engine: Engine, key: bytes) -> None:
        self._engine = engine
        self._key = key
        self._cursor = b"0"
        self._is_over = False

    def __aiter__(self) -> Fields:
        return self

    async def __anext__(self) -> list[tuple[bytes, bytes]]:
        """Raises EngineGoneError and EngineRefusedError."""
        if self._is_over:
            raise StopAsyncIteration
        self._cursor, flat = await self._engine.call(
            b"HSCAN", self._key, self._cursor, b"COUNT", _STEP
        )
        self._is_over = self._cursor == b"0"
        return list(zip(flat[::2], flat[1::2], strict=True))


def encode_interests(node: str, interests: Mapping[str, int]) -> bytes:
    """What a node wants from now on: how many there share each filter, or 1; 0 for no more."""
    name = node.encode()
    parts = [_SHORT.pack(len(name)), name]
    for topic_filter, count in interests.items():
        text = topic_filter.encode()
        parts += _SHORT.pack(len(text)), text, _LONG.pack(count)
    return b"".join(parts)


def decode_interests(data: memoryview) -> tuple[str, dict[str, int]]:
    """The node, and its interests that have changed. Raises EntryError where that is damaged."""
    try:
        (size,) = _SHORT.unpack_from(data, 0)
        at = 2 + size
        node = str(data[2:at], "utf-8")
        interests: dict[str, int] = {}
        while at < len(data):
            (size,) = _SHORT.unpack_from(data, at)
            text = str(data[at + 2 : at + 2 + size], "utf-8")
            at += 2 + size
            (interests[text],) = _LONG.unpack_from(data, at)
            at += 4
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"damaged interests: {error}") from error
    return node, interests


def _last_of(entry: tuple[bytes, list[bytes]]) -> tuple[bytes, bytes]:
    """What an entry of the stream is known by."""
    identifier, flat = entry
    return identifier, dict(zip(flat[::2], flat[1::2], strict=True)).get(b"t", b"")
