"""Cancelling at any step of a connection by each transport: no socket and no task is left."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.transport.connectors.serving import only, running
from trio_mqtt import TlsOptions, open_client
from trio_mqtt.transport.connectors.by_url import connector_for
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.anyio

SCHEMES = ["mqtt", "mqtts", "ws", "wss", pytest.param("unix", marks=pytest.mark.posix)]


def open_sockets() -> int:
    """How many sockets this process has."""
    names = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue  # that of the listing
    return sum(name.startswith("socket:") for name in names)


async def at_each_step(operation: Callable[[], Awaitable[None]]) -> None:
    """Cancel after 0, 1, 2, … turns, in growing steps, until the operation is faster."""
    steps = 0
    done = anyio.Event()

    async def run() -> None:
        await operation()
        done.set()

    while not done.is_set():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            for _ in range(steps):
                if not done.is_set():
                    await checkpoint()
            tasks.cancel_scope.cancel()
        steps += 1 + steps // 8


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("form", ["stream", "client"])
async def test_nothing_is_left(scheme: str, form: str, tls: TlsOptions, tmp_path: Path) -> None:
    options = only(scheme, tls)
    async with running(scheme, tmp_path) as server:
        before = open_sockets()
        address = parse_url(server.url)

        async def opened() -> None:
            stream = await connector_for(address, options)(address)
            try:
                await stream.send_eof()
            finally:
                await anyio.aclose_forcefully(stream)

        async def client() -> None:
            async with open_client(server.url, tls=options) as one, one.subscribe("t") as messages:
                await one.publish("t", "x")
                assert (await anext(messages)).text == "x"
                await one.publish("t", "x", qos=1)

        await at_each_step(opened if form == "stream" else client)
        # The server's ends are closed as soon as it has seen what became of the client's.
        with anyio.fail_after(60):
            while open_sockets() > before:  # noqa: ASYNC110 # the kernel has no event for it
                await anyio.sleep(0.01)
    gc.collect()  # a socket that was forgotten is a warning, and that an error
