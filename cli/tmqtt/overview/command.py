"""`tmqtt overview`: ask a broker how it is, and show that."""

from __future__ import annotations

import json

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask
from tmqtt.connecting.listing import UNKNOWN, figure, lasting, show_fields, text
from tmqtt.terminal.figures import latency, size
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import Terminal


async def show_overview(api: Api, terminal: Terminal, *, as_json: bool) -> None:
    """Show how it is. Raises CommandError where it does not serve clients as it should."""
    answer = await ask(api, "/overview", {})
    if as_json:
        terminal.output.line(json.dumps(answer, ensure_ascii=False))
    else:
        show_fields(terminal, answer, _FIELDS)
    if answer["problems"]:
        raise CommandError(" ".join(answer["problems"]))


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
    ("Received", lambda item: f"{item['totals']['messages_received']:,} messages"),
    ("Sent", lambda item: f"{item['totals']['messages_sent']:,} messages"),
    ("Dropped", lambda item: f"{item['totals']['messages_dropped']:,} messages"),
    ("Late by", lambda item: latency(item["loop_lag"])),
    ("Memory", lambda item: size(item["memory"])),
)
