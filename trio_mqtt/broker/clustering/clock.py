"""The engine's clock, which all nodes of a cluster go by: their own may say anything."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine

_ASKED = 3  # times: what came back soonest is what is nearest


class EngineClock:
    """What the time is for the engine, as far as this node can tell."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.epoch = 0.0
        """Seconds to add to the broker's clock, to get the engine's since 1970."""

    async def set(self) -> None:
        """Ask the engine. Raises EngineGoneError and EngineRefusedError."""
        shortest = inf
        for _ in range(_ASKED):
            before = trio.current_time()
            reply = await self._engine.call(b"TIME")
            after = trio.current_time()
            if after - before < shortest:
                shortest = after - before
                seconds, microseconds = map(int, reply)
                self.epoch = seconds + microseconds / 1e6 - (before + after) / 2
