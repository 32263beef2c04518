"""Room for wills: how many bytes they take, in all and of each holder of sessions."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.protocol.packets import Will

# Bytes of a will beside its topic, payload and properties, of these beside what they say, and of
# each user property beside that.
_WILL, _DICTIONARY, _PAIR = 80, 256, 64


def size_of_will(will: Will | None) -> int:
    """The bytes that a will takes, near enough for a bound; 0 where there is none."""
    if will is None:
        return 0
    size = _WILL + sys.getsizeof(will.topic) + sys.getsizeof(will.payload)
    if will.properties:
        size += _DICTIONARY + sum(
            sys.getsizeof(value)
            for name, value in will.properties.items()
            if name != "user_property"
        )
        for key, value in will.properties.get("user_property", ()):
            size += _PAIR + sys.getsizeof(key) + sys.getsizeof(value)
    return size


class WillRoom:
    """Counts the bytes of the wills of one broker, by who holds their sessions."""

    __slots__ = ("_held", "_limits", "_statistics")

    def __init__(self, limits: Limits, statistics: Statistics) -> None:
        self._limits = limits
        self._statistics = statistics
        self._held: Counter[str] = Counter()

    def add(self, holder: str, size: int) -> None:
        """A holder has so many bytes more, or fewer where that is negative."""
        if not size:
            return
        self._statistics.will_bytes += size
        self._held[holder] += size
        if not self._held[holder]:
            del self._held[holder]

    @contextmanager
    def coming(self, will: Will, holder: str, replaced: Will | None) -> Iterator[str | None]:
        """Room for a will while its client gets its session, which has it from then on.

        `replaced` is the will of the same holder that goes for it. Gives why there is no room, in
        words, and None if there is.
        """
        size, had = size_of_will(will), size_of_will(replaced)
        problem = None if size <= had else self._problem(holder, size - had)
        if problem is not None:
            self._statistics.wills_refused += 1
            size = 0
        self.add(holder, size)
        try:
            yield problem
        finally:
            self.add(holder, -size)

    def _problem(self, holder: str, more: int) -> str | None:
        if self._held[holder] + more > self._limits.maximum_will_bytes_per_user:
            return "its user or address leaves as much in wills here as one may"
        if self._statistics.will_bytes + more > self._limits.maximum_will_bytes:
            return "this broker has no room for its will"
        return None
