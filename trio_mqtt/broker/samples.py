"""How the broker was in the last hour: some of its figures, each ten seconds, in a ring.

They are taken where its load is looked at, by a timer that runs anyway: no message pays for them.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_mqtt.broker.statistics import Statistics

EVERY = 10.0  # seconds, or the next time that the load is looked at
KEPT = 360

# Those of `Statistics`, as they are.
FIGURES = (
    "clients_connected", "sessions", "subscriptions", "queued_bytes", "memory",
    "messages_received", "messages_sent", "messages_dropped", "bytes_received", "bytes_sent",
)  # fmt: skip
# A sample has the time on the broker's clock, the longest that it was late since the one before,
# how many messages are retained, and those.
AT, LATE, RETAINED, FIRST = range(4)


class Samples:
    """The figures of one broker, kept as numbers alone: some 70 KB for an hour."""

    __slots__ = ("_due", "_late", "_retained", "_rows", "_statistics")

    def __init__(self, statistics: Statistics, retained: Callable[[], int]) -> None:
        """`retained` says how many messages are retained."""
        self._statistics = statistics
        self._retained = retained
        self._rows: deque[array[float]] = deque(maxlen=KEPT)
        self._due = self._late = 0.0

    def look(self) -> None:
        """The load was looked at: a sample is taken if it is time for one."""
        statistics, now = self._statistics, trio.current_time()
        self._late = max(self._late, statistics.loop_lag)
        if self._rows and now < self._due:
            return
        self._due = now + EVERY
        figures = (getattr(statistics, name) for name in FIGURES)
        self._rows.append(array("d", (now, self._late, self._retained(), *figures)))
        self._late = 0.0

    def since(self, at: float) -> Sequence[Sequence[float]]:
        """Those that were taken later than `at`, on the broker's clock, in their order."""
        return [row for row in self._rows if row[AT] > at]
