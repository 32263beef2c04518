"""Measuring brokers side by side: rounds of every broker in turn, medians, ratios, requirements."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import brokers, load, processes
from benchmarks.brokers import (
    MOSQUITTO,
    OURS,
    OURS_WITH_RULES,
    OURS_WITH_SCREEN,
    Broker,
    Running,
)
from benchmarks.scenarios import RULES_SHARE, SCREEN_SHARE, Scenario

_WARM_UP = 0.3  # seconds of traffic on the same connections before each measured run


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


@dataclass(slots=True)
class Result:
    """All brokers in one scenario."""

    scenario: Scenario
    rows: list[Row]


def compare(
    bench: Bench, scenarios: Sequence[Scenario], contenders: Sequence[Broker]
) -> Iterator[Result]:
    """Measure the scenarios one after another; each result comes as soon as it is there."""
    for scenario in scenarios:
        taking_part = [
            broker
            for broker in contenders
            if scenario.transport in broker.transports
            and (scenario.screen or broker.name != OURS_WITH_SCREEN)
            and (scenario.rules or broker.name != OURS_WITH_RULES)
        ]
        measure = _measure_idle if scenario.kind == "idle" else _measure_traffic
        rows = {broker.name: Row(broker.name) for broker in taking_part}
        measure(bench, scenario, taking_part, rows)
        judge(scenario, rows)
        yield Result(scenario, list(rows.values()))


def _measure_traffic(
    bench: Bench, scenario: Scenario, contenders: Sequence[Broker], rows: dict[str, Row]
) -> None:
    with ExitStack() as stack:
        up: list[Running] = []
        for broker in contenders:
            try:
                running = stack.enter_context(
                    brokers.running(broker, bench.broker_core, scenario.transport)
                )
            except brokers.Unavailable as error:
                rows[broker.name].error = str(error)
                continue
            running.pause()
            up.append(running)
        for number in range(bench.rounds):
            # There and back again, so that a machine that drifts favours nobody.
            for running in reversed(up) if number % 2 else up:
                row = rows[running.broker.name]
                if row.error:
                    continue
                running.resume()
                try:
                    row.rounds.append(_traffic(bench, scenario, running))
                except load.LoadError as error:
                    row.error = running.end() or str(error)
                finally:
                    running.pause()


def _traffic(bench: Bench, scenario: Scenario, running: Running) -> Figures:
    program, core = bench.load_program, bench.load_core
    with load.running(program, core, "traffic", scenario.options, running.port) as traffic:
        traffic.run(_WARM_UP)
        drawn = running.screen.drawn if running.screen else 0
        before = processes.cpu_seconds(running.pid)
        told = traffic.run(bench.seconds)
        taken = processes.cpu_seconds(running.pid) - before
        if running.screen and running.screen.drawn == drawn:
            raise load.LoadError("nothing was drawn on the screen while messages were flowing")
    if not told["delivered"]:
        raise load.LoadError("nothing was delivered")
    return Figures(
        cpu_us=taken / told["delivered"] * 1e6,
        rate=told["delivered"] / told["seconds"],
        lost=told["expected"] - told["delivered"],
        wrong=told["wrong"],
        p50_us=told["p50_us"],
        p99_us=told["p99_us"],
    )


def _measure_idle(
    bench: Bench, scenario: Scenario, contenders: Sequence[Broker], rows: dict[str, Row]
) -> None:
    program, core = bench.load_program, bench.load_core
    for _ in range(bench.rounds):
        for broker in contenders:
            row = rows[broker.name]
            if row.error:
                continue
            try:
                # A fresh broker each time: memory once taken for connections is seldom given back.
                with brokers.running(broker, bench.broker_core) as running:
                    memory = processes.resident_bytes(running.pid)
                    cpu = processes.cpu_seconds(running.pid)
                    with load.running(
                        program, core, "idle", scenario.options, running.port
                    ) as idle:
                        connections = idle.setup["connections"]
                        cpu = processes.cpu_seconds(running.pid) - cpu
                        memory = processes.resident_bytes(running.pid) - memory
                        figures = Figures(
                            cpu_us=cpu / connections * 1e6,
                            rate=connections / idle.setup["seconds"],
                            bytes_per_connection=memory / connections,
                        )
            except (load.LoadError, brokers.Unavailable) as error:
                row.error = str(error)
            else:
                row.rounds.append(figures)


def judge(scenario: Scenario, rows: dict[str, Row]) -> None:
    """Fill in the ratios to Mosquitto, and what is required and whether it is met."""
    base = rows[MOSQUITTO].median if MOSQUITTO in rows else None
    for row in rows.values():
        median = row.median
        if base and median:
            row.cpu_ratio = base.cpu_us / max(median.cpu_us, 1e-3)
            row.rate_ratio = median.rate / base.rate
            if base.bytes_per_connection and median.bytes_per_connection:
                row.memory_ratio = base.bytes_per_connection / median.bytes_per_connection
    if scenario.cpu_ratio is not None and OURS in rows:
        row = rows[OURS]
        row.required = f"cpu x{scenario.cpu_ratio:g}"
        row.passed = (
            row.cpu_ratio is not None and row.cpu_ratio >= scenario.cpu_ratio and _whole(row)
        )
    if scenario.screen and OURS_WITH_SCREEN in rows:
        _judge_share(rows[OURS_WITH_SCREEN], rows.get(OURS), SCREEN_SHARE)
    if scenario.rules and OURS_WITH_RULES in rows:
        _judge_share(rows[OURS_WITH_RULES], rows.get(OURS), RULES_SHARE)


def _judge_share(row: Row, without: Row | None, share: float) -> None:
    row.required = f"{share:.0%} of {OURS}"
    row.passed = False
    if without is None or row.median is None or without.median is None:
        return
    # Round by round, as the two are measured next to each other: a tenth is less than what the
    # rate changes by from one round to the next when the machine has something else to do.
    pairs = list(zip(row.rounds, without.rounds, strict=True))
    cpu = statistics.median(base.cpu_us / figures.cpu_us for figures, base in pairs)
    rate = statistics.median(figures.rate / base.rate for figures, base in pairs)
    row.required += f" (cpu {cpu:.0%}, rate {rate:.0%})"
    row.passed = min(cpu, rate) >= share and _whole(row)


def _whole(row: Row) -> bool:
    """A figure counts only if in every round every message arrived once, in order, unaltered."""
    return all(not figures.lost and not figures.wrong for figures in row.rounds)
