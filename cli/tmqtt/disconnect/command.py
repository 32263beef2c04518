"""`tmqtt disconnect`: ask a broker to disconnect a client."""

from __future__ import annotations

from collections.abc import Mapping

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import change
from tmqtt.connecting.listing import show_done
from tmqtt.terminal.terminal import Terminal

_USE_ANOTHER_SERVER = 0x9C


async def disconnect_client(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Disconnect it, and say so."""
    if asked["reason_code"] is None and asked["server_reference"] is not None:
        asked = {**asked, "reason_code": _USE_ANOTHER_SERVER}
    answer = await change(api, "/client/disconnect", asked)
    show_done(terminal, answer, f"{asked['client_id']} is disconnected.", as_json=as_json)
