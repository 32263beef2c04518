"""`tmqtt trace`: follow a trace, and show each packet as a line."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import follow
from tmqtt.terminal.escaping import escape, escape_payload
from tmqtt.terminal.terminal import Terminal

_SHOWN = 100  # characters of a payload, where nobody says how many
_ARROWS = {"in": "→", "out": "←"}


async def follow_trace(
    api: Api,
    terminal: Terminal,
    asked: Mapping[str, Any],
    *,
    count: int | None,
    as_json: bool,
) -> None:
    """Show what is told, until there were so many, or the broker ends."""
    if terminal.messages.is_terminal:
        terminal.say(_waiting_for(asked))
    shown = asked["payload"] or _SHOWN
    line = partial(_line, shown)
    await follow(api, "/trace", asked, terminal, line, count=count, as_json=as_json)


def _waiting_for(asked: Mapping[str, object]) -> str:
    """What is shown from now on, for who sees nothing yet."""
    client = asked["client_id"]
    if client is None:
        return f"Waiting for messages to {asked['topic_filter']}; Ctrl-C ends it."
    hint = ""
    if any(sign in str(client) for sign in "/+#"):
        hint = " That is a client identifier: --topic FILTER traces topics."
    return f"Waiting for packets of the client {client}; Ctrl-C ends it.{hint}"


def _line(shown: int, entry: Mapping[str, Any]) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(entry["at"]))
    details = {
        name: value for name, value in entry["details"].items() if value not in (None, "", {}, [])
    }
    said = " ".join(f"{name}={_said(value)}" for name, value in details.items())
    who = escape(entry["client_id"] or "the broker")
    line = f"{clock} {_ARROWS[entry['direction']]} {who} {entry['kind']} {said}"
    if entry["payload"] is not None:
        line += f" {escape_payload(base64.b64decode(entry['payload']), shown)}"
    return line.rstrip()


def _said(value: object) -> str:
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
