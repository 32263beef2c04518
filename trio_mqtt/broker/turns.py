"""Turns: how much is done for one client before it is the others' turn.

Whatever a client sends, what it asks for is done in pieces of about a millisecond, and between two
of them everybody else who has something to do is served. A turn ends by the clock; the clock is
looked at where the work is, not for each message: messages that travel as one batch stay one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

TURN = 0.001  # seconds
# Packets that are decoded in one turn, and messages of one batch at most. They take about as long;
# those of a run, which travels as it came, count a sixteenth.
PACKETS_AT_ONCE = 512
# The clock is looked at after so many steps of routing: a target that a topic reaches is one, so
# is a message, and a topic that is looked up for the first time is as many as it takes.
STEPS_AT_ONCE = 1_024

# The process' own time, in seconds: how long the others have waited, whatever Trio's clock says.
clock: Callable[[], float] = time.perf_counter


class Turn:
    """When it is the others' turn."""

    __slots__ = ("_ends_at",)

    def __init__(self) -> None:
        self._ends_at = clock() + TURN

    def begin(self) -> None:
        """The time of this turn runs from now on."""
        self._ends_at = clock() + TURN

    @property
    def is_over(self) -> bool:
        """Whether it is the others' turn."""
        return clock() >= self._ends_at

    async def give_way(self) -> None:
        """Let the others have their turn; then the next one begins."""
        await trio.lowlevel.checkpoint()
        self._ends_at = clock() + TURN
