"""A node's inbox: the stream of what other nodes have for it, bounded by entries and bytes.

Each node writes for each other at most one entry at a time, so what one node writes comes in order.
The reader says now and then how far it is, and what it has read is cut off. Whoever finds the inbox
full is told so and keeps what it has, or drops it. A node that is gone reads nothing any more: its
inbox ends by itself a while after the last that was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.cluster.engine.calls import Call, Script

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine

FIELD = b"e"
_LASTS = 10  # times a lease that an inbox lasts to which nobody writes

_SEND = """\
-- KEYS: the inbox, its figures. ARGV: the entry; how many entries and bytes it may have, 0: any.
local most, most_bytes, size = tonumber(ARGV[2]), tonumber(ARGV[3]), #ARGV[1]
local figures = redis.call('HMGET', KEYS[2], 'written', 'taken')
local waiting = (tonumber(figures[1]) or 0) - (tonumber(figures[2]) or 0)
if most_bytes > 0 and waiting > 0 and
    (waiting + size > most_bytes or redis.call('XLEN', KEYS[1]) > most) then
  return 0
end
redis.call('XADD', KEYS[1], '*', 'e', ARGV[1])
redis.call('HINCRBY', KEYS[2], 'written', size)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
"""
SEND = Script(_SEND)
SEND_PROMISED = Script(_SEND, fenced=True)

TAKEN = Script("""\
-- KEYS: the inbox, its figures. ARGV: the last entry that was read, the bytes that were in all, and
-- those that were told before. The figures may have ended and begun anew since: what was written
-- before that says nothing of what waits.
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
local figures = redis.call('HMGET', KEYS[2], 'written', 'taken', 'told')
if not figures[1] then return 0 end
local taken = (figures[2] or 0) + ARGV[2] - (figures[3] or ARGV[3])
redis.call('HSET', KEYS[2], 'taken', math.min(figures[1], taken), 'told', ARGV[2])
return 1
""")


class Inboxes:
    """The inboxes of a cluster's nodes, as one of them writes to them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(
        self, node: str, entry: bytes, *, is_promised: bool = False, is_bounded: bool = True
    ) -> Call:
        """What writes an entry for a node; it answers 1, or 0 where there is no room for it.

        A promised one is refused where this node's lease has ended. Raises EngineFencedError where
        it has none.
        """
        settings, keys = self._engine.settings, self._engine.keys
        bounds = (settings.inbox_entries, settings.inbox_bytes) if is_bounded else (0, 0)
        return self._engine.scripted(
            SEND_PROMISED if is_promised else SEND,
            (keys.inbox(node), keys.inbox_figures(node)),
            entry,
            *bounds,
            round(settings.lease * _LASTS * 1000),
        )


class Inbox:
    """The inbox of this node, read from its begin on."""

    def __init__(self, engine: Engine, node: str) -> None:
        self._engine = engine
        self._keys = engine.keys.inbox(node), engine.keys.inbox_figures(node)
        self._after = b"0-0"
        self._entries = self._bytes = 0
        # As many of both as this node has given back the place of.
        self._told = 0, 0

    async def read(self, *, count: int, block: float) -> list[bytes]:
        """What has come, at most `count` entries; nothing where none came in `block` seconds.

        Raises EngineGoneError and EngineRefusedError.
        """
        found = await self._engine.read(self._keys[0], self._after, count=count, block=block)
        if not found:
            return []
        self._after = found[-1][0]
        # Something else that was written there is an entry of nothing, which is a damaged one.
        entries = [fields.get(FIELD, b"") for _, fields in found]
        self._entries += len(entries)
        self._bytes += sum(map(len, entries))
        return entries

    @property
    def last_at(self) -> float:
        """When the last entry that was read was written: seconds of the engine's clock."""
        return int(self._after.partition(b"-")[0]) / 1000

    @property
    def is_worth_telling(self) -> bool:
        """Whether so much was read since the last time that its place should be free again."""
        settings, (entries, size) = self._engine.settings, self._told
        return (self._bytes - size) * 8 >= settings.inbox_bytes or (
            self._entries - entries
        ) * 8 >= settings.inbox_entries

    async def taken(self) -> None:
        """All that was read so far needs no place any more.

        Raises EngineGoneError and EngineRefusedError.
        """
        after, told = self._after, (self._entries, self._bytes)
        await self._engine.run(TAKEN, self._keys, after, told[1], self._told[1])
        self._told = told
