"""Measuring brokers that keep what they acknowledge, beside those that forget it."""

import os
import statistics
import time
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import load, processes
from benchmarks.figures import WARM_UP, Bench, Figures, Row
from benchmarks.launching import Running
from benchmarks.scenarios import ALONE_BEYOND_FSYNC, BESIDE_TIMES, Scenario

_FSYNCS = 100


def measured(bench: Bench, scenario: Scenario, running: Running) -> Figures:
    """One round of a broker in a scenario of durable sessions. Raises LoadError."""
    if scenario.durable == "restart":
        return _restart(bench, scenario, running)
    if scenario.durable == "beside":
        return _beside(bench, scenario, running)
    return _stored(bench, scenario, running)


def _stored(bench: Bench, scenario: Scenario, running: Running) -> Figures:
    """Publish at QoS 1 for a session that is connected, or away and comes for it afterwards.

    The latencies are those of the acknowledgements, and CPU and rate those of publishing.
    """
    is_away = scenario.durable != "online"
    with _load(bench, "traffic", scenario.options, running) as traffic:
        traffic.run(WARM_UP)
        if is_away:
            traffic.collect()
        fsync = disk_fsync_us(running.output.parent)
        before = processes.cpu_seconds(running.pid)
        told = traffic.run(bench.seconds)
        taken = processes.cpu_seconds(running.pid) - before
        on_disk = running.bytes_on_disk()
        came = traffic.collect() if is_away else told
    if not told["published"]:
        raise load.LoadError("nothing was published")
    return Figures(
        cpu_us=taken / told["published"] * 1e6,
        rate=told["published"] / told["seconds"],
        lost=came["expected"] - came["delivered"],
        wrong=came["wrong"],
        p50_us=told["p50_us"],
        p99_us=told["p99_us"],
        bytes_on_disk=on_disk,
        fsync_us=fsync,
    )


def _beside(bench: Bench, scenario: Scenario, running: Running) -> Figures:
    """Messages of QoS 0 between others without a load that is stored, and beside it."""
    with _load(bench, "traffic", f"{scenario.options} quiet=1", running) as traffic:
        traffic.run(WARM_UP)
        quiet = traffic.run(bench.seconds)
    with _load(bench, "traffic", scenario.options, running) as traffic:
        traffic.run(WARM_UP)
        before = processes.cpu_seconds(running.pid)
        told = traffic.run(bench.seconds)
        taken = processes.cpu_seconds(running.pid) - before
    if not told["delivered"]:
        raise load.LoadError("nothing was delivered")
    return Figures(
        cpu_us=taken / told["delivered"] * 1e6,
        rate=told["delivered"] / told["seconds"],
        lost=told["expected"] - told["delivered"],
        wrong=told["wrong"],
        p50_us=told["p50_us"],
        p99_us=told["p99_us"],
        quiet_p50_us=quiet["p50_us"],
        quiet_p99_us=quiet["p99_us"],
    )


def _restart(bench: Bench, scenario: Scenario, running: Running) -> Figures:
    """End the broker as by kill -9, and see how long its clients are without it."""
    with _load(bench, "restart", scenario.options, running) as clients:
        time.sleep(1.5)  # those that save once a second have done so
        clients.begin_restart()
        running.kill_and_start()
        told = clients.answer(90)
        taken = processes.cpu_seconds(running.pid)
        # Those whose session is lost subscribe to nothing, and get nothing.
        lost = clients.setup["connections"] - told["served"]
    if not told["served"]:
        raise load.LoadError("no session was there again")
    return Figures(
        cpu_us=taken / told["served"] * 1e6,
        rate=told["served"] / told["seconds"],
        lost=lost,
        seconds=told["seconds"],
        bytes_on_disk=running.bytes_on_disk(),
    )


def _load(
    bench: Bench, kind: str, options: str, running: Running
) -> AbstractContextManager[load.Load]:
    return load.running(bench.load_program, bench.load_core, kind, options, running.port)


def disk_fsync_us(folder: Path) -> float:
    """What the disk takes to make 4 KiB durable that are appended to a file: the median."""
    times = []
    with TemporaryDirectory(dir=folder) as within, open(Path(within) / "file", "wb", 0) as file:
        for _ in range(_FSYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def judge(scenario: Scenario, row: Row) -> None:
    """Fill in what is required of a broker that keeps all, and whether it is met."""
    median = row.median
    if scenario.durable in ("online", "away"):
        row.required = "rate x1"
        row.passed = row.rate_ratio is not None and row.rate_ratio >= 1
    elif scenario.durable == "alone":
        row.required = f"p50 at most fsync + {ALONE_BEYOND_FSYNC / 1000:g} ms"
        row.passed = (
            median is not None
            and median.p50_us is not None
            and median.fsync_us is not None
            and median.p50_us <= median.fsync_us + ALONE_BEYOND_FSYNC
        )
    elif scenario.durable == "beside":
        row.required = f"p99 at most x{BESIDE_TIMES:g} of quiet"
        row.passed = (
            median is not None
            and median.p99_us is not None
            and median.quiet_p99_us is not None
            and median.p99_us <= BESIDE_TIMES * median.quiet_p99_us
        )
    row.passed = None if row.required is None else bool(row.passed) and row.is_whole
