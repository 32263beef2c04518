"""Durations and sizes as people write them: `30s`, `5m`, `16 MiB`."""

from __future__ import annotations

import math
import re

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
DURATION = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)"
SIZE = r"([0-9]{1,9})\s*([KkMmGgTt]?[Ii]?[Bb]?)"
_DURATION = re.compile(DURATION, re.ASCII)
_SIZE = re.compile(SIZE, re.ASCII)


def parse_duration(text: str) -> float:
    """The seconds that `text` names (`500ms`, `3s`, `5m`, `1h`, `2d`), always more than none.

    Raises ValueError, which says what is wrong and shows a right one.
    """
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit (ms, s, m, h, d),"
            " for example 500ms or 3s."
        )
    seconds = float(found[1]) * _DURATION_UNITS[found[2]]
    if seconds < 0.001:
        raise ValueError(f"{text!r} is too short: the shortest duration is 1ms.")
    return seconds


def parse_size(text: str) -> int:
    """The bytes that `text` names: `100`, `4KB`, `16 MiB`. Raises ValueError likewise."""
    found = _SIZE.fullmatch(text)
    unit = found[2].upper() if found else ""
    if not found or unit not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size: write 100, 4KB (4,000 bytes) or 4KiB (4,096).")
    return int(found[1]) * _SIZE_UNITS[unit]


def duration_text(seconds: float) -> str | None:
    """A duration as `parse_duration` takes it; None for one that has no such text, such as 0."""
    for unit in ("d", "h", "m", "s", "ms"):
        count = seconds / _DURATION_UNITS[unit]
        text = f"{count:.0f}{unit}"
        if 1 <= count < 1e9 and count % 1 == 0 and parse_duration(text) == seconds:
            return text
    return None


def size_text(count: float) -> str | None:
    """Bytes as `parse_size` takes them, in binary units; None where that is no shorter."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        size = _SIZE_UNITS[unit.upper()]
        if count and count != math.inf and count % size == 0:
            return f"{count // size:.0f} {unit}"
    return None
