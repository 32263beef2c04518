"""A broker with a program's hooks, and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.broker.raw import V5, Raw
from trio_mqtt import Broker, Limits, Security
from trio_mqtt.access import (
    AccessHooks,
)
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.testing import MemoryBroker, open_memory_broker


class Served:
    """A broker with hooks, and clients for it."""

    def __init__(self, memory: MemoryBroker) -> None:
        self.broker: Broker = memory.broker
        self._memory = memory

    def opened(self, version: ProtocolVersion = V5) -> Raw:
        return Raw(self._memory.connect(), version)

    async def join(self, client_id: str, version: ProtocolVersion = V5, **options: Any) -> Raw:
        client = self.opened(version)
        await client.connect(client_id, **options)
        return client


@asynccontextmanager
async def served(hooks: AccessHooks, **limits: Any) -> AsyncIterator[Served]:
    security = Security(hooks=hooks)
    async with open_memory_broker(limits=Limits(**limits), security=security) as memory:
        yield Served(memory)
