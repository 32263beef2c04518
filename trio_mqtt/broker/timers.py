"""What is to happen later: session expiry and delayed wills. One task, asleep until the next."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio


class Timer:
    """One thing to do, unless it is cancelled before."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Timers:
    """Runs actions at their times, on Trio's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._changed = trio.Event()

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Call `action` in so many seconds."""
        timer = Timer(action)
        entry = (trio.current_time() + seconds, next(self._order), timer)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._changed.set()
        return timer

    async def run(self) -> None:
        while True:
            self._changed = trio.Event()
            now = trio.current_time()
            while self._heap and (self._heap[0][0] <= now or self._heap[0][2].action is None):
                action = heapq.heappop(self._heap)[2].action
                if action is not None:
                    action()
            with trio.CancelScope() as scope:
                if self._heap:
                    scope.deadline = self._heap[0][0]
                await self._changed.wait()
