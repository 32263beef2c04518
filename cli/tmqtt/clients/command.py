"""`tmqtt clients`: ask a broker, and show its clients."""

from __future__ import annotations

from collections.abc import Mapping

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask_list
from tmqtt.connecting.listing import show_page
from tmqtt.connecting.seen_clients import COLUMNS
from tmqtt.terminal.terminal import Terminal


async def show_clients(
    api: Api, terminal: Terminal, asked: Mapping[str, object], limit: int, *, as_json: bool
) -> None:
    """Show so many of them."""
    answer = await ask_list(api, "/clients", asked, limit)
    show_page(terminal, answer, COLUMNS, "client", as_json=as_json)
