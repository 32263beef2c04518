"""Which topic filters durable sessions have, wherever they are: what all nodes put into logs.

The hash has each with the number of the change that was made last for it. That one goes only where
nobody has said so again since: who takes the last session of a filter away names the number that it
knows.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from trio_mqtt.cluster.changes import KEPT
from trio_mqtt.cluster.engine.calls import Script
from trio_mqtt.cluster.entries import EntryError, encode_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.cluster.engine.engine import Engine

DURABLE = 32
"""The kind of an item of the changes: a topic filter is durable from now on, or no more."""

_DURABLE = struct.Struct(">BH")

SAY = Script(
    """\
-- KEYS: the nodes, the changes, their number, the hash.
-- ARGV: the entry, how many are kept, the filter; the number that it must have to go.
local goes = ARGV[4] ~= ''
if goes and redis.call('HGET', KEYS[4], ARGV[3]) ~= ARGV[4] then return {0, {}} end
local number = redis.call('INCR', KEYS[3])
if goes then
  redis.call('HDEL', KEYS[4], ARGV[3])
else
  redis.call('HSET', KEYS[4], ARGV[3], number)
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], number .. '-1', 'e', ARGV[1], 't', now())
return {number, redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf')}
""",
    fenced=True,
)


def encode_durable(node: str, topic_filter: str, *, is_durable: bool) -> bytes:
    """What a node says of a filter."""
    name, text = node.encode(), topic_filter.encode()
    return b"".join((_DURABLE.pack(is_durable, len(name)), name, text))


def decode_durable(data: memoryview) -> tuple[str, str, bool]:
    """The node, the filter, and whether it is durable. Raises EntryError where it is damaged."""
    try:
        is_durable, size = _DURABLE.unpack_from(data, 0)
        at = _DURABLE.size + size
        return str(data[_DURABLE.size : at], "utf-8"), str(data[at:], "utf-8"), bool(is_durable)
    except (struct.error, UnicodeDecodeError) as error:
        raise EntryError(f"a damaged item: {error}") from error


class DurableFilters:
    """The durable filters of a cluster, as one node tells the others of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.node = ""
        """Which node this process is."""

    async def say(self, topic_filter: str) -> tuple[int, set[str]]:
        """A filter is durable: the number of the change, and the nodes that are to know of it.

        Raises EngineGoneError and EngineRefusedError.
        """
        return await self._say(topic_filter, "")

    async def no_longer(self, topic_filter: str, number: int) -> None:
        """Nobody has a filter any more, if nobody has said so since the change of this number.

        Raises EngineGoneError and EngineRefusedError.
        """
        await self._say(topic_filter, str(number))

    async def _say(self, topic_filter: str, number: str) -> tuple[int, set[str]]:
        keys = self._engine.keys
        data = encode_durable(self.node, topic_filter, is_durable=not number)
        reply = await self._engine.run(
            SAY,
            (keys.nodes, keys.changes, keys.changes_number, keys.durable),
            encode_entry([(DURABLE, data)]),
            KEPT,
            topic_filter,
            number,
        )
        made, nodes = _listed(reply)
        if not isinstance(made, int):
            raise EntryError(f"the engine answers {made!r}")
        return made, {node.decode() for node in _listed(nodes) if isinstance(node, bytes)}


def _listed(reply: object) -> Sequence[object]:
    if not isinstance(reply, list):
        raise EntryError(f"the engine answers {reply!r}")
    return reply
