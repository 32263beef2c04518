"""Whether a broker answers at all: one connection, one question, nothing left behind."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

import trio

import trio_mqtt
from tmqtt.connecting.opening import open_connection, public_url
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.sentences import TIMED_OUT, CommandError
from tmqtt.terminal.terminal import Terminal

_PATIENCE = 5.0  # seconds


async def ask_whether_alive(connection: ConnectionOptions, terminal: Terminal) -> None:
    """Have the broker answer CONNECT and SUBSCRIBE, and say how long that took.

    That it refuses the subscription is an answer, too: rules may be stricter than this needs.
    Nobody else sees anything of it, as a published message would be seen. Raises CommandError
    where no answer comes, or the connection is refused.
    """
    url = public_url(connection.broker)
    began = time.perf_counter()
    with trio.move_on_after(_PATIENCE) as patience:
        url = await _ask(replace(connection, clean_start=True, wait=False), terminal)
    if patience.cancelled_caught:
        raise CommandError(f"{url} has not answered within {_PATIENCE:g} s.", TIMED_OUT)
    terminal.output.line(f"{url} answers ({(time.perf_counter() - began) * 1_000:.0f} ms).")


async def _ask(connection: ConnectionOptions, terminal: Terminal) -> str:
    """The address of what answers, which may be one of several."""
    async with open_connection(connection, terminal, reconnect=False) as client:
        try:
            async with client.subscribe(f"tmqtt-check/{secrets.token_hex(8)}"):
                pass
        except trio_mqtt.RequestRefusedError:
            pass
        return public_url(client.url)
