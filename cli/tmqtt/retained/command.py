"""`tmqtt retained`: ask a broker for its retained messages, or to remove some."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

import trio

from tmqtt.connecting.api import Api
from tmqtt.connecting.listing import Column, ago, figure, show_page, text, until
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


async def list_messages(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """List a page of them."""
    answer = await trio.to_thread.run_sync(api.get, "/retained", asked, abandon_on_cancel=True)
    show_page(terminal, answer, _COLUMNS, "retained message", as_json=as_json)


async def show_message(api: Api, terminal: Terminal, topic: str, *, as_json: bool) -> None:
    """Show one of them."""
    asked = {"topic": topic}
    answer = await trio.to_thread.run_sync(
        api.get, "/retained/message", asked, abandon_on_cancel=True
    )
    if as_json:
        terminal.output.line(json.dumps(answer, ensure_ascii=False))
        return
    payload = base64.b64decode(answer["payload"])
    if terminal.output.is_terminal:
        terminal.output.line(escape_payload(payload, _SHOWN))
    else:
        terminal.output.put(payload + b"\n")


async def delete_messages(api: Api, terminal: Terminal, asked: Mapping[str, object]) -> None:
    """Delete some, and say how many."""
    answer = await trio.to_thread.run_sync(api.delete, "/retained", asked, abandon_on_cancel=True)
    terminal.say(f"{counted(answer['count'], 'retained message')} deleted.")
