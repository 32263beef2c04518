"""Virtual time stands still while a thread works, so that it does not jump past what that brings.

Trio's clock for tests jumps to the next deadline as soon as all tasks wait, also for a thread.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import trio
from trio.testing import MockClock

from trio_mqtt.storage.worker_thread import WorkerThread

# How many threads each clock waits for, and the threshold that it had before.
_held: WeakKeyDictionary[MockClock, tuple[int, float]] = WeakKeyDictionary()


@contextmanager
def standing_time() -> Iterator[None]:
    """Time stands in the block, where it is virtual."""
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, MockClock):
        yield
        return
    threads, threshold = _held.get(clock, (0, clock.autojump_threshold))
    _held[clock] = threads + 1, threshold
    clock.autojump_threshold = math.inf
    try:
        yield
    finally:
        threads, _ = _held[clock]
        if threads == 1:
            del _held[clock]
            clock.autojump_threshold = threshold
        else:
            _held[clock] = threads - 1, threshold


def standing(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same function, while which time stands."""

    async def wrapped(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        with standing_time():
            return await function(*arguments, **options)

    return wrapped


def let_time_stand(patch: pytest.MonkeyPatch) -> None:
    """From now on time stands whenever something waits for a thread."""
    patch.setattr(trio.to_thread, "run_sync", standing(trio.to_thread.run_sync))
    patch.setattr(WorkerThread, "run", standing(WorkerThread.run))
