"""Numbers as a line of small bars: `▁▃▅█`, the newest at the right."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-:=+*#"


def sparkline(
    values: Sequence[float | None],
    width: int,
    *,
    low: float | None = None,
    high: float | None = None,
    bars: str = BARS,
) -> str:
    """The last `width` of `values` as a bar each; where there are fewer, so is the line shorter.

    The lowest bar is `low` and the highest `high`; without them, the least and the greatest of what
    is shown. What is beyond them is shown as if it were there. None and what is not finite show as
    a space. Where nothing changes, all bars are the lowest.
    """
    levels = _levels(values, width, low, high, len(bars) - 1)
    return "".join(" " if level is None else bars[level] for level in levels)


def chart(
    values: Sequence[float | None], width: int, *, height: int, bars: str = BARS
) -> list[str]:
    """The same in `height` lines, the topmost first, with bars that are so many times as high."""
    steps = len(bars)
    levels = _levels(values, width, None, None, steps * height - 1)
    rows = []
    for below in range(steps * (height - 1), -1, -steps):
        filled = [0 if level is None else min(level + 1 - below, steps) for level in levels]
        rows.append("".join(bars[one - 1] if one > 0 else " " for one in filled).rstrip())
    return rows


def _levels(
    values: Sequence[float | None], width: int, low: float | None, high: float | None, last: int
) -> list[int | None]:
    """For each value that is shown, how high it is: from 0 to `last`."""
    shown = values[-width:] if width > 0 else ()
    known = [value for value in shown if value is not None and math.isfinite(value)]
    if not known:
        return [None] * len(shown)
    bottom = min(known) if low is None else low
    top = max(known) if high is None else high
    span = top - bottom
    levels: list[int | None] = []
    for value in shown:
        if value is None or not math.isfinite(value):
            levels.append(None)
        elif span <= 0 or value <= bottom:
            levels.append(0)
        elif value >= top:
            levels.append(last)
        else:
            # Divided first: the span of huge numbers may be infinite, and is then no scale.
            levels.append(min(round((value / span - bottom / span) * last), last))
    return levels
