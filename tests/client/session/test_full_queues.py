"""Queues that are full: what is read, dropped and acknowledged meanwhile."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker
from tests.client.sessions import payloads
from trio_mqtt import Client, Messages, ReasonCode
from trio_mqtt.protocol.packets import (
    PubAck,
    PubRec,
)

pytestmark = pytest.mark.anyio


async def test_a_full_queue_stops_the_reading_and_taking_goes_on(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a", buffer=10) as messages:
        for number in range(50):
            broker.peer.publish("a", b"%d" % number)
            await anyio.wait_all_tasks_blocked()
        assert len(messages) == 11
        assert [int(one) for one in await payloads(messages, 50)] == list(range(50))
        assert messages.dropped == 0


async def test_an_answer_is_read_past_a_full_queue(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a", buffer=10) as messages:
        broker.peer.publish("a", *(b"%d" % number for number in range(10)))
        await anyio.wait_all_tasks_blocked()
        # Behind these come PUBACK and SUBACK, for a consumer that awaits them within its loop.
        broker.peer.publish("a", *(b"%d" % number for number in range(10, 30)))
        async for message in messages:
            if int(message.payload) == 0:
                assert await client.publish("b", qos=1) is ReasonCode.SUCCESS
                async with client.subscribe("c"):
                    pass
            if int(message.payload) == 29:
                break
        assert messages.dropped == 0


async def test_qos_0_is_dropped_and_counted_only_far_past_the_bound(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a", buffer=10) as messages:
        broker.peer.publish("a", *(b"%d" % number for number in range(11)))
        await anyio.wait_all_tasks_blocked()
        broker.peer.publish("a", *(b"%d" % number for number in range(11, 200)))
        await client.publish("b", qos=1)
        assert len(messages) == 100
        assert messages.dropped == 100
        assert [int(one) for one in await payloads(messages, 100)] == list(range(100))


async def test_what_a_full_queue_cannot_hold_is_not_acknowledged(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a", qos=1, buffer=4) as messages:
        peer = broker.peer
        peer.publish("a", *(b"%d" % number for number in range(10)), qos=1)
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in peer.all(PubAck)] == [1, 2, 3, 4]
        await payloads(messages, 3)
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in peer.all(PubAck)] == list(range(1, 8))
        await payloads(messages, 7)
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in peer.all(PubAck)] == list(range(1, 11))


async def test_what_is_held_unacknowledged_does_not_stop_the_reading(broker: FakeBroker) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a", qos=1, buffer=1),
        client.subscribe("b") as other,
    ):
        broker.peer.publish("a", b"1", b"2", b"3", qos=1)
        await anyio.wait_all_tasks_blocked()
        broker.peer.publish("b", b"4")
        assert await payloads(other, 1) == [b"4"]


async def test_a_message_of_two_queues_is_acknowledged_when_both_have_room(
    broker: FakeBroker,
) -> None:
    async with (
        broker.client(protocol_version=4) as client,
        client.subscribe("a", qos=1, buffer=1) as small,
        client.subscribe("+", qos=1, buffer=1) as other,
    ):
        peer = broker.peer
        peer.publish("a", b"1", b"2", qos=1)
        await anyio.wait_all_tasks_blocked()
        await payloads(small, 1)
        await anyio.wait_all_tasks_blocked()
        assert len(peer.all(PubAck)) == 1
        await payloads(other, 1)
        await anyio.wait_all_tasks_blocked()
        assert len(peer.all(PubAck)) == 2


@pytest.mark.parametrize("qos", [1, 2])
async def test_the_program_may_acknowledge_itself(broker: FakeBroker, qos: int) -> None:
    kind: type[PubAck] | type[PubRec] = PubAck if qos == 1 else PubRec
    async with (
        broker.client() as client,
        client.subscribe("a", qos=qos, manual_acknowledgement=True) as messages,
    ):
        peer = broker.peer
        peer.publish("a", b"0")
        peer.publish("a", b"1", b"2", b"3", qos=qos)
        got = [await anext(messages) for _ in range(3)]
        await anyio.wait_all_tasks_blocked()
        assert peer.all(kind) == []
        await got[2].ack()
        await anyio.wait_all_tasks_blocked()
        assert peer.all(kind) == []  # the one before it comes first
        for message in (got[1], got[2], got[0]):
            await message.ack()
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in peer.all(kind)] == [1, 2]
    assert [packet.packet_id for packet in peer.all(kind)] == [1, 2]


async def test_leaving_a_full_subscription_frees_the_connection(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("b") as other:
        async with client.subscribe("a", qos=1, buffer=1):
            broker.peer.publish("a", b"1", b"2", qos=1)
            broker.peer.publish("a", b"3")
            await anyio.wait_all_tasks_blocked()
            assert len(broker.peer.all(PubAck)) == 1
            broker.peer.publish("b", b"3")
            await anyio.wait_all_tasks_blocked()
            assert len(other) == 0
        assert await payloads(other, 1) == [b"3"]
        await anyio.wait_all_tasks_blocked()
        assert len(broker.peer.all(PubAck)) == 2


async def test_keep_alive_goes_on_while_a_queue_is_full(broker: FakeBroker) -> None:
    async with (
        broker.client(keep_alive=10) as client,
        client.subscribe("a", buffer=1) as messages,
    ):
        broker.peer.publish("a", b"1", b"2")
        await anyio.sleep(1_000)
        assert len(broker.peers) == 1
        assert await payloads(messages, 2) == [b"1", b"2"]
        await anyio.sleep(1_000)
        assert len(broker.peers) == 1


async def test_the_order_of_messages_is_kept_when_queues_fill(broker: FakeBroker) -> None:
    got: list[int] = []

    async def take(messages: Messages, client: Client) -> None:
        async for message in messages:
            got.append(int(message.payload))
            if len(got) % 7 == 0:
                await client.publish("echo", message.payload, qos=len(got) % 3)
            if len(got) == 200:
                return

    async with (
        broker.client() as client,
        client.subscribe("a", qos=2, buffer=5) as messages,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(take, messages, client)
        for number in range(200):
            broker.peer.publish("a", b"%d" % number, qos=1 + number % 2)
            if number % 20 == 0:
                await anyio.wait_all_tasks_blocked()
    assert got == list(range(200))
