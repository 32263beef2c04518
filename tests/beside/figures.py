"""What a process uses, as the kernel tells it. Linux only."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

MIB = 1024 * 1024


def resident(pid: int) -> int:
    """The bytes of memory that a process occupies."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def lowest(pid: int, seconds: float) -> int:
    """The least memory within some seconds: packets that are on their way come and go."""
    found = resident(pid)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
        found = min(found, resident(pid))
    return found


def cpu_seconds(pid: int) -> float:
    """The processor's time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def descriptors_back(pid: int, at_most: int, seconds: float) -> int:
    """Wait until no more than so many are open, or for so long; how many are open then."""
    end = time.monotonic() + seconds
    while (now := descriptors(pid)) > at_most and time.monotonic() < end:
        time.sleep(0.05)
    return now


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """How fast a value grows, in its unit a second: the median of the slopes between samples.

    A few peaks do not change it, as they would a line of least squares (Theil and Sen).
    """
    return statistics.median(
        (later - earlier) / (then - before)
        for index, (before, earlier) in enumerate(samples)
        for then, later in samples[index + 1 :]
        if then > before
    )
