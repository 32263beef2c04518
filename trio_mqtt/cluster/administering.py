"""Asking a cluster how it fares, from a process that is no node of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio

from trio_mqtt.cluster.engine.calls import EngineGoneError
from trio_mqtt.cluster.engine.loading import load_open_engine
from trio_mqtt.cluster.entries import encode_entry
from trio_mqtt.cluster.inbox import Inboxes
from trio_mqtt.cluster.items import DRAIN
from trio_mqtt.cluster.status import ClusterStatus, read_status
from trio_mqtt.errors import EngineError

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.settings import Cluster


class ClusterAdministration:
    """A cluster, as who runs it sees it. `administer` makes one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def status(self) -> ClusterStatus:
        """How the cluster fares now.

        Raises EngineError where the engine does not say so within the `timeout` of the settings.
        """
        engine = self._engine
        with trio.move_on_after(engine.settings.timeout):
            while True:
                await engine.wait_returned()
                with suppress(EngineGoneError):
                    return await read_status(engine)
        raise EngineError(f"The engine at {engine.shown} does not answer: {engine.why_gone}")

    async def drain(self, node: str, server_reference: str = "") -> None:
        """Have a node, by its identifier, send its clients elsewhere, and take no more.

        They are told `server_reference`, or where they reach the other nodes (MQTT 5.0 §4.11). It
        returns once the node has been told; what is left of its clients `status` says. Raises
        EngineError where the engine does not take it.
        """
        entry = encode_entry([(DRAIN, server_reference.encode())])
        await self._engine.all([Inboxes(self._engine).call(node, entry, is_bounded=False)])


@asynccontextmanager
async def administer(cluster: Cluster) -> AsyncIterator[ClusterAdministration]:
    """Reach a cluster's engine for as long as the context lasts.

    Raises EngineError where it cannot be reached, or is none that a cluster can have, and
    ConfigurationError where the package that speaks with engines is missing.
    """
    open_engine = load_open_engine()
    async with open_engine(cluster) as engine:
        yield ClusterAdministration(engine)
