"""A subscriber within the program: it loses nothing, and holds back whoever publishes."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from trio_mqtt import Broker, LocalProtocolError
from trio_mqtt.protocol.packets import Publish


async def test_the_program_reads_what_is_published(broker: Broker, join: Join) -> None:
    client = await join("c")
    with broker.administration.subscribe("a/#", "b") as messages:
        await client.publish("a/1", b"1", 1)
        await client.publish("b", b"2", 2)
        await client.publish("c", b"3")
        await broker.publish("b", b"4")
        found = [await anext(messages) for _ in range(3)]
    assert [one.payload for one in found] == [b"1", b"2", b"4"]
    await client.publish("a/1", b"5", 1)
    assert [one async for one in messages] == []


async def test_who_publishes_more_than_is_taken_is_held_back(broker: Broker, join: Join) -> None:
    fast, other = await join("fast"), await join("other")
    with broker.administration.subscribe("a", limit=10) as messages:
        for number in range(100):
            await fast.send(Publish("a", b"%d" % number))
            await trio.testing.wait_all_tasks_blocked()
        assert messages.waiting == 10
        await other.publish("b", b"x", 1)  # who does not publish that goes on
        found = [int((await anext(messages)).payload) for _ in range(100)]
    assert found == list(range(100))
    assert not broker._core.router.spreading.held_back


async def test_who_is_held_back_goes_on_when_nobody_reads_any_more(
    broker: Broker, join: Join
) -> None:
    client = await join("c", keep_alive=10)
    with broker.administration.subscribe("a", limit=1):
        await client.publish("a", b"1")
        await trio.sleep(60)  # the broker does not hear it: that is not the client's silence
        assert broker.statistics.clients_connected == 1
    await client.publish("b", b"x", 1)


async def test_the_program_itself_waits_for_room(broker: Broker) -> None:
    with broker.administration.subscribe("a", limit=2) as messages:
        await broker.publish("a", b"1")
        with trio.move_on_after(1) as scope:
            await broker.publish("a", b"2")
        assert scope.cancelled_caught
        assert [(await anext(messages)).payload for _ in range(2)] == [b"1", b"2"]
        await broker.publish("a", b"3")


async def test_several_tasks_may_share_what_comes(broker: Broker) -> None:
    taken: list[bytes] = []

    async def take() -> None:
        async for message in messages:
            taken.append(message.payload)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            with broker.administration.subscribe("a") as messages:
                for _ in range(3):
                    nursery.start_soon(take)
                await trio.testing.wait_all_tasks_blocked()
                for number in range(6):
                    await broker.publish("a", b"%d" % number)
                await trio.testing.wait_all_tasks_blocked()
    assert sorted(taken) == [b"%d" % number for number in range(6)]


async def test_who_is_cancelled_takes_nothing_more(broker: Broker) -> None:
    with broker.administration.subscribe("a") as messages, trio.CancelScope() as scope:
        await broker.publish("a", b"1")
        scope.cancel()
        await anext(messages)
    assert scope.cancelled_caught
    assert messages.waiting == 1


async def test_a_subscription_has_filters(broker: Broker) -> None:
    for filters, limit in (((), 1), (("a/#/b",), 1), (("a",), 0)):
        with (
            pytest.raises(LocalProtocolError),
            broker.administration.subscribe(*filters, limit=limit),
        ):
            pass
