"""Measuring brokers side by side: rounds of every broker in turn, medians, ratios, requirements."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import brokers, durable, launching, load, processes
from benchmarks.brokers import (
    DURABLE,
    MOSQUITTO,
    OURS,
    OURS_FSYNC,
    OURS_WITH_RULES,
    OURS_WITH_SCREEN,
    Broker,
)
from benchmarks.figures import LEAST_CPU, LONGEST, WARM_UP, Bench, Figures, Result, Row
from benchmarks.launching import Running
from benchmarks.scenarios import RULES_SHARE, SCREEN_SHARE, Scenario


def compare(
    bench: Bench, scenarios: Sequence[Scenario], contenders: Sequence[Broker]
) -> Iterator[Result]:
    """Measure the scenarios one after another; each result comes as soon as it is there."""
    for scenario in scenarios:
        taking_part = [broker for broker in contenders if _takes_part(broker, scenario)]
        measure = _measure_idle if scenario.kind == "idle" else _measure_traffic
        rows = {broker.name: Row(broker.name) for broker in taking_part}
        measure(bench, scenario, taking_part, rows)
        judge(scenario, rows)
        yield Result(scenario, list(rows.values()))


def _takes_part(broker: Broker, scenario: Scenario) -> bool:
    if scenario.durable:
        in_memory = () if scenario.durable == "restart" else (MOSQUITTO, OURS)
        return broker.name in (*in_memory, *DURABLE)
    return (
        scenario.transport in broker.transports
        and (broker.has_mqtt_5 or not scenario.mqtt_5)
        and broker.name not in DURABLE
        and (scenario.screen or broker.name != OURS_WITH_SCREEN)
        and (scenario.rules or broker.name != OURS_WITH_RULES)
    )


def _measure_traffic(
    bench: Bench, scenario: Scenario, contenders: Sequence[Broker], rows: dict[str, Row]
) -> None:
    with ExitStack() as stack:
        up: list[Running] = []
        for broker in contenders:
            try:
                running = stack.enter_context(
                    launching.running(broker, bench.broker_core, scenario.transport)
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
                try:
                    running.resume_and_wait(scenario.transport)
                    if scenario.durable:
                        row.rounds.append(durable.measured(bench, scenario, running))
                    else:
                        row.rounds.append(_traffic(bench, scenario, running))
                except (load.LoadError, brokers.Unavailable) as error:
                    row.error = running.end() or str(error)
                finally:
                    running.pause()


def _traffic(bench: Bench, scenario: Scenario, running: Running) -> Figures:
    program, core = bench.load_program, bench.load_core
    with load.running(program, core, "traffic", scenario.options, running.port) as traffic:
        traffic.run(WARM_UP)
        drawn = running.screen.drawn if running.screen else 0
        told, taken = _long_enough(traffic, running, max(bench.seconds, scenario.least))
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


def _long_enough(
    traffic: load.Load, running: Running, seconds: float
) -> tuple[dict[str, Any], float]:
    """What a run told, and the processor time of the broker in it.

    A run that took too little of it to be told from what else a process does is made again, as
    much longer as it takes.
    """
    while True:
        before = processes.cpu_seconds(running.pid)
        told = traffic.run(seconds)
        taken = processes.cpu_seconds(running.pid) - before
        if taken >= LEAST_CPU or seconds >= LONGEST:
            return told, taken
        seconds = min(LONGEST, 1.2 * seconds * LEAST_CPU / max(taken, 0.001))


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
                with launching.running(broker, bench.broker_core) as running:
                    memory = processes.resident_bytes(running.pid)
                    cpu = processes.cpu_seconds(running.pid)
                    with load.running(
                        program, core, "idle", scenario.options, running.port
                    ) as idle:
                        connections = idle.setup["connections"] * scenario.each
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
            row.cpu_ratio is not None and row.cpu_ratio >= scenario.cpu_ratio and row.is_whole
        )
    if scenario.durable and OURS_FSYNC in rows:
        durable.judge(scenario, rows[OURS_FSYNC])
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
    row.passed = min(cpu, rate) >= share and row.is_whole
