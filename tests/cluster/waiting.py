"""Waiting for what other nodes do in their own time."""

from __future__ import annotations

from collections.abc import Callable

import trio

from tests.inside import core_of
from trio_mqtt import Broker


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds; it has to within so many seconds."""
    with trio.fail_after(seconds):
        while not holds():  # noqa: ASYNC110 # several nodes, and an engine, may bring it about
            await trio.sleep(0.005)


async def known(*brokers: Broker) -> None:
    """Wait until all nodes know what the clients of these want."""
    for broker in brokers:
        elsewhere = core_of(broker).elsewhere
        assert elsewhere is not None
        await until(lambda elsewhere=elsewhere: elsewhere.known() is None)  # type: ignore[misc]
