"""How long things take in a broker, for who asks: in buckets, so that it costs little to count."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

# Seconds. A message passes in a tenth of a millisecond, a disk takes some, an overload a second.
BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0
)  # fmt: skip


class Times:
    """How often something took how long.

    `counts` has one number for each of `buckets`, which are upper bounds in seconds, and one for
    what took longer than all of them; `total` is the sum in seconds.
    """

    __slots__ = ("buckets", "counts", "total")

    def __init__(self, buckets: Sequence[float] = BUCKETS) -> None:
        self.buckets = buckets
        self.counts: list[int] = [0] * (len(buckets) + 1)
        self.total: float = 0.0

    def add(self, seconds: float) -> None:
        """It took so long once more."""
        self.counts[bisect_left(self.buckets, seconds)] += 1
        self.total += seconds


class Timing:
    """What is timed while somebody asks for it: some deliveries, and all commits of the storage.

    Of batches, which are the messages of one read, one in `every` is timed.
    """

    __slots__ = ("_clock", "commits", "deliveries", "every", "left")

    def __init__(self, every: int, clock: Callable[[], float]) -> None:
        self.deliveries: Times = Times()
        self.commits: Times = Times()
        self.every = every
        self.left = every  # batches until one is timed: counted where they are routed
        self._clock = clock

    def delivered(self, received_at: float) -> None:
        """Messages that came at a time, on Trio's clock, are on their way to one client."""
        self.deliveries.add(self._clock() - received_at)
