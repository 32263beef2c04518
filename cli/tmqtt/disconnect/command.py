"""`tmqtt disconnect`: ask a broker to disconnect a client."""

from __future__ import annotations

import trio

from tmqtt.connecting.api import Api
from tmqtt.terminal.terminal import Terminal

_USE_ANOTHER_SERVER = 0x9C
_ADMINISTRATIVE_ACTION = 0x98


async def disconnect_client(
    api: Api, terminal: Terminal, client: str, reason: str, to: str | None
) -> None:
    """Disconnect it, and say so."""
    asked = {
        "client_id": client,
        "reason": reason,
        "reason_code": _ADMINISTRATIVE_ACTION if to is None else _USE_ANOTHER_SERVER,
        "server_reference": to,
    }
    await trio.to_thread.run_sync(api.post, "/client/disconnect", asked, abandon_on_cancel=True)
    terminal.say(f"{client} is disconnected.")
