"""Cancelling at every step of every operation: nothing leaks, nothing is left half done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.client.fake_broker import FakeBroker
from tests.client.sessions import assert_nothing_leaks, cancelled_after, session_of
from trio_mqtt import Client, ReasonCode
from trio_mqtt.protocol.packets import (
    ConnAck,
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Unsubscribe,
)

pytestmark = pytest.mark.anyio

MOST_STEPS = 200


async def at_every_step(client: Client, operation: Callable[[], Awaitable[object]]) -> int:
    """Cancel `operation` after 0, 1, 2, … turns, until it is faster."""
    for steps in range(MOST_STEPS):
        completed = await cancelled_after(steps, operation)
        await anyio.wait_all_tasks_blocked()
        assert_nothing_leaks(client)
        if completed:
            return steps
    raise AssertionError("the operation never ends")


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("at_once", [True, False])
async def test_publish_many(broker: FakeBroker, qos: int, at_once: bool) -> None:
    broker.sends_at_once = at_once
    broker.connack = ConnAck(properties={"receive_maximum": 3})
    messages = [("t", str(number)) for number in range(10)]
    async with broker.client() as client:
        await at_every_step(client, lambda: client.publish_many(messages, qos=qos))
    if qos == 2:
        assert len(broker.peer.all(PubRel)) == len(broker.peer.all(Publish))


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("at_once", [True, False])
async def test_publish(broker: FakeBroker, qos: int, at_once: bool) -> None:
    broker.sends_at_once = at_once
    async with broker.client() as client:
        await at_every_step(client, lambda: client.publish("t", qos=qos))
    # Whatever was begun has been brought to its end.
    published = broker.peer.all(Publish)
    if qos == 2:
        assert len(broker.peer.all(PubRel)) == len(published)


async def test_subscribe(broker: FakeBroker) -> None:
    async with broker.client() as client:

        async def subscribe() -> None:
            async with client.subscribe("a", "b/+"):
                pass

        assert await at_every_step(client, subscribe) > 0
    subscribed = [one.topic_filter for p in broker.peer.all(Subscribe) for one in p.subscriptions]
    left = [name for p in broker.peer.all(Unsubscribe) for name in p.topic_filters]
    assert sorted(subscribed) == sorted(left)


async def test_receive(broker: FakeBroker) -> None:
    """A message is taken by who gets it, or by nobody."""
    got: list[bytes] = []
    async with broker.client() as client, client.subscribe("a", qos=1) as messages:

        async def take() -> None:
            async for message in messages:
                got.append(message.payload)
                await checkpoint()

        for steps in range(30):
            broker.peer.publish("a", b"%d" % steps, qos=1)
            await cancelled_after(steps % 7, take)
        await anyio.wait_all_tasks_blocked()
        rest = [(await anext(messages)).payload for _ in range(len(messages))]
    assert [int(one) for one in got + rest] == list(range(30))


async def test_waiting_for_the_receive_maximum(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 1})
    async with broker.client() as client:
        peer = broker.peer
        peer.mute = {Publish}
        async with anyio.create_task_group() as tasks:

            async def publish() -> None:
                await client.publish("first", qos=2)

            tasks.start_soon(publish)
            first = await peer.expect(Publish)
            for steps in range(10):
                assert not await cancelled_after(steps, lambda: client.publish("t", qos=1))
            assert len(session_of(client).outgoing.waiting_acknowledged) == 0
            peer.mute = set()
            peer.send(PubRec(first.packet_id))
        assert await client.publish("t", qos=1) is ReasonCode.SUCCESS
        assert_nothing_leaks(client)
    assert len(peer.all(Publish)) == 2


async def test_a_cancelled_task_does_not_hold_up_those_behind_it(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 1})
    async with broker.client() as client, anyio.create_task_group() as tasks:
        peer = broker.peer
        peer.mute = {Publish}
        scopes = [anyio.CancelScope() for _ in range(4)]

        async def publish(topic: str, scope: anyio.CancelScope) -> None:
            with scope:
                await client.publish(topic, qos=1)

        for number, scope in enumerate(scopes):
            tasks.start_soon(publish, str(number), scope)
            await anyio.wait_all_tasks_blocked()
        first = await peer.expect(Publish)
        scopes[1].cancel()
        await anyio.wait_all_tasks_blocked()
        peer.send(PubAck(first.packet_id))
        scopes[2].cancel()  # with its turn just about to come
        peer.mute = set()
    assert "3" in [packet.topic for packet in peer.all(Publish)]


async def test_a_cancelled_qos_2_is_completed_in_the_background(broker: FakeBroker) -> None:
    async with broker.client() as client:
        peer = broker.peer
        peer.mute = {Publish, PubRel}
        with anyio.move_on_after(1):
            await client.publish("t", qos=2)
        packet = await peer.expect(Publish)
        assert packet.packet_id in session_of(client).outgoing.sender.in_flight
        peer.send(PubRec(packet.packet_id))
        await peer.expect(PubRel)
        peer.send(PubComp(packet.packet_id))
        await anyio.wait_all_tasks_blocked()
        assert_nothing_leaks(client)


@pytest.mark.parametrize("present", [True, False])
async def test_a_cancelled_publish_is_sent_again_only_where_the_session_demands_it(
    broker: FakeBroker, present: bool
) -> None:
    broker.next_connacks += [ConnAck(), ConnAck(present)]
    async with broker.client() as client:
        broker.peer.mute = {Publish}
        with anyio.move_on_after(1):
            await client.publish("t", qos=1)
        broker.peer.end()
        second = await broker.connection(2)
        await anyio.wait_all_tasks_blocked()
        assert len(second.all(Publish)) == present
        assert_nothing_leaks(client)


async def test_publish_while_there_is_no_connection(broker: FakeBroker) -> None:
    async with broker.client() as client:
        broker.down = True
        broker.peer.end()
        await anyio.sleep(1)
        for qos in (0, 1, 2):
            with anyio.move_on_after(1):
                await client.publish("t", qos=qos)
        assert_nothing_leaks(client)
        broker.down = False
        await client.wait_connected()
        await anyio.wait_all_tasks_blocked()
        assert broker.peer.all(Publish) == []


async def test_opening_and_closing(broker: FakeBroker) -> None:
    async def open_and_close() -> None:
        async with broker.client() as client:
            await client.publish("t", qos=1)

    for steps in range(MOST_STEPS):
        completed = await cancelled_after(steps, open_and_close)
        assert all(peer.stream.closed for peer in broker.peers)
        if completed:
            break
    else:
        pytest.fail("the client never ends")
    assert broker.peer.all(Disconnect)
    assert steps > 5


async def test_cancelling_while_waiting_for_the_broker(broker: FakeBroker) -> None:
    broker.down = True
    with anyio.move_on_after(1_000) as scope:
        async with broker.client(wait_for_broker=True):
            pytest.fail("there is no broker")
    assert scope.cancelled_caught
    broker.down = False
    broker.connack = b""
    with anyio.move_on_after(1) as scope:
        async with broker.client():
            pytest.fail("the broker does not answer")
    assert scope.cancelled_caught
    assert broker.peer.stream.closed
