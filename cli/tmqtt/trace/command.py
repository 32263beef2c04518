"""`tmqtt trace`: follow a trace, and show each packet as a line."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import trio

from tmqtt.connecting.api import Api
from tmqtt.terminal.escaping import escape, escape_payload
from tmqtt.terminal.terminal import Terminal

_SHOWN = 100  # characters of a payload
_ARROWS = {"in": "→", "out": "←"}


async def follow_trace(
    api: Api,
    terminal: Terminal,
    asked: Mapping[str, object],
    *,
    count: int | None,
    as_json: bool,
) -> None:
    """Show what is told, until there were so many, or the broker ends."""
    send, told = trio.open_memory_channel[tuple[str, Any]](1_000)
    token = trio.lowlevel.current_trio_token()

    def tell(name: str, entry: Any) -> None:  # noqa: ANN401 # what JSON has
        trio.from_thread.run(send.send, (name, entry), trio_token=token)

    async def follow() -> None:
        async with send:
            await trio.to_thread.run_sync(
                partial(api.follow, "/trace", asked, tell), abandon_on_cancel=True
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        left = count
        async for name, entry in told:
            if name == "missed":
                terminal.warn(f"{entry['count']:,} were left out, as they came too fast.")
                continue
            line = json.dumps(entry, ensure_ascii=False) if as_json else _line(entry)
            terminal.output.line(line)
            if left is not None:
                left -= 1
                if not left:
                    break
        nursery.cancel_scope.cancel()


def _line(entry: Mapping[str, Any]) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(entry["at"]))
    details = {
        name: value for name, value in entry["details"].items() if value not in (None, "", {}, [])
    }
    said = " ".join(f"{name}={_said(value)}" for name, value in details.items())
    who = escape(entry["client_id"] or "the broker")
    line = f"{clock} {_ARROWS[entry['direction']]} {who} {entry['kind']} {said}"
    if entry["payload"] is not None:
        line += f" {escape_payload(base64.b64decode(entry['payload']), _SHOWN)}"
    return line.rstrip()


def _said(value: object) -> str:
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
