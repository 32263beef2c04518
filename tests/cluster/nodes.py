"""Nodes of one cluster, in one process, for tests of what they do for each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import trio

import trio_mqtt
from trio_mqtt import Broker, Cluster

LOCAL = "mqtt://127.0.0.1:0"


@asynccontextmanager
async def nodes(cluster: Cluster, count: int, **settings: Any) -> AsyncIterator[list[Broker]]:
    """So many nodes of a cluster, which have names from `n1` on."""
    with trio.fail_after(60):
        async with AsyncExitStack() as stack:
            brokers = []
            for number in range(1, count + 1):
                own = replace(cluster, node=f"n{number}")
                opening = trio_mqtt.open_broker(LOCAL, cluster=own, **settings)
                brokers.append(await stack.enter_async_context(opening))
            yield brokers
