"""How many messages a second a person is shown, and how many were left out. Sans-IO."""

from __future__ import annotations

BURST = 500  # messages in a row, such as those that were retained
PER_SECOND = 100  # more than that nobody reads
_SIZE = 4_000  # bytes of payload that take as long to show as one more message
_LARGE = 64 * 1024  # bytes, of which no more is looked at
_REPORT_EVERY = 1.0  # seconds


class Sample:
    """Lets through a burst of messages and then so many each second; the rest it counts."""

    def __init__(self, now: float, *, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self.seen = 0
        self.shown = 0
        self._burst = burst
        self._per_second = per_second
        self._allowed = float(burst)
        self._refilled = now
        self._reported = (0, 0)
        self._due: float | None = None

    def admits(self, now: float) -> bool:
        """Whether there is room for one more message; `take` it then, or `miss` it."""
        self._allowed = min(self._burst, self._allowed + (now - self._refilled) * self._per_second)
        self._refilled = now
        return self._allowed >= 1

    def take(self, size: int = 0) -> None:
        """A message of so many bytes was shown; a large one counts as several."""
        self.seen += 1
        self.shown += 1
        self._allowed -= 1 + min(size, _LARGE) // _SIZE

    def miss(self, count: int = 1) -> None:
        """So many messages were not shown."""
        self.seen += count

    def report(self, now: float, *, last: bool = False) -> str | None:
        """What to say of those left out since it was said before, once a second; or None."""
        seen, shown = self.seen - self._reported[0], self.shown - self._reported[1]
        if seen == shown:
            self._reported = (self.seen, self.shown)
            self._due = None
            return None
        if self._due is None:
            self._due = now + _REPORT_EVERY
        if now < self._due and not last:
            return None
        self._reported = (self.seen, self.shown)
        self._due = None
        return f"… {shown:,} shown of {seen:,}"
