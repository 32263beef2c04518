"""What is said of a broker that is not there yet, as the engine of its cluster is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from tmqtt.broker.levels import Level
from tmqtt.broker.library_log import AWAITED, LibraryLog
from tmqtt.terminal.terminal import Terminal

_TICK = 0.2  # seconds between two looks at what was logged
_REPORTED = 5.0  # seconds between two reports to who started the broker


class Starting:
    """Tells at once what is wrong, where the view that would tell it has not begun."""

    def __init__(
        self, log: LibraryLog, terminal: Terminal, level: Level, report: Callable[[str], None]
    ) -> None:
        self._log = log
        self._terminal = terminal
        self._level = level
        self._report = report
        self._scope = trio.CancelScope()

    def end(self) -> None:
        """The view tells what is logged, from now on."""
        self._scope.cancel()

    async def tell(self) -> None:
        """Tell it until the end, and report that the start takes its time."""
        awaited, due = "", trio.current_time()
        with self._scope:
            while True:
                await trio.sleep(_TICK)
                for notice in self._log.take_of(AWAITED):
                    if self._level.tells(Level.WARNING):
                        self._terminal.warn(notice.text)
                    awaited = notice.text
                if awaited and trio.current_time() >= due:
                    due = trio.current_time() + _REPORTED
                    self._report(awaited)


@asynccontextmanager
async def told_starting(
    log: LibraryLog, terminal: Terminal, level: Level, report: Callable[[str], None]
) -> AsyncIterator[Starting]:
    """Tell what a start waits for until its end, and report it; the context may last longer."""
    starting = Starting(log, terminal, level, report)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(starting.tell)
        yield starting
