"""`tmqtt clients`: ask a broker, and show its clients."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask_list
from tmqtt.connecting.listing import show_page
from tmqtt.connecting.seen_clients import COLUMNS, RATES
from tmqtt.terminal.terminal import Terminal


async def show_clients(
    api: Api,
    terminal: Terminal,
    asked: Mapping[str, object],
    limit: int,
    counted_for: float | None,
    *,
    as_json: bool,
) -> None:
    """Show so many of them, and of what was counted for so long how fast it is."""
    answer = await ask_list(api, "/clients", asked, limit)
    if counted_for is not None:
        await trio.sleep(counted_for)
        answer = await ask_list(api, "/clients", asked, limit)
    columns = COLUMNS if counted_for is None else RATES
    show_page(terminal, answer, columns, "client", as_json=as_json)
