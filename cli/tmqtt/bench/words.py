"""Figures as people read them. Sans-IO."""

from __future__ import annotations

from typing import Any

from tmqtt.bench.plan import Plan
from tmqtt.terminal.figures import asked_rate, counted, latency, rate, size

NAMES = {
    "delivery": "latency",
    "acknowledgement": "acknowledged",
    "connection": "connected in",
}
_PERCENTILES = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99_9", "p99.9"), ("max", "max"))


def latencies(figures: dict[str, Any]) -> str:
    """The percentiles in one line."""
    return "  ".join(f"{name} {latency(figures[key] / 1e6)}" for key, name in _PERCENTILES)


def describe(plan: Plan) -> str:
    """What is measured, in one line."""
    parts = []
    if plan.kind == "conn":
        parts.append(counted(plan.subscribers, "connection"))
        parts.append(f"{plan.rate:g} a second" if plan.rate else "as fast as possible")
    else:
        if plan.publishers:
            parts.append(counted(plan.publishers, "publisher"))
        if plan.subscribers:
            parts.append(counted(plan.subscribers, "subscriber"))
        parts.append(f"QoS {plan.qos}")
        if plan.publishers:
            parts.append(counted(plan.size, "byte"))
            parts.append("retained" if plan.retain else "")
            parts.append(f"{asked_rate(plan.rate)} each" if plan.rate else "as fast as possible")
    parts.append(counted(max(1, min(plan.processes, plan.clients)), "process", "processes"))
    return ", ".join(filter(None, parts))


def rows(plan: Plan, summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of one measurement, each with its name."""
    found: list[tuple[str, str]] = []
    connections, messages = summary["connections"], summary["messages"]
    rates, broker, load = summary["rates"], summary["broker"], summary["load"]
    if plan.kind == "conn":
        found.append(("connected", _with_rate(connections["opened"], connections["per_second"])))
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
    processes = counted(load["processes"], "process", "processes")
    found.append(("load", f"{processes}, the busiest at {load['busiest']:.0%} of a core"))
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
    return f"{count:,}" if per_second is None else f"{count:,}  {rate(per_second)}/s"
