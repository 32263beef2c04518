"""A program looks now and then at some of what happens in its broker."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V311, Raw
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.events.samples import SAMPLE_BYTES
from trio_mqtt.events import (
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    MessagePublished,
    SlowConsumer,
    Subscribed,
    Unsubscribed,
)
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.testing import MemoryBroker, open_memory_broker

CLIENTS = (ClientConnected, ClientDisconnected, ClientRefused, Subscribed, Unsubscribed)


async def test_a_sample_has_who_comes_what_is_said_and_who_goes(
    join: Join, memory: MemoryBroker, broker: Broker
) -> None:
    with broker.sample(*CLIENTS, MessagePublished) as sample:
        client = await join("c", V311, username="u")
        await client.subscribe("t/#", qos=1)
        await client.send(Publish("t/1", b"x", 1, retain=True, packet_id=9))
        assert {type(await client.receive()) for _ in range(2)} == {PubAck, Publish}
        await client.unsubscribe("t/#", "never")
        await client.disconnect()
        await memory.connect().aclose()
        await trio.testing.wait_all_tasks_blocked()
        await broker.publish("$SYS/x", "y")
        events = sample.take()
    assert [type(event) for event in events] == [
        ClientConnected,
        Subscribed,
        MessagePublished,
        Unsubscribed,
        ClientDisconnected,
        ClientRefused,
        MessagePublished,
    ]
    assert events[0] == ClientConnected("c", "memory", "3.1.1", "u", session_present=False)
    assert events[1] == Subscribed("c", "t/#", 1)
    message = events[2]
    assert isinstance(message, MessagePublished)
    assert (message.topic, message.payload, message.qos, message.retain) == ("t/1", b"x", 1, True)
    assert sample.take() == []
    assert (sample.missed_events, sample.missed_messages) == (0, 0)


async def test_a_sample_without_messages_costs_them_nothing(join: Join, broker: Broker) -> None:
    with broker.sample(*CLIENTS) as sample:
        assert MessagePublished not in core_of(broker).event_streams.wanted
        client = await join("c")
        await client.send(Publish("t", b"x"))
        await broker.publish("t", b"y")
        await client.disconnect()
        await trio.testing.wait_all_tasks_blocked()
        assert [type(event) for event in sample.take()] == [ClientConnected, ClientDisconnected]
        assert sample.missed_messages == 0
        with broker.sample(MessagePublished) as other:
            await broker.publish("t", b"z")
            assert [type(event) for event in other.take()] == [MessagePublished]
        assert core_of(broker).event_streams.wanted - {SlowConsumer} == {*CLIENTS}
        assert sample.take() == []


async def test_a_sample_holds_no_more_than_it_may(join: Join, broker: Broker) -> None:
    client = await join("c")
    with broker.sample(*CLIENTS, MessagePublished, limit=10) as sample:
        for _ in range(20):
            await client.send(*(Publish("t", b"x") for _ in range(50)))
            await client.ping()
        for number in range(20):
            await client.subscribe(f"t/{number}")
        events = sample.take()
    messages = [event for event in events if isinstance(event, MessagePublished)]
    assert len(messages) == 5
    assert sample.missed_messages == 995
    assert len(events) <= 10
    assert sample.missed_events == 20 - (len(events) - len(messages))


async def test_who_takes_a_sample_says_how_many_messages_the_next_may_hold(
    join: Join, broker: Broker
) -> None:
    client = await join("c")
    taken = []
    with broker.sample(MessagePublished, Subscribed, limit=20) as sample:
        for room in (3, 0, 100, None):
            sample.take(room)
            for _ in range(15):
                await client.send(Publish("t", b"x"))
                await client.ping()
            await client.subscribe("other")
            *messages, last = sample.take()
            assert last == Subscribed("c", "other", 0)
            taken.append(len(messages))
        assert taken == [3, 0, 10, 10]
        assert sample.missed_messages == 4 * 15 - sum(taken)


@pytest.mark.parametrize("topics", ["ttt", "ttu", "tuv"])
async def test_a_sample_may_have_room_for_more_than_comes_in_one_read(
    join: Join, broker: Broker, topics: str
) -> None:
    client = await join("c")
    with broker.sample(MessagePublished) as sample:
        await client.send(*(Publish(topic, b"x") for topic in topics))
        await client.ping()
        events = sample.take()
    assert [event.topic for event in events if isinstance(event, MessagePublished)] == [*topics]


async def test_a_sample_holds_few_bytes(join: Join, broker: Broker) -> None:
    client = await join("c")
    with broker.sample(MessagePublished) as sample:
        await client.send(*(Publish("t", b"x" * 300_000) for _ in range(10)))
        await client.ping()
        await client.publish("t", b"y" * 2 * SAMPLE_BYTES)
        await client.ping()
        events = sample.take()
    held = sum(len(event.payload) for event in events if isinstance(event, MessagePublished))
    assert 0 < held <= SAMPLE_BYTES
    assert sample.missed_messages >= 8


async def test_streams_and_samples_take_the_kinds_that_each_asked_for(
    join: Join, broker: Broker
) -> None:
    with (
        broker.sample(ClientConnected, MessagePublished) as sample,
        broker.events(MessagePublished, Subscribed) as events,
    ):
        client = await join("c")
        await client.subscribe("t")
        await broker.publish("t", b"x", qos=1)
        said = MessagePublished(None, "t", b"x", 1, retain=False)
        assert [type(event) for event in sample.take()] == [ClientConnected, MessagePublished]
        following = aiter(events)
        assert [await anext(following), await anext(following)] == [Subscribed("c", "t", 0), said]


async def test_what_a_sample_holds_outlasts_the_broker() -> None:
    async with open_memory_broker() as memory:
        with ExitStack() as stack:
            sample = stack.enter_context(memory.broker.sample(ClientDisconnected))
            client = Raw(memory.connect())
            await client.connect("c")
            last = stack.pop_all()
    with last:
        assert sample.take() == [ClientDisconnected("c", "the broker is shutting down", "memory")]
        assert sample.take() == []


async def test_who_waits_goes_on_with_what_happens_and_with_the_end(broker: Broker) -> None:
    with broker.sample(MessagePublished, limit=2) as sample:
        for payload in ("first", "second"):
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(sample.wait)
                await trio.testing.wait_all_tasks_blocked()
                assert len(nursery.child_tasks) == 2
                await broker.publish("t", payload)
            await sample.wait()  # it is there still
            assert len(sample.take()) == 1
        with trio.move_on_after(0) as scope:
            await sample.wait()
        assert scope.cancelled_caught
    await sample.wait()
