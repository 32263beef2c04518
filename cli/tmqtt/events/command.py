"""`tmqtt events`: follow what happens at a broker, and show each event as a line."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import follow
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.terminal import Terminal

_SHOWN = 200  # characters of a value


async def follow_events(
    api: Api,
    terminal: Terminal,
    asked: Mapping[str, object],
    *,
    count: int | None,
    as_json: bool,
) -> None:
    """Show what happens, until that were so many events, or the broker ends."""
    await follow(api, "/events", asked, terminal, _line, count=count, as_json=as_json)


def _line(event: Mapping[str, Any]) -> str:
    said = " ".join(
        f"{name}={_said(value)}"
        for name, value in event.items()
        if name != "kind" and value not in (None, "", {}, [])
    )
    return f"{time.strftime('%H:%M:%S')} {event['kind']} {said}".rstrip()


def _said(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escape(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
