"""A storage that a test holds up, has fail, and copies as if the broker had ended just then."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.broker.raw import V5, Raw
from trio_mqtt import Limits, StoreError
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import Changes
from trio_mqtt.testing import MemoryBroker, open_memory_broker


class Slow(MemoryStorage):
    """A storage that keeps nothing before it may; it knows what it has kept as groups."""

    def __init__(self) -> None:
        super().__init__()
        self.may_keep = trio.Event()
        self.may_keep.set()
        self.groups: list[Changes] = []
        self.failure: StoreError | None = None

    async def append(self, changes: Changes) -> None:
        await self.may_keep.wait()
        if self.failure is not None:
            raise self.failure
        self.groups.append(copy.deepcopy(changes))
        await super().append(changes)

    def wait(self) -> None:
        """From now on nothing is kept."""
        self.may_keep = trio.Event()

    def as_it_is(self) -> Slow:
        """What another broker would find, had this one ended just now."""
        found = Slow()
        found._messages = self._messages.copy()
        found._sessions = copy.deepcopy(self._sessions)
        found._retained = self._retained.copy()
        return found


@asynccontextmanager
async def broker_on(storage: Slow, *, limits: Limits | None = None) -> AsyncIterator[MemoryBroker]:
    async with open_memory_broker(storage=storage, limits=limits) as memory:
        try:
            yield memory
        finally:
            storage.failure = None
            storage.may_keep.set()


async def join(memory: MemoryBroker, client_id: str, *, expiry: int = 0, clean: bool = True) -> Raw:
    client = Raw(memory.connect(), V5)
    await client.connect(
        client_id, clean_start=clean, properties={"session_expiry_interval": expiry}
    )
    return client


async def subscriber(
    memory: MemoryBroker, topic_filter: str, qos: int, client_id: str = "s"
) -> Raw:
    """A client whose session is kept, and who is away."""
    client = await join(memory, client_id, expiry=NEVER)
    await client.subscribe(topic_filter, qos=qos)
    await client.disconnect()
    return client
