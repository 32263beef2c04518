"""Figures as people read them. Sans-IO."""

from __future__ import annotations

from typing import Any

from tmqtt.bench.plan import Plan

NAMES = {
    "delivery": "latency",
    "acknowledgement": "acknowledged",
    "connection": "connected in",
}
_PERCENTILES = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99_9", "p99.9"), ("max", "max"))


def duration(microseconds: float) -> str:
    """`85 µs`, `1.2 ms`, `3.4 s`."""
    if microseconds < 1_000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        milliseconds = microseconds / 1_000
        return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"
    return f"{microseconds / 1_000_000:.1f} s"


def size(count: float) -> str:
    """`640 B`, `1.2 KiB`, `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def rate(per_second: float | None) -> str:
    """`1,234/s`; of what did not happen, nothing."""
    if per_second is None:
        return ""
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.1f}/s"


def latencies(figures: dict[str, Any]) -> str:
    """The percentiles in one line."""
    return "  ".join(f"{name} {duration(figures[key])}" for key, name in _PERCENTILES)


def describe(plan: Plan) -> str:
    """What is measured, in one line."""
    parts = []
    if plan.kind == "conn":
        parts.append(_count(plan.subscribers, "connection"))
        parts.append(f"{plan.rate:g} a second" if plan.rate else "as fast as possible")
    else:
        if plan.publishers:
            parts.append(_count(plan.publishers, "publisher"))
        if plan.subscribers:
            parts.append(_count(plan.subscribers, "subscriber"))
        parts.append(f"QoS {plan.qos}")
        if plan.publishers:
            parts.append(f"{_count(plan.size, 'byte')}")
            parts.append("retained" if plan.retain else "")
            parts.append(f"{plan.rate:g}/s each" if plan.rate else "as fast as possible")
    parts.append(_count(max(1, min(plan.processes, plan.clients)), "process", "processes"))
    return ", ".join(filter(None, parts))


def rows(plan: Plan, summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of one measurement, each with its name."""
    found: list[tuple[str, str]] = []
    connections, messages = summary["connections"], summary["messages"]
    rates, broker, load = summary["rates"], summary["broker"], summary["load"]
    if plan.kind == "conn":
        speed = rate(connections["per_second"])
        found.append(("connected", f"{connections['opened']:,}" + (f"  {speed}" if speed else "")))
        found.append(("failed", f"{connections['failed']:,}"))
    if plan.publishers:
        found.append(("sent", _with_rate(messages["sent"], rates["sent_per_second"])))
        if messages["refused"]:
            found.append(("refused", f"{messages['refused']:,}"))
    if plan.subscribers and plan.kind != "conn":
        received = _with_rate(messages["received"], rates["received_per_second"])
        if rates["received_bytes_per_second"]:
            received += f"  {size(rates['received_bytes_per_second'])}/s"
        found.append(("received", received))
        expected = messages["expected"]
        share = f"  ({messages['lost'] / expected:.2%})" if expected and messages["lost"] else ""
        found.append(("lost", f"{messages['lost']:,}{share}"))
        if messages["in_flight"]:
            found.append(("in flight", f"{messages['in_flight']:,} when it was ended"))
        found.append(("repeated", f"{messages['repeated']:,}"))
        found.append(("out of order", f"{messages['reordered']:,}"))
    for key, name in NAMES.items():
        if summary["latency_us"][key]:
            found.append((name, latencies(summary["latency_us"][key])))
    if broker:
        found.append(("broker", _broker(broker)))
    found.append(
        (
            "load",
            (
                f"{_count(load['processes'], 'process', 'processes')}, the busiest at"
                f" {load['busiest']:.0%} of a core"
            ),
        )
    )
    return found


def _broker(broker: dict[str, Any]) -> str:
    parts = [str(broker["name"])]
    if broker["cpu_us_per_message"] is not None:
        parts.append(f"{broker['cpu_us_per_message']:.1f} µs CPU a message")
    if broker["cpu_us_per_connection"] is not None:
        parts.append(f"{broker['cpu_us_per_connection']:.0f} µs CPU a connection")
    if broker["cpu_share"] is not None:
        parts.append(f"{broker['cpu_share']:.0%} of a core")
    parts.append(size(broker["memory_bytes"]))
    if broker["memory_bytes_per_connection"] is not None:
        parts.append(f"{size(broker['memory_bytes_per_connection'])} a connection")
    return ", ".join(parts)


def _with_rate(count: int, per_second: float | None) -> str:
    speed = rate(per_second)
    return f"{count:,}  {speed}" if speed else f"{count:,}"


def _count(number: int, thing: str, things: str | None = None) -> str:
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
