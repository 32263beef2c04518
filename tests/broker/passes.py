"""How much a broker does between two moments at which everybody has had their turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

LOOKS = 10  # at the clock in one turn, where it is the fixture `slow_clock`


@asynccontextmanager
async def watched(done: Callable[[], int]) -> AsyncIterator[list[int]]:
    """What is done between two passes of a task that only lets others run: of two turns at most.

    Trio runs tasks of one pass in any order. Time stands still meanwhile.
    """
    passes: list[int] = []

    async def watch() -> None:
        before = done()
        while True:
            await trio.lowlevel.checkpoint()
            now = done()
            passes.append(now - before)
            before = now

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        yield passes
        nursery.cancel_scope.cancel()
