"""`tmqtt overview`: ask a broker how it is, or was in the last hour, and show that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask
from tmqtt.connecting.listing import UNKNOWN, figure, lasting, show_fields, text
from tmqtt.terminal.figures import counted, latency, size
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.sparkline import ASCII_BARS, BARS, sparkline
from tmqtt.terminal.streams import can_show
from tmqtt.terminal.terminal import Terminal


async def show_overview(api: Api, terminal: Terminal, *, as_json: bool) -> None:
    """Show how it is. Raises CommandError where it does not serve clients as it should."""
    answer = await ask(api, "/overview", {})
    if as_json:
        terminal.output.json(answer)
    else:
        show_fields(terminal, answer, _FIELDS)
    if answer["problems"]:
        raise CommandError(" ".join(answer["problems"]))


async def show_hour(api: Api, terminal: Terminal, *, as_json: bool) -> None:
    """Show how it was in the last hour: each figure as bars, with the least and the most of it."""
    answer = await ask(api, "/overview/series", {})
    if as_json:
        terminal.output.json(answer)
        return
    bars = BARS if can_show(BARS) else ASCII_BARS
    fields: list[tuple[str, Callable[[object], str]]] = []
    for head, (of, shown) in _DRAWN.items():
        values = of(answer)
        if values:
            drawn = sparkline(_by_minute(values), 60, bars=bars)
            line = f"{drawn}  {shown(min(values))} to {shown(max(values))}"
            fields.append((head, lambda _, line=line: line))  # type: ignore[misc]
    if not fields:
        terminal.say("It has not run for long enough.")
    show_fields(terminal, answer, fields)


def _by_minute(values: Sequence[float]) -> list[float | None]:
    """The most of each minute, the last of which may not be over."""
    return [max(values[at : at + _MINUTE]) for at in range(0, len(values), _MINUTE)]


def _each(name: str) -> Callable[[Mapping[str, Any]], list[float]]:
    return lambda answer: list(answer[name])


def _rate(name: str) -> Callable[[Mapping[str, Any]], list[float]]:
    def rates(answer: Mapping[str, Any]) -> list[float]:
        times, totals = answer["at"], answer[name]
        pairs = zip(pairwise(times), pairwise(totals), strict=True)
        return [(after - before) / (end - begin or 1.0) for (begin, end), (before, after) in pairs]

    return rates


_MINUTE = 6  # values, one each ten seconds
_DRAWN: Mapping[str, tuple[Callable[[Mapping[str, Any]], list[float]], Callable[[float], str]]] = {
    "Clients": (_each("clients"), "{:,}".format),
    "Messages in/s": (_rate("messages_received"), "{:,.1f}".format),
    "Messages out/s": (_rate("messages_sent"), "{:,.1f}".format),
    "Dropped/s": (_rate("messages_dropped"), "{:,.1f}".format),
    "Bytes in/s": (_rate("bytes_received"), size),
    "Bytes out/s": (_rate("bytes_sent"), size),
    "Bytes queued": (_each("queued_bytes"), size),
    "Retained": (_each("retained"), "{:,}".format),
    "Late by": (_each("loop_lag"), latency),
    "Memory": (_each("memory"), size),
}
_FIELDS = (
    ("trio-mqtt", text("version")),
    ("Runs for", lambda item: lasting(item["uptime"])),
    ("Listens at", lambda item: ", ".join(item["listeners"]) or UNKNOWN),
    ("Clients", figure("clients")),
    ("Connections", figure("connections")),
    ("Sessions", figure("sessions")),
    ("Subscriptions", figure("subscriptions")),
    ("Queued", lambda item: f"{item['queued_messages']:,}, {size(item['queued_bytes'])}"),
    ("In flight", figure("in_flight")),
    ("Retained", lambda item: f"{item['retained']:,}, {size(item['retained_bytes'])}"),
    ("Bans", figure("bans")),
    ("Received", lambda item: counted(item["totals"]["messages_received"], "message")),
    ("Sent", lambda item: counted(item["totals"]["messages_sent"], "message")),
    ("Dropped", lambda item: counted(item["totals"]["messages_dropped"], "message")),
    ("Late by", lambda item: latency(item["loop_lag"])),
    ("Memory", lambda item: size(item["memory"])),
)
