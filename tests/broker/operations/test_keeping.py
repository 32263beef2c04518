"""What was done is told once it is kept: a broker that starts anew has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from tests.broker.slow_storage import Slow, broker_on, subscriber
from trio_mqtt.administration import (
    Administration,
    ClientMessage,
    ClientName,
    DeleteRetained,
    GiveSubscription,
    NewBan,
    TakeSubscription,
)

Change = Callable[[Administration], Awaitable[object]]
CHANGES: dict[str, Change] = {
    "end": lambda one: one.end_session(ClientName(client_id="s")),
    "give": lambda one: one.give_subscription(GiveSubscription(client_id="s", topic_filter="b")),
    "take": lambda one: one.take_subscription(TakeSubscription(client_id="s", topic_filter="a")),
    "send": lambda one: one.send_to_client(ClientMessage(client_id="s", topic="a", qos=1)),
    "delete": lambda one: one.delete_retained(DeleteRetained(topic_filter="r")),
    "ban": lambda one: one.ban(NewBan(kind="client", value="c")),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_done_is_kept(change: str) -> None:
    storage = Slow()
    done: list[object] = []

    async def do() -> None:
        done.append(await CHANGES[change](memory.broker.administration))

    async with broker_on(storage) as memory, trio.open_nursery() as nursery:
        await memory.broker.publish("r", b"x", qos=1, retain=True)
        await subscriber(memory, "a", 1)
        await trio.testing.wait_all_tasks_blocked()
        storage.wait()
        nursery.start_soon(do)
        await trio.sleep(10)
        assert done == []
        storage.may_keep.set()
        await trio.sleep(10)
        assert len(done) == 1
