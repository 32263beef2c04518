"""When a publisher's messages are due, and which moment counts as the one a message was sent at."""

from __future__ import annotations

_SECOND = 1_000_000_000


class Pace:
    """The moments `start`, `start + 1 / rate`, …, in nanoseconds of the monotonic clock."""

    __slots__ = ("_next", "_period", "_start", "_woke")

    def __init__(self, start: int, rate: float) -> None:
        self._start = start
        self._period = _SECOND / rate
        self._next = 0
        self._woke = start

    @property
    def due(self) -> int:
        """When the next message is due. Multiplied, not added up, so that it does not drift."""
        return self._start + int(self._next * self._period)

    def woke(self, now: int) -> None:
        """The publisher had nothing to do and slept until now, by a timer that may be late."""
        self._woke = now

    def take(self) -> int:
        """The next message leaves: the moment from which its latency counts.

        That is when it was due, also where the broker held up those before it: else a broker that
        stands still for a second would be charged for one slow message instead of a thousand
        (coordinated omission). Only what this end overslept is not the broker's.
        """
        due = self.due
        self._next += 1
        return max(due, self._woke)
