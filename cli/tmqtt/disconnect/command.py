"""`tmqtt disconnect`: ask a broker to disconnect a client."""

from __future__ import annotations

from collections.abc import Mapping

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import change
from tmqtt.connecting.listing import show_done
from tmqtt.terminal.terminal import Terminal

_USE_ANOTHER_SERVER = 0x9C
_ADMINISTRATIVE_ACTION = 0x98


async def disconnect_client(
    api: Api, terminal: Terminal, asked: Mapping[str, object], to: str | None, *, as_json: bool
) -> None:
    """Disconnect it, and say so; `to` is where it is to go."""
    asked = {
        **asked,
        "reason_code": _ADMINISTRATIVE_ACTION if to is None else _USE_ANOTHER_SERVER,
        "server_reference": to,
    }
    answer = await change(api, "/client/disconnect", asked)
    show_done(terminal, answer, f"{asked['client_id']} is disconnected.", as_json=as_json)
