"""When the messages of `pub --every` are due: on an absolute schedule that does not drift."""

from __future__ import annotations

import math

# Seconds that the publisher may be late and still make up for it message by message. Beyond that
# (the broker was away, the machine slept) what was missed is left out: nobody waits for it.
PATIENCE = 1.0


class Schedule:
    """The moments `start`, `start + period`, `start + 2 * period` …, in seconds of any clock."""

    def __init__(self, start: float, period: float) -> None:
        self._start = start
        self._period = period
        self._slot = -1

    def next_due(self, now: float) -> float:
        """The moment for the next message; it may have passed, then the message is due at once.

        It is multiplied, never added up, so that lateness and rounding do not accumulate.
        """
        self._slot += 1
        due = self._start + self._slot * self._period
        if now - due > max(PATIENCE, self._period):
            self._slot = math.floor((now - self._start) / self._period)
            due = self._start + self._slot * self._period
        return due
