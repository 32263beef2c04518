"""That this node counts as alive, and which others do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trio_mqtt.cluster.engine.calls import EngineGoneError, Script

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine

_RENEW = Script("""\
-- KEYS: the nodes. ARGV: this one, milliseconds of its lease.
local time = now()
redis.call('ZADD', KEYS[1], time + ARGV[2], ARGV[1])
return {time + ARGV[2], redis.call('ZRANGEBYSCORE', KEYS[1], time, '+inf')}
""")


class Lease:
    """Renews this node's lease; `gone` is told of each other node whose lease has ended."""

    def __init__(self, engine: Engine, node: str, gone: Callable[[str], None]) -> None:
        self._engine = engine
        self._node = node
        self._gone = gone
        self.alive: set[str] = set()

    async def renew(self) -> set[str]:
        """The nodes that are alive now, with this one."""
        milliseconds = round(self._engine.settings.lease * 1000)
        keys = (self._engine.keys.nodes,)
        end, nodes = await self._engine.run(_RENEW, keys, self._node, milliseconds)
        self._engine.deadline_ms = end
        alive = {node.decode() for node in nodes}
        before, self.alive = self.alive, alive
        for node in before - alive:
            self._gone(node)
        return alive

    async def run(self) -> None:
        """Renew it each third of its time, until cancelled."""
        while True:
            await trio.sleep(self._engine.settings.lease / 3)
            with suppress(EngineGoneError):
                await self.renew()

    async def give_up(self) -> None:
        """This node is none any more."""
        with suppress(EngineGoneError):
            await self._engine.call(b"ZREM", self._engine.keys.nodes, self._node)
