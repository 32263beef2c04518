"""`tmqtt ban`: ask a broker to ban somebody, to lift a ban, or for all bans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask_list, change, remove
from tmqtt.connecting.listing import Column, ago, show_done, show_page, text, until
from tmqtt.terminal.figures import counted
from tmqtt.terminal.terminal import Terminal

_MOST = 10_000  # bans in force at one time
_COLUMNS: Sequence[Column] = (
    ("Banned", text("kind"), False),
    ("Who", text("value"), False),
    ("For", ago("since"), True),
    ("Left", until("until"), True),
    ("By", text("by"), False),
    ("Reason", text("reason"), False),
)


async def ban_somebody(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Ban somebody, and say who was disconnected."""
    answer = await change(api, "/bans", asked)
    gone = counted(answer["disconnected"], "client")
    sentence = f"The {asked['kind']} {answer['ban']['value']} is banned; {gone} disconnected."
    show_done(terminal, answer, sentence, as_json=as_json)


async def lift_ban(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Lift a ban."""
    answer = await remove(api, "/bans", asked)
    sentence = f"The {asked['kind']} {asked['value']} is not banned any more."
    show_done(terminal, answer, sentence, as_json=as_json)


async def show_bans(
    api: Api, terminal: Terminal, sought: Mapping[str, object], *, as_json: bool
) -> None:
    """Show those that are sought."""
    answer = await ask_list(api, "/bans", sought, _MOST)
    show_page(terminal, answer, _COLUMNS, "ban", as_json=as_json)
