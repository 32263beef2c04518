"""Lines of the log of one kind: each of them while they are few, of a storm a sum.

Whatever clients do, a log has so many lines in a minute, of which one client has a few. What is
left out is counted, and summed up when the minute is over.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from trio_mqtt.broker.timers import Timers

T = TypeVar("T")

WINDOW = 60.0  # seconds
_COUNTED = 1_000  # clients of which it is counted apart in a minute what was left out
_NAMED = 3  # of them, those with most are named
_SHOWN = 200  # characters of a name or a topic


class LogLines(Generic[T]):
    """The lines of one logger and level in the current minute, and what they leave out.

    `sum_up` is told how much was left out: in all, and of whom and what most.
    """

    __slots__ = ("_left_out", "_left_out_of", "_level", "_lines", "_lines_of_one", "_logger",
                 "_sum_up", "_timers", "_until", "_written", "_written_of")  # fmt: skip

    def __init__(
        self,
        logger: logging.Logger,
        level: int,
        timers: Timers,
        sum_up: Callable[[int, list[tuple[str, T, int]], set[T]], None],
        *,
        lines: int,
        lines_of_one: int,
    ) -> None:
        self._logger = logger
        self._level = level
        self._timers = timers
        self._sum_up = sum_up
        self._lines = lines
        self._lines_of_one = lines_of_one
        self._until = float("-inf")
        self._written = 0
        self._written_of: Counter[str] = Counter()
        self._left_out = 0
        self._left_out_of: Counter[tuple[str, T]] = Counter()

    def left_for(self, who: str) -> bool:
        """Whether there is a line left for a client."""
        if not self._logger.isEnabledFor(self._level):
            return False
        now = trio.current_time()
        if now >= self._until:
            self.sum_up()
            self._until = now + WINDOW
            self._written = 0
            self._written_of.clear()
        return self._written < self._lines and self._written_of[who] < self._lines_of_one

    def take(self, who: str, what: T, count: int = 1) -> bool:
        """Take a line for a client, if there is one; else what it was for is counted."""
        if self.left_for(who):
            self._written += 1
            self._written_of[who] += 1
            return True
        if self._logger.isEnabledFor(self._level):
            if not self._left_out:
                left = max(0.0, self._until - trio.current_time())
                self._timers.after(left, self.sum_up)
            self._left_out += count
            entry = who, what
            if entry in self._left_out_of or len(self._left_out_of) < _COUNTED:
                self._left_out_of[entry] += count
        return False

    def sum_up(self) -> None:
        """Say how much was left out of the log."""
        left_out, self._left_out = self._left_out, 0
        most = [(who, what, count) for (who, what), count in self._left_out_of.most_common(_NAMED)]
        kinds = {what for _, what in self._left_out_of}
        self._left_out_of.clear()
        if left_out:
            self._sum_up(left_out, most, kinds)


def shown(text: str) -> str:
    """What a client has chosen, as a line has it: quoted, so that it stays one line, and cut."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
