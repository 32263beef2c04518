"""How far a broker is that begins with what an earlier one has left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from tmqtt.terminal.terminal import Terminal

_PATIENCE = 0.3  # seconds after which a person wonders
_TICK = 0.1  # seconds
_REPORTED = 5.0  # seconds between two reports to who started the broker


class Restoring:
    """Shows in a terminal how far it is, where that takes long enough for a person to wonder.

    `report` is called with how far it is, from 0 to 1, as long as it goes on.
    """

    def __init__(self, terminal: Terminal, report: Callable[[float], None]) -> None:
        self._terminal = terminal
        self._report = report
        self._shown, self._reported = trio.CancelScope(), trio.CancelScope()
        self._began = time.monotonic()
        self._done = 0.0

    def progress(self, done: float) -> None:
        """It is so far, from 0 to 1. Called by any thread."""
        self._done = done

    def end(self) -> float:
        """It is done: nothing more is shown, from now on. How many seconds it took."""
        self._shown.cancel()
        self._terminal.pass_by("")  # not only when `show` gets its turn: others draw before it
        self._reported.cancel()
        return time.monotonic() - self._began

    async def show(self) -> None:
        """Show it until the end."""
        if not self._terminal.messages.is_terminal:
            return
        with self._shown:
            await trio.sleep(_PATIENCE)
            try:
                while not self._shown.cancel_called:
                    self._terminal.pass_by(f"Restoring what is kept: {self._done:.0%}")
                    await trio.sleep(_TICK)
            finally:
                self._terminal.pass_by("")

    async def report(self) -> None:
        """Report it until the end, and not where it does not get further: that may hang."""
        reported = 0.0
        with self._reported:
            while True:
                await trio.sleep(_REPORTED)
                if self._done > reported:
                    reported = self._done
                    self._report(reported)


@asynccontextmanager
async def shown_restoring(
    terminal: Terminal, report: Callable[[float], None]
) -> AsyncIterator[Restoring]:
    """Show how far restoring is until its end, and report it; the context may last longer."""
    restoring = Restoring(terminal, report)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(restoring.show)
        nursery.start_soon(restoring.report)
        yield restoring
