"""How far a broker is that begins with what an earlier one has left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tmqtt.terminal.terminal import Terminal

_PATIENCE = 0.3  # seconds after which a person wonders
_TICK = 0.1  # seconds


class Restoring:
    """Shows in a terminal how far it is, where that takes long enough for a person to wonder."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._shown = trio.CancelScope()
        self._began = time.monotonic()
        self._done = 0.0

    def progress(self, done: float) -> None:
        """It is so far, from 0 to 1. Called by any thread."""
        self._done = done

    def end(self) -> float:
        """It is done: nothing more is shown. How many seconds it took."""
        self._shown.cancel()
        return time.monotonic() - self._began

    async def show(self) -> None:
        """Show it until the end."""
        if not self._terminal.messages.is_terminal:
            return
        with self._shown:
            await trio.sleep(_PATIENCE)
            try:
                while True:
                    self._terminal.pass_by(f"Restoring what is kept: {self._done:.0%}")
                    await trio.sleep(_TICK)
            finally:
                self._terminal.pass_by("")


@asynccontextmanager
async def shown_restoring(terminal: Terminal) -> AsyncIterator[Restoring]:
    """Show how far restoring is until its end; the context may last longer."""
    restoring = Restoring(terminal)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(restoring.show)
        yield restoring
