"""`tmqtt retained`: ask a broker for its retained messages, or to remove some."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask, ask_list, remove
from tmqtt.connecting.listing import UNKNOWN, Column, ago, figure, show_done, show_page, text, until
from tmqtt.terminal.escaping import escape_payload
from tmqtt.terminal.figures import counted
from tmqtt.terminal.terminal import Terminal

_SHOWN = 10_000  # characters of a payload, in a terminal

_COLUMNS: Sequence[Column] = (
    ("Topic", text("topic"), False),
    ("For", ago("stored_at"), True),
    ("Author", text("author"), False),
    ("Orphaned", text("orphaned"), False),
    ("QoS", figure("qos"), True),
    ("Bytes", figure("size"), True),
    ("Expires in", until("expires_at"), True),
)
_LEVELS: Sequence[Column] = (
    ("Topic", text("topic"), False),
    ("Below", figure("below"), True),
    ("Retained", lambda item: "yes" if item["retained"] else UNKNOWN, False),
)


async def list_messages(
    api: Api, terminal: Terminal, asked: Mapping[str, object], limit: int, *, as_json: bool
) -> None:
    """List so many of them."""
    answer = await ask_list(api, "/retained", asked, limit)
    show_page(terminal, answer, _COLUMNS, "retained message", as_json=as_json)


async def show_message(api: Api, terminal: Terminal, topic: str, *, as_json: bool) -> None:
    """Show one of them."""
    asked = {"topic": topic}
    answer = await ask(api, "/retained/message", asked)
    if as_json:
        terminal.output.json(answer)
        return
    payload = base64.b64decode(answer["payload"])
    if terminal.output.is_terminal:
        terminal.output.line(escape_payload(payload, _SHOWN))
    else:
        terminal.output.put(payload + b"\n")


async def delete_messages(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Delete some, and say how many."""
    answer = await remove(api, "/retained", asked)
    deleted = counted(answer["count"], "retained message")
    show_done(terminal, answer, f"{deleted} deleted.", as_json=as_json)


async def show_tree(
    api: Api, terminal: Terminal, asked: Mapping[str, object], limit: int, *, as_json: bool
) -> None:
    """Show the levels below one."""
    answer = await ask_list(api, "/topics", asked, limit)
    show_page(terminal, answer, _LEVELS, "level", as_json=as_json)
