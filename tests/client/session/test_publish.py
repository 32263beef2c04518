"""Publishing: what is sent, when `publish` returns, and what it raises."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.client.fake_broker import FakeBroker
from tests.client.sessions import session_of
from trio_mqtt import LocalProtocolError, ReasonCode, RequestRefusedError
from trio_mqtt.protocol.packets import (
    ConnAck,
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("at_once", [True, False])
async def test_each_qos_is_delivered_with_all_that_was_given(
    broker: FakeBroker, at_once: bool
) -> None:
    broker.sends_at_once = at_once
    async with broker.client() as client:
        for qos in (0, 1, 2):
            code = await client.publish(
                "a/b", "grüße", qos=qos, retain=True, properties={"content_type": "text"}
            )
            assert code is ReasonCode.SUCCESS
    published = broker.peer.all(Publish)
    assert [packet.qos for packet in published] == [0, 1, 2]
    for packet in published:
        assert (packet.topic, packet.payload, packet.retain) == ("a/b", "grüße".encode(), True)
        assert packet.properties == {"content_type": "text"}


async def test_qos_1_waits_for_puback_and_qos_2_for_pubcomp(broker: FakeBroker) -> None:
    returned: list[int] = []
    async with broker.client() as client, anyio.create_task_group() as tasks:
        peer = broker.peer
        peer.mute = {Publish, PubRel}

        async def publish(qos: int) -> None:
            await client.publish("t", qos=qos)
            returned.append(qos)

        tasks.start_soon(publish, 1)
        first = await peer.expect(Publish)
        tasks.start_soon(publish, 2)
        second = await peer.expect(Publish)
        peer.send(PubRec(second.packet_id))
        await peer.expect(PubRel)
        await anyio.wait_all_tasks_blocked()
        assert returned == []
        peer.send(PubAck(first.packet_id))
        await anyio.wait_all_tasks_blocked()
        assert returned == [1]
        peer.send(PubComp(second.packet_id))
    assert returned == [1, 2]


async def test_what_is_written_in_one_turn_leaves_in_one_piece(broker: FakeBroker) -> None:
    async with broker.client() as client:
        before = broker.peer.writes
        for number in range(100):
            await client.publish("t", str(number))
        await anyio.wait_all_tasks_blocked()
        assert broker.peer.writes == before + 1
        assert [int(packet.payload) for packet in broker.peer.all(Publish)] == list(range(100))


async def test_leaving_sends_what_was_published_and_then_disconnect(broker: FakeBroker) -> None:
    async with broker.client() as client:
        await client.publish("t", "last words")
    assert [type(packet) for packet in broker.peer.received[-2:]] == [Publish, Disconnect]
    assert broker.peer.stream.closed


async def test_a_task_that_publishes_without_end_lets_others_run(broker: FakeBroker) -> None:
    turns = 0
    async with broker.client() as client, anyio.create_task_group() as tasks:

        async def count() -> None:
            nonlocal turns
            while turns < 5:
                turns += 1
                await checkpoint()
            tasks.cancel_scope.cancel()

        tasks.start_soon(count)
        while True:
            await client.publish("t")
    assert turns == 5


async def test_a_broker_that_does_not_read_makes_publishers_wait(broker: FakeBroker) -> None:
    async with broker.client() as client:
        broker.peer.deaf = True
        published = 0
        with anyio.move_on_after(1):
            while True:
                await client.publish("t", bytes(10_000))
                published += 1
        assert 6 <= published <= 20
        broker.peer.hear()
        await client.publish("t", "after")
    assert len(broker.peer.all(Publish)) == published + 1


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_refusal_is_raised_with_its_code_and_the_brokers_words(
    broker: FakeBroker, qos: int
) -> None:
    async with broker.client() as client:
        broker.peer.mute = {Publish}
        async with anyio.create_task_group() as tasks:

            async def refuse() -> None:
                packet = await broker.peer.expect(Publish)
                answer = (PubAck if qos == 1 else PubRec)(
                    packet.packet_id, ReasonCode.NOT_AUTHORIZED, {"reason_string": "ask Anna"}
                )
                broker.peer.send(answer)

            tasks.start_soon(refuse)
            with pytest.raises(
                RequestRefusedError, match=r"'t': not authorized \(ask Anna\)\."
            ) as caught:
                await client.publish("t", qos=qos)
        assert caught.value.reason_code is ReasonCode.NOT_AUTHORIZED
        assert session_of(client).outgoing.sender.quota == 65_535


async def test_the_receive_maximum_bounds_what_is_unacknowledged(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 3})
    async with broker.client() as client, anyio.create_task_group() as tasks:
        peer = broker.peer
        peer.mute = {Publish}
        for number in range(10):
            tasks.start_soon(_publish_number, client, number)
        answered = 0
        while answered < 10:
            await anyio.wait_all_tasks_blocked()
            published = peer.all(Publish)
            assert len(published) == min(10, answered + 3)
            peer.send(PubAck(published[answered].packet_id))
            answered += 1
    assert sorted(int(packet.payload) for packet in peer.all(Publish)) == list(range(10))


async def _publish_number(client: object, number: int) -> None:
    await client.publish("t", str(number), qos=1)  # type: ignore[attr-defined]  # a Client


async def test_what_the_broker_does_not_accept_is_not_sent(broker: FakeBroker) -> None:
    broker.connack = ConnAck(
        properties={"maximum_qos": 1, "retain_available": 0, "maximum_packet_size": 100}
    )
    async with broker.client() as client:
        with pytest.raises(LocalProtocolError, match="no QoS above 1"):
            await client.publish("t", qos=2)
        with pytest.raises(LocalProtocolError, match="retained"):
            await client.publish("t", retain=True)
        for qos in (0, 1):
            with pytest.raises(LocalProtocolError, match="larger than the 100"):
                await client.publish("t", bytes(200), qos=qos)
        assert await client.publish("t", "fits", qos=1) is ReasonCode.SUCCESS
        assert client.undelivered == 0
    assert len(broker.peer.all(Publish)) == 1


@pytest.mark.parametrize("topic", ["", "a/+", "#", "nul\0", "\ud800", "x" * 70_000])
async def test_what_is_not_a_topic_is_told(broker: FakeBroker, topic: str) -> None:
    async with broker.client() as client:
        for qos in (0, 1):
            with pytest.raises(LocalProtocolError):
                await client.publish(topic, qos=qos)
    assert broker.peer.all(Publish) == []


@pytest.mark.parametrize("qos", [-1, 3])
async def test_what_is_not_a_qos_is_told(broker: FakeBroker, qos: int) -> None:
    async with broker.client() as client:
        with pytest.raises(LocalProtocolError, match=f"QoS {qos}"):
            await client.publish("t", qos=qos)
    assert broker.peer.all(Publish) == []


async def test_properties_that_cannot_be_sent_are_told(broker: FakeBroker) -> None:
    async with broker.client() as client:
        with pytest.raises(LocalProtocolError, match="aliases"):
            await client.publish("t", properties={"topic_alias": 1})
    async with broker.client(protocol_version=4) as client:
        with pytest.raises(LocalProtocolError, match=r"MQTT 3\.1\.1"):
            await client.publish("t", properties={"content_type": "x"})


async def test_a_large_payload_arrives_whole(broker: FakeBroker) -> None:
    payload = bytes(range(256)) * 4_000
    async with broker.client() as client:
        for qos in (0, 1):
            await client.publish("t", payload, qos=qos)
    assert [packet.payload for packet in broker.peer.all(Publish)] == [payload, payload]
