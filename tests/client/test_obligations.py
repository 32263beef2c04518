"""What the standards demand of a client, seen by the server."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker
from trio_mqtt import ReasonCode
from trio_mqtt.protocol.packets import (
    ConnAck,
    Disconnect,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import Properties

pytestmark = pytest.mark.anyio


@pytest.mark.normative("MQTT-4.5.0-2", "MQTT-4.3.2-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11")
@pytest.mark.normative_v311("MQTT-4.5.0-2", "MQTT-4.3.2-2", "MQTT-3.3.4-1")
@pytest.mark.parametrize("version", [4, 5])
async def test_messages_that_nobody_wants_are_acknowledged_too(
    broker: FakeBroker, version: int
) -> None:
    async with broker.client(protocol_version=version):
        peer = broker.peer
        peer.publish("never/subscribed/to", b"0")
        peer.publish("never/subscribed/to", b"1", qos=1, packet_id=7)
        peer.publish("never/subscribed/to", b"2", qos=2, packet_id=8)
        assert (await peer.expect(PubAck)).packet_id == 7
        assert (await peer.expect(PubRec)).packet_id == 8
        assert (await peer.expect(PubComp)).packet_id == 8
    assert len(peer.all(PubAck)) == len(peer.all(PubRec)) == len(peer.all(PubComp)) == 1


@pytest.mark.normative("MQTT-4.6.0-2", "MQTT-4.6.0-3", "MQTT-2.2.1-5")
@pytest.mark.normative_v311("MQTT-4.6.0-2", "MQTT-4.6.0-3", "MQTT-2.3.1-6")
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("buffer", [1, 2, 100])
async def test_acknowledgements_keep_the_order_of_the_messages(
    broker: FakeBroker, version: int, buffer: int
) -> None:
    order = [9, 3, 7, 1, 30_000, 2]
    async with (
        broker.client(protocol_version=version) as client,
        client.subscribe("a", qos=2, buffer=buffer) as messages,
        client.subscribe("b", qos=2) as others,
    ):
        peer = broker.peer
        for packet_id in order:
            topic = "a" if packet_id % 3 else "b"
            peer.publish(topic, b"1", qos=1, packet_id=packet_id)
            peer.publish(topic, b"2", qos=2, packet_id=packet_id + 1_000)
        for _ in range(2 * sum(1 for packet_id in order if packet_id % 3)):
            await anext(messages)
        for _ in range(2 * sum(1 for packet_id in order if not packet_id % 3)):
            await anext(others)
        await anyio.wait_all_tasks_blocked()
        acknowledged = [packet.packet_id for packet in peer.all(PubAck)]
        received = [packet.packet_id - 1_000 for packet in peer.all(PubRec)]
    assert acknowledged == order
    assert received == order


@pytest.mark.normative("MQTT-4.6.0-4", "MQTT-4.3.3-4")
@pytest.mark.normative_v311("MQTT-4.6.0-4")
async def test_pubrel_keeps_the_order_of_pubrec(broker: FakeBroker) -> None:
    async with broker.client() as client, anyio.create_task_group() as tasks:
        peer = broker.peer
        peer.mute = {Publish}
        for payload in ("1", "2", "3"):
            tasks.start_soon(_publish_2, client, payload)
        await anyio.wait_all_tasks_blocked()
        first, second, third = [packet.packet_id for packet in peer.all(Publish)]
        peer.send(PubRec(second), PubRec(third), PubRec(first))
    assert [packet.packet_id for packet in peer.all(PubRel)] == [second, third, first]


async def _publish_2(client: object, payload: str) -> None:
    await client.publish("t", payload, qos=2)  # type: ignore[attr-defined]  # a Client


@pytest.mark.normative("MQTT-3.3.4-9", "MQTT-4.9.0-3", "MQTT-4.9.0-2")
async def test_without_send_quota_only_messages_wait(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 1})
    async with broker.client(keep_alive=60) as client, anyio.create_task_group() as tasks:
        peer = broker.peer
        peer.mute = {Publish}
        tasks.start_soon(_publish_2, client, "1")
        tasks.start_soon(_publish_2, client, "2")
        await anyio.wait_all_tasks_blocked()
        async with client.subscribe("a", qos=2):
            peer.publish("a", b"x", qos=2, packet_id=5)
            await peer.expect(PubComp)
        await anyio.sleep(100)
        assert len(peer.all(Publish)) == 1
        assert len(peer.all(Subscribe)) == len(peer.all(Unsubscribe)) == 1
        assert peer.all(PingReq)
        peer.mute = set()
        peer.send(PubRec(peer.all(Publish)[0].packet_id))
    assert {packet.payload for packet in peer.all(Publish)} == {b"1", b"2"}


@pytest.mark.normative("MQTT-4.3.2-2", "MQTT-4.3.3-2", "MQTT-4.3.1-1", "MQTT-2.2.1-3")
@pytest.mark.normative("MQTT-3.3.1-2", "MQTT-2.2.1-2")
@pytest.mark.normative_v311("MQTT-4.3.2-1", "MQTT-4.3.3-1", "MQTT-4.3.1-1", "MQTT-2.3.1-2")
@pytest.mark.normative_v311("MQTT-3.3.1-2", "MQTT-2.3.1-5")
@pytest.mark.parametrize("version", [4, 5])
async def test_new_messages_have_no_dup_and_at_qos_0_no_identifier(
    broker: FakeBroker, version: int
) -> None:
    async with broker.client(protocol_version=version) as client:
        for qos in (0, 1, 2):
            await client.publish("t", "x", qos=qos)
    sent = broker.peer.all(Publish)
    assert [(packet.qos, packet.dup) for packet in sent] == [(0, False), (1, False), (2, False)]
    assert [bool(packet.packet_id) for packet in sent] == [False, True, True]


@pytest.mark.normative("MQTT-3.14.4-1", "MQTT-3.14.4-2")
@pytest.mark.normative_v311("MQTT-3.14.4-1", "MQTT-3.14.4-2")
@pytest.mark.parametrize("version", [4, 5])
async def test_disconnect_is_the_last_and_the_connection_is_closed_after_it(
    broker: FakeBroker, version: int
) -> None:
    async with broker.client(protocol_version=version) as client:
        await client.publish("t", "x", qos=1)
    assert isinstance(broker.peer.received[-1], Disconnect)
    assert len(broker.peer.all(Disconnect)) == 1
    assert broker.peer.stream.closed


@pytest.mark.normative("MQTT-4.6.0-2", "MQTT-4.6.0-3")
@pytest.mark.normative_v311("MQTT-4.6.0-2", "MQTT-4.6.0-3")
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("taken", [True, False])
async def test_who_leaves_without_acknowledging_holds_up_nobody(
    broker: FakeBroker, qos: int, taken: bool
) -> None:
    kind: type[PubAck] | type[PubRec] = PubAck if qos == 1 else PubRec
    async with broker.client() as client, client.subscribe("b", qos=qos):
        peer = broker.peer
        async with client.subscribe("a", qos=qos, manual_acknowledgement=True) as messages:
            peer.publish("a", b"1", qos=qos, packet_id=1)
            peer.publish("b", b"2", qos=qos, packet_id=2)
            if taken:
                kept = await anext(messages)
            await anyio.wait_all_tasks_blocked()
            assert peer.all(kind) == []
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in peer.all(kind)] == [2]
        if taken:
            await kept.ack()
            await anyio.wait_all_tasks_blocked()
            assert [packet.packet_id for packet in peer.all(kind)] == [2, 1]


@pytest.mark.normative("MQTT-4.6.0-2", "MQTT-4.6.0-3")
@pytest.mark.normative_v311("MQTT-4.6.0-2", "MQTT-4.6.0-3")
@pytest.mark.parametrize("qos", [1, 2])
async def test_the_order_holds_for_what_a_new_connection_brings_again(
    broker: FakeBroker, qos: int
) -> None:
    kind: type[PubAck] | type[PubRec] = PubAck if qos == 1 else PubRec
    broker.next_connacks.extend([ConnAck(), ConnAck(True)])
    async with (
        broker.client(client_id="c", clean_start=False, session_expiry_interval=60) as client,
        client.subscribe("a", qos=qos, buffer=1) as slow,
        client.subscribe("b", qos=qos),
    ):
        first = broker.peer

        def bring(dup: bool) -> None:
            for packet_id, topic in enumerate("aaba", start=1):
                payload = b"%d" % packet_id
                broker.peer.publish(topic, payload, qos=qos, packet_id=packet_id, dup=dup)

        bring(dup=False)
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in first.all(kind)] == [1]
        first.reset()
        second = await broker.connection(2)
        await anyio.wait_all_tasks_blocked()
        bring(dup=True)
        for _ in range(3 if qos == 2 else 6):
            await anext(slow)
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in second.all(kind)] == [1, 2, 3, 4]


@pytest.mark.normative("MQTT-3.1.2-29")
async def test_words_that_were_declined_end_the_connection(broker: FakeBroker) -> None:
    async with broker.client(properties={"request_problem_information": 0}) as client:
        broker.peer.mute = {Publish}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_publish_2, client, "1")
            published = await broker.peer.expect(Publish)
            words: Properties = {"reason_string": "why"}
            broker.peer.send(PubRec(published.packet_id, ReasonCode.SUCCESS, words))
            await broker.connection(2)
    [goodbye] = broker.peers[0].all(Disconnect)
    assert goodbye.reason_code is ReasonCode.PROTOCOL_ERROR
