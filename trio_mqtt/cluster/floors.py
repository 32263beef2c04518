"""Up to where all is over, in each log that sessions of a node keep up with: one hash for a node.

What that means for a session is said where it is told: `broker/clustering/durable/floors.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.cluster.engine.calls import Call, Script, answered
from trio_mqtt.cluster.positions import NOTHING, EntryId, Position, entry_id, entry_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trio_mqtt.cluster.engine.engine import Engine

CURSOR = b"k/"
"""With what begin the fields of a session's hash that have its positions, by topic filter."""

# Whoever has looked at a session when its node was dead asks for the floors soon after, if at all.
_LASTING = 7 * 86_400_000  # milliseconds
_AT_ONCE = 2_000  # logs that one call is about

TELL = Script(
    """
-- how many floors there are; filters and entries, then filters that have none any more
local pairs_end = 1 + 2 * tonumber(ARGV[1])
for i = 2, pairs_end, 1000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 999, pairs_end)))
end
for i = pairs_end + 1, #ARGV, 1000 do
  redis.call('HDEL', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
return 1
""",
    fenced=True,
)
"""Floors of a living node."""

SETTLE = Script("""
-- fields of a session, each with what it was and what it is then
local changed = 0
for i = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    changed = changed + 1
  end
end
return changed
""")
"""Positions that were told by a floor are the session's own, unless it has moved since."""


class FloorStore:
    """The floors of all nodes. What asks the engine raises EngineGoneError and
    EngineRefusedError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def tell(
        self, node: str, floors: Mapping[str, EntryId], gone: Collection[str] = ()
    ) -> None:
        """These are the floors of a node in logs from now on; in `gone` it has none any more."""
        key = self._engine.keys.floors(node)
        texts, going = list(floors), list(gone)
        calls = []
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            pairs = (one for text in part for one in (text, entry_text(floors[text])))
            calls.append(self._engine.scripted(TELL, [key], len(part), *pairs))
        for start in range(0, len(going), _AT_ONCE):
            part = going[start : start + _AT_ONCE]
            calls.append(self._engine.scripted(TELL, [key], 0, *part))
        answered(await self._engine.all(calls))

    async def expire(self, node: str) -> None:
        """A node has gone, and no session has positions that its floors are needed for."""
        await self._engine.call("PEXPIRE", self._engine.keys.floors(node), _LASTING)

    async def positions(self, fields: Mapping[bytes, bytes]) -> dict[str, Position]:
        """The positions among the fields of a session, with what floors say of them.

        Raises ValueError where one is damaged.
        """
        found = positions_of(fields)
        await self._raise({"": found})
        return found

    async def settle(self, sessions: Mapping[str, Mapping[bytes, bytes]]) -> None:
        """Have sessions say themselves how far they are: by their keys, the fields of positions as
        they were."""
        found: dict[str, dict[str, Position]] = {}
        for key, fields in sessions.items():
            try:
                found[key] = positions_of(fields)
            except ValueError:
                continue  # whoever has the session next finds that, and says so
        await self._raise(found)
        calls = [
            self._engine.scripted(
                SETTLE,
                [self._engine.keys.of_client(key, "session")],
                *(
                    one
                    for field, position in zip(sessions[key], positions.values(), strict=True)
                    for one in (field, sessions[key][field], bytes(position))
                ),
            )
            for key, positions in found.items()
            if positions
        ]
        answered(await self._engine.all(calls))

    async def _raise(self, sessions: Mapping[str, dict[str, Position]]) -> None:
        """Have positions say themselves what floors say of them."""
        wanted: dict[str, dict[str, None]] = {}
        for positions in sessions.values():
            for text, position in positions.items():
                if position.floor_of:
                    wanted.setdefault(position.floor_of, {})[text] = None
        if not wanted:
            return
        asked = [
            (node, list(texts)[start : start + _AT_ONCE])
            for node, texts in wanted.items()
            for start in range(0, len(texts), _AT_ONCE)
        ]
        floors_of = self._engine.keys.floors
        replies = answered(
            await self._engine.all([Call("HMGET", floors_of(node), *part) for node, part in asked])
        )
        floors: dict[tuple[str, str], EntryId] = {}
        for (node, part), reply in zip(asked, replies, strict=True):
            floors.update(
                ((node, text), entry_id(one))
                for text, one in zip(part, reply, strict=True)
                if one is not None
            )
        for positions in sessions.values():
            for text, position in positions.items():
                if position.floor_of:
                    floor = floors.get((position.floor_of, text), NOTHING)
                    positions[text] = position.above(floor)


def field_of(topic_filter: str) -> bytes:
    """The field that has the position of a session in a log."""
    return CURSOR + topic_filter.encode()


def positions_of(fields: Mapping[bytes, bytes]) -> dict[str, Position]:
    """The positions among the fields of a session. Raises ValueError where one is damaged."""
    return {
        field[len(CURSOR) :].decode(): Position.parsed(value)
        for field, value in fields.items()
        if field.startswith(CURSOR)
    }
