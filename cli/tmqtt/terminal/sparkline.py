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
    shown = values[-width:] if width > 0 else ()
    known = [value for value in shown if value is not None and math.isfinite(value)]
    if not known:
        return " " * len(shown)
    bottom = min(known) if low is None else low
    top = max(known) if high is None else high
    span = top - bottom
    last = len(bars) - 1
    line = []
    for value in shown:
        if value is None or not math.isfinite(value):
            line.append(" ")
        elif span <= 0 or value <= bottom:
            line.append(bars[0])
        elif value >= top:
            line.append(bars[last])
        else:
            # Divided first: the span of huge numbers may be infinite, and is then no scale.
            line.append(bars[min(round((value / span - bottom / span) * last), last)])
    return "".join(line)
