"""What a program reads of a broker ends with it, and keeps no task waiting."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from contextlib import AbstractContextManager

import pytest
import trio
import trio.testing

from trio_mqtt.administration import Administration, EventQuery, TraceQuery
from trio_mqtt.testing import open_memory_broker

Reading = Callable[[Administration], AbstractContextManager[AsyncIterable[object]]]
READINGS: dict[str, Reading] = {
    "messages": lambda one: one.subscribe("a"),
    "client": lambda one: one.trace(TraceQuery(client_id="c")),
    "topic": lambda one: one.trace(TraceQuery(topic_filter="a")),
    "events": lambda one: one.events(EventQuery(kinds=("ClientConnected",))),
}


@pytest.mark.parametrize("reading", READINGS)
async def test_it_ends_with_the_broker(reading: str) -> None:
    read = READINGS[reading]
    ended = trio.Event()

    async def follow(administration: Administration) -> None:
        with read(administration) as told:
            async for _ in told:
                pass
        ended.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            async with open_memory_broker() as memory:
                nursery.start_soon(follow, memory.broker.administration)
                await trio.testing.wait_all_tasks_blocked()
                assert not ended.is_set()
            await ended.wait()
