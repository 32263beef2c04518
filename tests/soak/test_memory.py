"""Memory stays flat while clients come and go, in the broker as its command runs it.

The collector has the thresholds of the command here, not those of the tests: what is freed is freed
by reference counting, or it shows.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.cli.programs import Program
from tests.soak.churn import MIB, Churn, Pair

WARM_UP = 20.0
SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
# What the allocator and the tables of the broker may still take after the warm-up.
GROWTH = 6 * MIB
MEDIAN = 0.05  # seconds; the pair's own messages beside four threads that do what they can

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is read from /proc"
)


def resident(pid: int) -> int:
    """The bytes of memory that a process occupies."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """The processor's time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lowest(pid: int, seconds: float) -> int:
    """The least memory within some seconds: packets that are on their way come and go."""
    found = resident(pid)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
        found = min(found, resident(pid))
    return found


def test_memory_is_flat_while_clients_come_and_go() -> None:
    with Program("broker", "mqtt://127.0.0.1:0") as broker:
        port = int(broker.out.expect(r"mqtt://127\.0\.0\.1:(\d+)").group(1))
        pid = broker.process.pid
        pair = Pair(port)
        churn = Churn(port)
        time.sleep(WARM_UP)
        before = lowest(pid, 5)
        time.sleep(max(0.0, SECONDS - WARM_UP - 10))
        after = lowest(pid, 5)
        used = cpu_seconds(pid)
        churn.end()
        pair.end()
    latencies = sorted(pair.latencies)
    report = (
        f"{churn.turns} in {SECONDS:g} s; {before / MIB:.1f} MiB after {WARM_UP:g} s,"
        f" {after / MIB:.1f} MiB at the end; {used:.1f} s of the processor; the pair:"
        f" {len(latencies)} messages, median {statistics.median(latencies) * 1e3:.1f} ms,"
        f" 99.9 % {latencies[int(len(latencies) * 0.999)] * 1e3:.0f} ms,"
        f" longest pause {latencies[-1] * 1e3:.0f} ms"
    )
    assert not churn.failures
    assert min(churn.turns.values()) > SECONDS, report
    assert after - before < GROWTH, report
    assert statistics.median(latencies) < MEDIAN, report
