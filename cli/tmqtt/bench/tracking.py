"""Following one publisher's messages at one subscriber: what is missing, repeated, out of order."""

from __future__ import annotations

from bisect import bisect_right

# Gaps that are remembered; of more, some are forgotten: what was in them counts as lost for good,
# and should it come after all, as repeated.
MAX_GAPS = 10_000


class Track:
    """The messages of one publisher, by their numbers from 0 on.

    `take` is for any number; while the next one is `expected`, adding 1 to that is the same and
    faster.
    """

    __slots__ = ("_ends", "_starts", "expected", "first", "missing", "reordered", "repeated")

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self.expected = first
        self.missing = 0
        self.repeated = 0
        # Messages that came for the first time after one with a higher number.
        self.reordered = 0
        self._starts: list[int] = []
        self._ends: list[int] = []

    @property
    def unique(self) -> int:
        """How many different messages have come."""
        return self.expected - self.first - self.missing

    def take(self, number: int) -> None:
        """A message has come."""
        expected = self.expected
        if number >= expected:
            if number > expected:
                self._miss(expected, number)
            self.expected = number + 1
        elif not self._fill(number):
            self.repeated += 1

    def _miss(self, start: int, end: int) -> None:
        self.missing += end - start
        if len(self._starts) >= MAX_GAPS:
            del self._starts[0], self._ends[0]
        self._starts.append(start)
        self._ends.append(end)

    def _fill(self, number: int) -> bool:
        """Take a number out of the gap that it is in; whether it was in one."""
        at = bisect_right(self._starts, number) - 1
        if at < 0 or number >= self._ends[at]:
            return False
        self.missing -= 1
        self.reordered += 1
        start, end = self._starts[at], self._ends[at]
        if number == start:
            if end == start + 1:
                del self._starts[at], self._ends[at]
            else:
                self._starts[at] = start + 1
        else:
            self._ends[at] = number
            if number + 1 < end and len(self._starts) < MAX_GAPS:
                self._starts.insert(at + 1, number + 1)
                self._ends.insert(at + 1, end)
        return True


class Latencies:
    """Counts of latencies in microseconds, as exact as an HDR histogram of three digits keeps them.

    Recording costs a shift and an addition; the histogram itself is made where all come together.
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, nanoseconds: int) -> None:
        value = nanoseconds // 1_000
        if value > 2_047:
            shift = value.bit_length() - 11
            value = value >> shift << shift
        counts = self._counts
        counts[value] = counts.get(value, 0) + 1

    def take(self) -> dict[int, int]:
        """The counts since the last call, by value."""
        counts, self._counts = self._counts, {}
        return counts
