"""`tmqtt ban`: ask a broker to ban somebody, to lift a ban, or for all bans."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from tmqtt.connecting.api import Api
from tmqtt.connecting.listing import Column, ago, show_page, text, until
from tmqtt.terminal.figures import counted
from tmqtt.terminal.terminal import Terminal

_COLUMNS: Sequence[Column] = (
    ("Banned", text("kind"), False),
    ("Who", text("value"), False),
    ("For", ago("since"), True),
    ("Left", until("until"), True),
    ("By", text("by"), False),
    ("Reason", text("reason"), False),
)


async def ban_somebody(
    api: Api, terminal: Terminal, kind: str, value: str, seconds: float | None, reason: str
) -> None:
    """Ban somebody, and say who was disconnected."""
    asked = {"kind": kind, "value": value, "seconds": seconds, "reason": reason}
    answer = await trio.to_thread.run_sync(api.post, "/bans", asked, abandon_on_cancel=True)
    gone = counted(answer["disconnected"], "client")
    terminal.say(f"The {kind} {answer['ban']['value']} is banned; {gone} disconnected.")


async def lift_ban(api: Api, terminal: Terminal, kind: str, value: str) -> None:
    """Lift a ban."""
    asked = {"kind": kind, "value": value}
    await trio.to_thread.run_sync(api.delete, "/bans", asked, abandon_on_cancel=True)
    terminal.say(f"The {kind} {value} is not banned any more.")


async def show_bans(api: Api, terminal: Terminal, *, as_json: bool) -> None:
    """Show all bans."""
    asked = {"limit": 1_000}
    answer = await trio.to_thread.run_sync(api.get, "/bans", asked, abandon_on_cancel=True)
    show_page(terminal, answer, _COLUMNS, "ban", as_json=as_json)
