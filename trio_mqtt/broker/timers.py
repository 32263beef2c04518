"""What is to happen later: session expiry and delayed wills. One task, asleep until the next."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable

import trio

logger = logging.getLogger("trio_mqtt.broker")

_FEW = 1_000  # cancelled timers that may stay until their time has come


class Timer:
    """One thing to do, unless it is cancelled before."""

    __slots__ = ("_timers", "action")

    def __init__(self, action: Callable[[], None], timers: Timers) -> None:
        self.action: Callable[[], None] | None = action
        self._timers = timers

    def cancel(self) -> None:
        if self.action is not None:
            self.action = None
            self._timers.count_cancelled()


class Timers:
    """Runs actions at their times, on Trio's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._changed = trio.Event()
        self._cancelled = 0  # of those in the heap

    def count_cancelled(self) -> None:
        """Forget cancelled timers once they are most of all.

        Keep alives and expiries lie hours ahead: those of clients that come and go would pile up.
        """
        self._cancelled += 1
        if self._cancelled > _FEW and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Call `action` in so many seconds."""
        timer = Timer(action, self)
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
                self._run(heapq.heappop(self._heap)[2])
            with trio.CancelScope() as scope:
                if self._heap:
                    scope.deadline = self._heap[0][0]
                await self._changed.wait()

    def _run(self, timer: Timer) -> None:
        action = timer.action
        if action is None:
            self._cancelled -= 1
            return
        timer.action = None  # it is not in the heap any more, and cancelling it changes nothing
        try:
            action()
        except Exception:
            # A defect met by one client's timer: those of the others go on.
            logger.exception("What was to happen at its time failed")
