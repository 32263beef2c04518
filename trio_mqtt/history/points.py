"""Numbers as they come, in the order of time, as points of so long each. Sans-IO."""

from __future__ import annotations

from trio_mqtt.history.queries import MICROSECONDS, MOST_MESSAGES, Point, QueryError, Summary


class _Numbers:
    __slots__ = ("count", "highest", "last", "lowest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.lowest = float("inf")
        self.highest = float("-inf")
        self.last = 0.0


class Points:
    """Makes points of what comes: those of one stretch of time after the other."""

    def __init__(self, every: int, summary: Summary, limit: int) -> None:
        """`every` is in microseconds; about so many points as `limit` are wanted."""
        self._every = every
        self._summary = summary
        self._limit = limit
        self._open: dict[str, _Numbers] = {}
        self.begins = 0
        """The stretch of time that was looked at last."""
        self.closed: list[Point] = []
        """The points that are done."""

    @property
    def is_open(self) -> bool:
        """Whether there are numbers that are in no point yet."""
        return bool(self._open)

    def is_beyond(self, at: int) -> bool:
        """Whether a moment is in another stretch of time than what came last."""
        return bool(self._open) and not self.begins <= at < self.begins + self._every

    def add(self, topic: str, at: int, number: float) -> None:
        """A number has come; those of the stretch before are closed. Raises QueryError."""
        if not self._open:
            self.begins = at - at % self._every
        numbers = self._open.get(topic)
        if numbers is None:
            if len(self._open) >= MOST_MESSAGES:
                raise QueryError(
                    f"There are more than {MOST_MESSAGES:,} topics: ask for fewer at a time."
                )
            numbers = self._open[topic] = _Numbers()
        numbers.count += 1
        numbers.total += number
        numbers.last = number
        if number < numbers.lowest:
            numbers.lowest = number
        if number > numbers.highest:
            numbers.highest = number

    def close(self) -> bool:
        """The stretch is over: have its points; whether these are as many as are wanted."""
        for topic, numbers in sorted(self._open.items()):
            value = self._value(numbers)
            self.closed.append(Point(topic, self.begins / MICROSECONDS, value, numbers.count))
        self._open.clear()
        return len(self.closed) >= self._limit

    def _value(self, numbers: _Numbers) -> float:
        if self._summary == "mean":
            return numbers.total / numbers.count
        if self._summary == "min":
            return numbers.lowest
        if self._summary == "max":
            return numbers.highest
        return numbers.last if self._summary == "last" else float(numbers.count)
