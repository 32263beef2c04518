"""What a node says where its engine keeps nothing of what it promises."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_mqtt.broker.clustering.journal import ClusterJournal
from trio_mqtt.cluster.engine.calls import EngineFencedError, EngineGoneError, EngineRefusedError
from trio_mqtt.errors import EngineError, StoreError

LEASE = 10.0


class StorageStub:
    """A storage that keeps nothing while there is an `error`."""

    lease = LEASE
    error: EngineError | None = None
    kept: Any = None

    async def append(self, _changes: object) -> None:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise StoreError(str(self.error)) from self.error

    def give_up(self) -> None:
        """It waits for nothing."""

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.fixture
def storage() -> StorageStub:
    return StorageStub()


@pytest.fixture
async def journal(storage: StorageStub, nursery: trio.Nursery) -> AsyncIterator[ClusterJournal]:
    stub: Any = storage
    none: Any = None
    journal = ClusterJournal(stub, none, none)
    nursery.start_soon(journal.run)
    yield journal
    storage.error = None
    await journal.close()


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(one.levelno, one.getMessage()) for one in caplog.records]


WAITS = "What clients are promised waits until it can be kept."
AGAIN = (logging.WARNING, "The storage keeps what changes again.")


async def test_what_the_engine_refuses_is_told_once_and_that_it_is_kept(
    storage: StorageStub,
    journal: ClusterJournal,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    for _ in range(2):
        storage.error = EngineRefusedError("WRONGTYPE as it were.")
        journal.forward("another", 1, b"", 1)
        await trio.sleep(5)
        assert journal.failure
        storage.error = None
        await journal.until_kept()
        assert not journal.failure
    assert told(caplog) == [(logging.ERROR, f"WRONGTYPE as it were. {WAITS}"), AGAIN] * 2


async def test_that_a_node_has_no_lease_is_told_where_that_lasts(
    storage: StorageStub,
    journal: ClusterJournal,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    storage.error = EngineFencedError("The lease of this node has ended.")
    journal.forward("another", 1, b"", 1)
    await trio.sleep(LEASE / 2)
    assert journal.failure
    assert told(caplog) == []
    await trio.sleep(LEASE)
    storage.error = None
    await journal.until_kept()
    assert told(caplog) == [(logging.ERROR, f"The lease of this node has ended. {WAITS}"), AGAIN]


async def test_an_engine_that_is_gone_others_tell_of(
    storage: StorageStub,
    journal: ClusterJournal,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    storage.error = EngineGoneError("The engine is gone.")
    journal.forward("another", 1, b"", 1)
    await trio.sleep(3 * LEASE)
    assert journal.failure
    storage.error = EngineFencedError("The lease of this node has ended.")
    await trio.sleep(LEASE / 2)
    journal.goes_on()
    storage.error = None
    await journal.until_kept()
    assert not journal.failure
    assert told(caplog) == []
