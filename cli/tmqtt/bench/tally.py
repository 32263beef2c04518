"""What all workers have measured together, and the figures that follow from it. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

from tmqtt.bench.counters import Counters
from tmqtt.bench.plan import Plan

_LONGEST = 3_600_000_000  # microseconds that a histogram can hold: an hour
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}


class Histogram:
    """Latencies in microseconds, to three significant digits."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _LONGEST, 3)
        self._total = 0

    def add(self, counts: Mapping[str, int]) -> None:
        """Add latencies as a worker reports them: counts by value."""
        for value, count in counts.items():
            microseconds = int(value)
            self._histogram.record_value(min(max(microseconds, 1), _LONGEST), count)
            self._total += microseconds * count

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def at(self, percentile: float) -> int:
        """Microseconds that so many of a hundred did not exceed."""
        return int(self._histogram.get_value_at_percentile(percentile))

    def summary(self) -> dict[str, float] | None:
        """The figures, or None if nothing was measured."""
        count = len(self)
        if not count:
            return None
        figures: dict[str, float] = {
            "count": count,
            "min": int(self._histogram.get_min_value()),
            "mean": round(self._total / count, 1),
        }
        figures |= {name: self.at(percentile) for name, percentile in PERCENTILES.items()}
        figures["max"] = int(self._histogram.get_max_value())
        return figures


@dataclass(slots=True)
class _Worker:
    """What one worker has told."""

    totals: Counters = field(default_factory=Counters)
    last_received: int = 0
    last_sent: int = 0
    cpu: float = 0.0  # seconds, of so many:
    wall: float = 0.0


class Tally:
    """The sum of what the workers report."""

    def __init__(self, plan: Plan, workers: int) -> None:
        self.plan = plan
        self.delivery = Histogram()
        self.acknowledgement = Histogram()
        self.connection = Histogram()
        self.start = 0  # nanoseconds of the monotonic clock; 0: not begun
        self.problem = ""  # the first that a worker met
        # Whether the load is on: the processor time of the workers counts then.
        self.loading = False
        # Whether it was ended before all that was sent could arrive.
        self.ended_early = False
        self._workers = [_Worker() for _ in range(workers)]

    def take(self, number: int, figures: Mapping[str, Any]) -> None:
        """A worker's report: running totals; latencies and processor time since the last."""
        worker = self._workers[number]
        worker.totals = Counters(**figures["totals"])
        worker.last_received = figures["last_received"]
        worker.last_sent = figures["last_sent"]
        if self.loading:
            worker.cpu += figures["cpu"]
            worker.wall += figures["wall"]
        self.problem = self.problem or figures["problem"]
        latencies = figures["latencies"]
        self.delivery.add(latencies["delivery"])
        self.acknowledgement.add(latencies["acknowledgement"])
        self.connection.add(latencies["connection"])

    def totals(self) -> Counters:
        """The totals of all."""
        totals = Counters()
        for worker in self._workers:
            totals.add(worker.totals)
        return totals

    def busiest(self) -> float:
        """The share of a core that the busiest worker took while the load was on."""
        return max((each.cpu / each.wall for each in self._workers if each.wall), default=0.0)

    def elapsed(self) -> float:
        """Seconds from the start to the last message, or connection."""
        last = max((max(each.last_received, each.last_sent) for each in self._workers), default=0)
        return max(last - self.start, 0) / 1e9 if self.start else 0.0

    def sending(self) -> float:
        """Seconds from the start to the last message sent, or connection opened."""
        last = max((each.last_sent for each in self._workers), default=0)
        return max(last - self.start, 0) / 1e9 if self.start else 0.0

    def lost(self) -> int:
        """Deliveries that never came: by what was sent here, or else by gaps in the numbers."""
        totals = self.totals()
        if not self.plan.delivers:
            return max(totals.missing, 0)
        outstanding = self.outstanding()
        # Ended early, only what later messages have overtaken is known to be lost.
        return min(max(totals.missing, 0), outstanding) if self.ended_early else outstanding

    def in_flight(self) -> int:
        """Deliveries that were still under way when it was ended early."""
        if not (self.ended_early and self.plan.delivers):
            return 0
        return self.outstanding() - self.lost()

    def outstanding(self) -> int:
        """Deliveries that have not come so far."""
        totals = self.totals()
        return max(totals.expected - (totals.received - totals.repeated), 0)

    def summary(self) -> dict[str, Any]:
        """All figures; docs/reference/terminal-bench.md describes each."""
        totals = self.totals()
        sending, elapsed = self.sending(), self.elapsed()
        return {
            "seconds": round(elapsed, 3),
            "connections": {
                "opened": totals.opened,
                "failed": totals.refused_connections,
                "lost": totals.lost_connections,
                "per_second": _per_second(totals.opened, sending)
                if self.plan.kind == "conn"
                else None,
            },
            "messages": {
                "sent": totals.sent,
                "acknowledged": totals.acknowledged,
                "refused": totals.refused,
                "expected": totals.expected if self.plan.delivers else None,
                "received": totals.received,
                "lost": self.lost(),
                "in_flight": self.in_flight(),
                "repeated": totals.repeated,
                "reordered": totals.reordered,
            },
            "rates": {
                "sent_per_second": _per_second(totals.sent, sending),
                "received_per_second": _per_second(totals.received, elapsed),
                "received_bytes_per_second": _per_second(totals.received_bytes, elapsed),
            },
            "latency_us": {
                "delivery": self.delivery.summary(),
                "acknowledgement": self.acknowledgement.summary(),
                "connection": self.connection.summary(),
            },
            "load": {
                "processes": len(self._workers),
                "busiest": round(self.busiest(), 3),
            },
        }


def _per_second(count: int, seconds: float) -> float | None:
    return round(count / seconds, 1) if count and seconds > 0 else None
