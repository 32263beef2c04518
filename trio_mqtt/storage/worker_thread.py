"""A thread for calls that block, one after the other, from Trio."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeAlias, TypeVar, cast

import outcome
import trio

T = TypeVar("T")

_IDLE = 0.1  # seconds without a call, until what may wait has its turn
_BUSY = 1.0  # seconds after which it has one all the same
_AFTER_A_DEFECT = 10.0  # seconds until what may wait is tried again

logger = logging.getLogger("trio_mqtt.storage")

_Call: TypeAlias = tuple[Callable[[], object], Callable[["outcome.Outcome[object]"], None]]


class WorkerThread:
    """Runs what it is given, and what may wait: when nothing comes for a while, or once a second.

    `between` does a little of that, and returns after how many seconds it wants to be called
    again; None is not before there was something else to do.
    """

    def __init__(self, name: str, between: Callable[[], float | None]) -> None:
        self._between = between
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        # A daemon: what a program leaves open must not keep it from ending.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises; cancelled, it has either not begun or is over."""
        await trio.lowlevel.checkpoint_if_cancelled()
        task = trio.lowlevel.current_task()
        token = trio.lowlevel.current_trio_token()

        def answer(result: outcome.Outcome[object]) -> None:
            with suppress(trio.RunFinishedError):  # then nobody waits any more
                token.run_sync_soon(trio.lowlevel.reschedule, task, result)

        self._calls.put((call, answer))
        return cast(T, await trio.lowlevel.wait_task_rescheduled(_not_now))

    async def end(self, last: Callable[[], object]) -> None:
        """Have it do what was asked, and this, and end, whoever is cancelled."""
        with trio.CancelScope(shield=True):
            try:
                await self.run(last)
            finally:
                self._calls.put(None)
                await trio.to_thread.run_sync(self._thread.join)

    def _serve(self) -> None:
        wait: float | None = None
        next_at = 0.0
        while True:
            try:
                asked = self._calls.get(timeout=wait)
            except Empty:
                wait = self._do_between()
                next_at = monotonic() + _BUSY
                continue
            if asked is None:
                return
            call, answer = asked
            answer(outcome.capture(call))
            del asked, call, answer  # they hold what was written
            wait = 0.0 if monotonic() > next_at else _IDLE

    def _do_between(self) -> float | None:
        """A little of what may wait. Whatever fails there, who asks is answered."""
        try:
            return self._between()
        except Exception:
            logger.exception("What %s does between calls failed", self._thread.name)
            return _AFTER_A_DEFECT


def _not_now(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
