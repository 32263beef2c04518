"""Two brokers measured in turn: medians, and ratios of the rounds side by side. Sans-IO."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

# What is compared: the name, where it is in a summary, and whether more of it is better.
COMPARED: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("connected /s", ("connections", "per_second"), True),
    ("sent /s", ("rates", "sent_per_second"), True),
    ("received /s", ("rates", "received_per_second"), True),
    ("lost", ("messages", "lost"), False),
    ("latency p50", ("latency_us", "delivery", "p50"), False),
    ("latency p99", ("latency_us", "delivery", "p99"), False),
    ("acknowledged p50", ("latency_us", "acknowledgement", "p50"), False),
    ("acknowledged p99", ("latency_us", "acknowledgement", "p99"), False),
    ("connected p50", ("latency_us", "connection", "p50"), False),
    ("connected p99", ("latency_us", "connection", "p99"), False),
    ("CPU µs a message", ("broker", "cpu_us_per_message"), False),
    ("CPU µs a connection", ("broker", "cpu_us_per_connection"), False),
    ("memory", ("broker", "memory_bytes"), False),
)


def compare(first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of two brokers, round by round, side by side.

    For each figure: the medians, and how many times the second's the first's is: the median, the
    least and the greatest of the rounds. A round that lacks the figure does not count; what was
    zero has no ratio.
    """
    figures: dict[str, Any] = {}
    for name, path, more_is_better in COMPARED:
        pairs = [
            (mine, other)
            for one, two in zip(first, second, strict=False)
            if (mine := _at(one, path)) is not None and (other := _at(two, path)) is not None
        ]
        if not pairs:
            continue
        ratios = [mine / other for mine, other in pairs if mine and other]
        whole = len(ratios) == len(pairs)
        figures[name] = {
            "first": statistics.median(mine for mine, _ in pairs),
            "second": statistics.median(other for _, other in pairs),
            "ratio": round(statistics.median(ratios), 3) if whole else None,
            "ratio_min": round(min(ratios), 3) if whole else None,
            "ratio_max": round(max(ratios), 3) if whole else None,
            "more_is_better": more_is_better,
        }
    return figures


def _at(summary: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = summary
    for name in path:
        value = value.get(name) if value else None
    return None if value is None else float(value)
