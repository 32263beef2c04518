"""What processes take: CPU time and memory of a process and its children, cores to pin them to."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> Iterator[int]:
    """The process and its living descendants."""
    waiting = [pid]
    while waiting:
        process = waiting.pop()
        yield process
        try:
            for task in Path(f"/proc/{process}/task").iterdir():
                waiting.extend(map(int, (task / "children").read_text().split()))
        except OSError:
            continue  # it ended while we looked


def cpu_seconds(pid: int) -> float:
    """User and system time taken so far by the process, its threads and its children.

    A living process is read from its CPU clock, which counts nanoseconds and includes threads that
    have ended; children that have ended are only known in ticks of 10 ms.
    """
    total = 0.0
    for process in tree(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            # The scheduler's clock of that process, numbered as by clock_getcpuclockid(3).
            total += time.clock_gettime((~process << 3) | 2)
        except OSError:
            continue
        total += (int(fields[13]) + int(fields[14])) * _TICK
    return total


def resident_bytes(pid: int) -> int:
    """Memory held by the process and its children, what they share counted once (PSS)."""
    total = 0
    for process in tree(pid):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def choose_cores() -> tuple[int, int] | None:
    """A core for the broker and another for the load, not two threads of one core if avoidable."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return None
    broker = allowed[0]
    siblings = _siblings(broker)
    return broker, next((core for core in allowed if core not in siblings), allowed[1])


def _siblings(core: int) -> set[int]:
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        text = path.read_text()
    except OSError:
        return {core}
    siblings = {core}
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        siblings.update(range(int(first), int(last or first) + 1))
    return siblings


class Strangers:
    """What others take of some cores from now on, to tell how far rates can be trusted."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._cores = cores
        self._started = time.monotonic()
        self._before = self._taken_by_others()

    def share(self) -> float:
        """Their share of the cores' time so far. Children count as ours once they have ended."""
        taken = self._taken_by_others() - self._before
        elapsed = time.monotonic() - self._started
        return max(0.0, taken / (elapsed * len(self._cores)))

    def _taken_by_others(self) -> float:
        own = os.times()
        return sum(map(_busy_seconds, self._cores)) - sum(own[:4])


def _busy_seconds(core: int) -> float:
    """How long a core has been busy, or taken by the machine around this one, since it started."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            return (user + nice + system + irq + softirq + steal) * _TICK
    return 0.0
