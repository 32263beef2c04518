"""`tmqtt clients`: ask a broker, and show its clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask_list
from tmqtt.connecting.listing import Column, ago, figure, show_page, text
from tmqtt.terminal.terminal import Terminal

COLUMNS: Sequence[Column] = (
    ("Client", text("client_id"), False),
    ("State", lambda item: "connected" if item["connected"] else "away", False),
    ("For", ago("since"), True),
    ("User", text("username"), False),
    ("Address", text("address"), False),
    ("MQTT", text("protocol"), False),
    ("Subscriptions", figure("subscriptions"), True),
    ("Queued", figure("queued_messages"), True),
    ("In flight", figure("in_flight"), True),
    ("Dropped", figure("dropped"), True),
)


async def show_clients(
    api: Api, terminal: Terminal, asked: Mapping[str, object], limit: int, *, as_json: bool
) -> None:
    """Show so many of them."""
    answer = await ask_list(api, "/clients", asked, limit)
    show_page(terminal, answer, COLUMNS, "client", as_json=as_json)
