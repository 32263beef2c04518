"""Turns: how much is done for one client before it is the others' turn.

Whatever a client sends, what it asks for is done in pieces of about a millisecond, and between two
of them everybody else who has something to do is served. A turn ends by the clock; the clock is
looked at where the work is, not for each message: messages that travel as one batch stay one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import ClassVar

import trio

TURN = 0.001  # seconds
# The turn of whoever only looks at what there is: a message meets two or three of them on its way.
SHORT_TURN = 0.0003
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
    length: ClassVar[float] = TURN

    def __init__(self) -> None:
        self._ends_at = clock() + self.length

    def begin(self) -> None:
        """The time of this turn runs from now on."""
        self._ends_at = clock() + self.length

    @property
    def is_over(self) -> bool:
        """Whether it is the others' turn."""
        return clock() >= self._ends_at

    async def give_way(self) -> None:
        """Let the others have their turn; then the next one begins."""
        await trio.lowlevel.checkpoint()
        self._ends_at = clock() + self.length


class ShortTurn(Turn):
    """The turn of what can wait, as nobody but a person does for it."""

    __slots__ = ()
    length = SHORT_TURN


class InTurns:
    """Takes the steps of what is to be done: a turn at once, the rest while others are served."""

    def __init__(self) -> None:
        self._left: deque[tuple[Iterator[None], trio.Event]] = deque()
        self._wake = trio.Event()
        self._is_over = False

    def add(self, steps: Iterator[None]) -> trio.Event:
        """Take these steps, after those before them; what happens when they are taken.

        What is left when the broker ends is left undone, and waited for no longer.
        """
        done = trio.Event()
        if not self._left:
            turn = Turn()
            for _ in steps:
                if turn.is_over:
                    break
            else:
                done.set()
                return done
        if self._is_over:
            done.set()
        else:
            self._left.append((steps, done))
            self._wake.set()
        return done

    async def run(self) -> None:
        """Go on with what is left, for as long as the broker runs."""
        try:
            while True:
                turn = Turn()
                while self._left:
                    steps, done = self._left[0]
                    for _ in steps:
                        if turn.is_over:
                            await turn.give_way()
                    self._left.popleft()
                    done.set()
                self._wake = trio.Event()
                await self._wake.wait()
        finally:
            self._is_over = True
            for _, done in self._left:
                done.set()
            self._left.clear()
