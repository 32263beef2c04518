"""Whether this node knows what the others knew a moment ago."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.promises import Awaited
from trio_mqtt.cluster.engine.calls import EngineGoneError

if TYPE_CHECKING:
    from trio_mqtt.cluster.changes import Changes
    from trio_mqtt.cluster.engine.engine import Engine


class CatchingUp:
    """Asks how many changes there are, once for all who want to know, and waits for the last."""

    def __init__(self, engine: Engine, changes: Changes) -> None:
        self._engine = engine
        self._changes = changes
        self._next: Awaited | None = None
        self._waiting: deque[tuple[int, Awaited]] = deque()
        self._wake = trio.Event()

    def wanted(self) -> Awaited:
        """What is over once this node has done all changes that there are now."""
        if self._next is None:
            self._next = Awaited()
            self._wake.set()
        return self._next

    def look(self) -> None:
        """Some changes have been done."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= self._changes.number:
            waiting.popleft()[1].end()

    async def run(self) -> None:
        """Ask, until cancelled. While the engine is gone, nobody waits: what is here is all."""
        while True:
            self._wake = trio.Event()
            if self._next is None:
                await self._wake.wait()
            awaited, self._next = self._next, None
            if awaited is None:
                continue
            try:
                number = await self._changes.count()
            except EngineGoneError:
                awaited.end()
                while self._waiting:
                    self._waiting.popleft()[1].end()
            else:
                self._waiting.append((number, awaited))
                self.look()
