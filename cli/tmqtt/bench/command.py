"""`tmqtt bench`: measure a broker, or two in turn."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import trio_mqtt
from tmqtt.bench.comparing import compare
from tmqtt.bench.machine import BrokerProcess
from tmqtt.bench.measuring import Measurement
from tmqtt.bench.plan import Plan
from tmqtt.bench.report import Report
from tmqtt.connecting.opening import public_url
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.figures import counted
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import Terminal

SCHEMA = "tmqtt-bench/1"
_OTHER_FILES = 64  # that a worker has open beside its connections
_WARM_UP = 0.5  # seconds at most for each broker before two are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What to measure, with what, and how to tell."""

    plan: Plan
    connection: ConnectionOptions
    pid: int | None
    compare: str | None
    compare_pid: int | None
    rounds: int
    json: bool


async def bench(options: BenchOptions, terminal: Terminal) -> None:
    """Measure, and tell what came of it, also when interrupted."""
    plan = options.plan
    problem = trio_mqtt.topic_name_problem(plan.topic) if plan.publishers else None
    if problem is not None:
        raise CommandError(f"The topic {plan.topic!r} {problem}.", 2)
    make_room_for_files(plan)
    report = Report(terminal, as_json=options.json)
    process = BrokerProcess(options.pid) if options.pid is not None else None
    if options.compare is None:
        await _one(options, report, terminal, process)
        return
    other = BrokerProcess(options.compare_pid) if options.compare_pid is not None else None
    await _two(options, options.compare, report, terminal, (process, other))


async def _one(
    options: BenchOptions, report: Report, terminal: Terminal, process: BrokerProcess | None
) -> None:
    plan = options.plan
    url = public_url(options.connection.broker)
    started = time.time()
    if not options.json:
        report.title(url, plan)
    measurement = Measurement(plan, options.connection, process)
    interrupted = True
    try:
        await measurement.run(partial(_look, report, ""))
        interrupted = False
    except CommandError:
        report.clear()
        raise
    finally:
        if measurement.begun:
            report.clear()
            summary, warnings = measurement.summary(), measurement.warnings()
            if options.json:
                told = _about(plan, started) | {"url": url, "interrupted": interrupted}
                told |= {**summary, "warnings": warnings}
                terminal.output.json(told)
            else:
                report.figures(plan, summary, warnings)
    lost = summary["connections"]["lost"]
    if lost:
        were = "was" if lost == 1 else "were"
        raise CommandError(
            f"{counted(lost, 'connection')} {were} lost meanwhile: {measurement.tally.problem}"
        )


async def _two(
    options: BenchOptions,
    other: str,
    report: Report,
    terminal: Terminal,
    processes: tuple[BrokerProcess | None, BrokerProcess | None],
) -> None:
    plan = options.plan
    connections = (options.connection, replace(options.connection, broker=other))
    urls = tuple(public_url(connection.broker) for connection in connections)
    started = time.time()
    results: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    warnings: list[str] = []
    interrupted = True
    if not options.json:
        report.title(f"{urls[0]} and {urls[1]}", plan)
    try:
        for connection, url in zip(connections, urls, strict=True):
            await _warm_up(plan, connection, report, url)
        for number in range(options.rounds):
            for which in (0, 1):
                measurement = Measurement(plan, connections[which], processes[which])
                prefix = f"{number + 1}/{options.rounds} {urls[which]} "
                await measurement.run(partial(_look, report, prefix))
                results[which].append(measurement.summary())
                warnings += [each for each in measurement.warnings() if each not in warnings]
        interrupted = False
    finally:
        report.clear()
        figures = compare(*results)
        if options.json and results[0]:
            told = _about(plan, started) | {"interrupted": interrupted}
            told["brokers"] = [
                {"url": url, "rounds": rounds} for url, rounds in zip(urls, results, strict=True)
            ]
            told |= {"comparison": figures, "warnings": warnings}
            terminal.output.json(told)
        elif figures:
            rounds = min(map(len, results))
            report.comparison(urls[0], urls[1], figures)
            report.note(f"Medians of {counted(rounds, 'round')}, in turn.")
            report.warn(warnings[:5])


async def _warm_up(plan: Plan, connection: ConnectionOptions, report: Report, url: str) -> None:
    """A short round that does not count: caches and just-in-time compilers are warm then."""
    short = _WARM_UP if plan.seconds is None else min(_WARM_UP, plan.seconds)
    if plan.kind in ("conn", "sub"):
        return
    measurement = Measurement(replace(plan, seconds=short, count=None), connection)
    await measurement.run(partial(_look, report, f"warming up {url} "))


def _look(report: Report, prefix: str, measurement: Measurement) -> None:
    report.progress(measurement, prefix)


def _about(plan: Plan, started: float) -> dict[str, Any]:
    about = asdict(plan)
    return {
        "schema": SCHEMA,
        "kind": about.pop("kind"),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "options": about,
    }


def make_room_for_files(plan: Plan) -> None:
    """Let processes open as many connections as the plan asks for.

    Raises CommandError where this machine does not allow so many.
    """
    if sys.platform == "win32":
        return
    import resource

    processes = max(1, min(plan.processes, plan.clients))
    needed = math.ceil(plan.clients / processes) + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if hard != unlimited and needed > hard:
        least = math.ceil(plan.clients / max(hard - _OTHER_FILES, 1))
        raise CommandError(
            f"{plan.clients:,} clients in {processes} processes need {needed:,} open files in each,"
            f" and this shell allows {hard:,} (ulimit -Hn): take --processes {least},"
            " or fewer clients.",
            2,
        )
    if soft != unlimited and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
