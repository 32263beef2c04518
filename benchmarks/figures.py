"""The figures that a comparison makes, and what it makes them with."""

import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.scenarios import Scenario

WARM_UP = 0.3  # seconds of traffic on the same connections before each measured run
LEAST_CPU = 0.1  # seconds of the broker's processor time that a figure stands for
LONGEST = 20.0  # seconds of a run that is made longer for that


@dataclass(frozen=True, slots=True)
class Bench:
    """What a comparison is made with."""

    load_program: Path
    broker_core: int
    load_core: int
    rounds: int
    seconds: float


@dataclass(slots=True)
class Figures:
    """What one broker did in one round of a scenario, or the median of rounds.

    Where clients come back after the broker's end, `cpu_us` and `rate` are for each of them.
    Of idle connections only `bytes_per_connection` and, as `cpu_us` and `rate`, the cost and the
    number a second of connections opened are known.
    """

    cpu_us: float  # the broker's CPU time per delivered message
    rate: float  # deliveries a second
    lost: float = 0  # deliveries that never came
    wrong: float = 0  # deliveries repeated, out of order or altered
    p50_us: float | None = None
    p99_us: float | None = None
    bytes_per_connection: float | None = None
    bytes_on_disk: float | None = None  # what the broker's files take after the traffic
    fsync_us: float | None = None  # what the disk takes for one, right before
    seconds: float | None = None  # until all clients that came back were served
    quiet_p50_us: float | None = None  # latencies without the load beside which they are measured
    quiet_p99_us: float | None = None


@dataclass(slots=True)
class Row:
    """One broker's line in the result of a scenario."""

    broker: str
    rounds: list[Figures] = field(default_factory=list)
    error: str | None = None
    cpu_ratio: float | None = None  # times less CPU than Mosquitto
    rate_ratio: float | None = None  # times the rate of Mosquitto
    memory_ratio: float | None = None  # times less memory than Mosquitto
    required: str | None = None
    passed: bool | None = None  # None where nothing is required

    @property
    def median(self) -> Figures | None:
        if not self.rounds or self.error:
            return None
        columns = zip(*(asdict(figures).items() for figures in self.rounds), strict=True)
        medians: dict[str, Any] = {}
        for column in columns:
            values = [value for _, value in column if value is not None]
            medians[column[0][0]] = statistics.median(values) if values else None
        return Figures(**medians)

    @property
    def spread(self) -> float | None:
        """How far the rounds' CPU figures lie apart, as a share of their median."""
        costs = [figures.cpu_us for figures in self.rounds]
        if len(costs) < 2 or self.error:
            return None
        return (max(costs) - min(costs)) / max(statistics.median(costs), 1e-9)

    @property
    def is_whole(self) -> bool:
        """A figure counts only if in every round each message arrived once, in order, unaltered."""
        return all(not figures.lost and not figures.wrong for figures in self.rounds)


@dataclass(slots=True)
class Result:
    """All brokers in one scenario."""

    scenario: Scenario
    rows: list[Row]
