"""A client for a block: its thread, with an event loop, and the asynchronous client there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from trio_mqtt.client import opening
from trio_mqtt.client.blocks import plain_block
from trio_mqtt.client.client import Client as AsyncClient
from trio_mqtt.client.open_arguments import ClientArguments
from trio_mqtt.client.threads import Block, Bridge, Soon
from trio_mqtt.errors import MqttError
from trio_mqtt.sync.client import Client

if TYPE_CHECKING:
    from typing import Unpack


@plain_block("with sync.open_client(...) as client:")
def open_client(
    url: str | Sequence[str] = "mqtt://localhost:1883",
    *,
    backend: str = "asyncio",
    **options: Unpack[ClientArguments],
) -> Iterator[Client]:
    """Connect to a broker; yields a `Client` once it has accepted the connection.

    `options` are those of `trio_mqtt.open_client`, and so are the errors. What ends the client for
    good is raised by the calls that wait, and at the end of the block. `backend` is the event loop
    that runs in the thread: "asyncio" or "trio".

    In a notebook, where the block does not fit a cell, `contextlib.ExitStack` holds it open:
    `stack = ExitStack(); client = stack.enter_context(sync.open_client())`, and in the end
    `stack.close()`.
    """
    with Bridge(backend, _into_trio if backend == "trio" else _into_asyncio) as bridge:
        block = Block(bridge, partial(opening.open_client, url, **options))
        client = block.enter()
        try:
            yield Client(bridge, client)
        except BaseException as error:
            # What happened here is nothing to raise in the other thread.
            try:
                _close(bridge, block)
            except MqttError:
                raise error from None  # it came first
            raise
        else:
            _close(bridge, block)


def _into_asyncio() -> Soon:
    return asyncio.get_running_loop().call_soon_threadsafe


def _into_trio() -> Soon:
    import trio

    return trio.lowlevel.current_trio_token().run_sync_soon


def _close(bridge: Bridge, block: Block[AsyncClient]) -> None:
    """End the client, and with it what other threads still wait for."""
    bridge.close()
    try:
        block.leave()
    finally:
        bridge.leave_blocks()
