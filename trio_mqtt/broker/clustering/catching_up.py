"""Whether this node knows what the others knew a moment ago."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.promises import Awaited
from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.cluster.changes import Changes
    from trio_mqtt.cluster.engine.engine import Engine


class CatchingUp:
    """Asks how many changes there are, once for all who want to know, and waits for the last."""

    def __init__(
        self,
        engine: Engine,
        changes: Changes,
        give_up: Callable[[EngineRefusedError], None] = lambda _error: None,
    ) -> None:
        self._engine = engine
        self._give_up = give_up
        self._changes = changes
        self._next: Awaited | None = None
        self._waiting: deque[tuple[int, Awaited]] = deque()
        # Those of which the number says nothing any more.
        self._again: list[Awaited] = []
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

    def begin_anew(self) -> None:
        """All was read anew: an engine that has lost changes counts on from fewer of them."""
        self._again += [awaited for _, awaited in self._waiting]
        self._waiting.clear()
        if self._again:
            self._wake.set()

    async def run(self) -> None:
        """Ask, until cancelled. While the engine is gone, nobody waits: what is here is all."""
        while True:
            self._wake = trio.Event()
            if self._next is None and not self._again:
                await self._wake.wait()
            asking, self._again = self._again, []
            if self._next is not None:
                asking.append(self._next)
                self._next = None
            try:
                number = await self._changes.count()
            except (EngineGoneError, EngineRefusedError) as error:
                if isinstance(error, EngineRefusedError):
                    self._give_up(error)
                for awaited in asking:
                    awaited.end()
                while self._waiting:
                    self._waiting.popleft()[1].end()
            else:
                self._waiting += [(number, awaited) for awaited in asking]
                self.look()
