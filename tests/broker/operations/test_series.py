"""The broker tells how it was in the last hour, and keeps no more than that."""

from __future__ import annotations

import dataclasses
import time

import pytest
import trio

from tests.broker.conftest import Join
from trio_mqtt.administration import Series, SeriesQuery
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.testing import MemoryBroker

pytestmark = pytest.mark.usefixtures("autojump_clock")


async def series(memory: MemoryBroker, since: float = 0.0) -> Series:
    return await memory.broker.administration.series(SeriesQuery(since=since))


async def test_it_is_seen_when_clients_came_and_what_they_sent(
    memory: MemoryBroker, join: Join
) -> None:
    await trio.sleep(15)
    client = await join("here")
    await client.send(Publish("kept", b"x", retain=True), Publish("gone", b"x"))
    await trio.sleep(10)
    before = time.time()
    found = await series(memory)
    assert found.clients == (0, 0, 1)
    assert found.retained == (0, 0, 1)
    assert found.messages_received == (0, 0, 2)
    assert found.bytes_received[1] == 0 < found.bytes_received[2]
    assert all(found.memory)
    assert [round(later - found.at[0]) for later in found.at] == [0, 10, 20]
    assert before - 5.5 < found.at[-1] < time.time() - 4.5
    later = await series(memory, found.at[1] + 1)
    assert (later.clients, len(later.at)) == ((1,), 1)


async def test_the_longest_that_it_was_late_is_seen_though_it_is_not_any_more(
    memory: MemoryBroker,
) -> None:
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    await trio.sleep(11)
    clock.jump(4.5)  # the loop was at work
    await trio.sleep(10)
    found = await series(memory)
    assert memory.broker.statistics.loop_lag < 1
    assert 1 < found.loop_lag[-1] <= 4.5


async def test_there_is_an_hour_of_it_whatever_time_it_runs(memory: MemoryBroker) -> None:
    await trio.sleep(4_000)
    found = await series(memory)
    assert {len(getattr(found, one.name)) for one in dataclasses.fields(Series)} == {360}
    assert found.at[-1] - found.at[0] == pytest.approx(3_590, abs=60)
