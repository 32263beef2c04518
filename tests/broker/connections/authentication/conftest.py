"""A broker with a scripted authenticator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.broker.connections.authentication.scripted import Scripted
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.limits import Limits
from trio_mqtt.testing import MemoryBroker, open_memory_broker


@pytest.fixture
def authenticator() -> Scripted:
    return Scripted()


@pytest.fixture
async def memory(limits: Limits, authenticator: Scripted) -> AsyncIterator[MemoryBroker]:
    security = Security(authenticators={"m": authenticator})
    async with open_memory_broker(limits=limits, security=security) as memory:
        yield memory
