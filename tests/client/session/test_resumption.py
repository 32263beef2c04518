"""What goes on with the next connection, in the same session or in a new one."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, mute
from tests.client.sessions import publish, session_of
from trio_mqtt import (
    ConnectionLostError,
    MqttError,
    ReasonCode,
    RequestRefusedError,
)
from trio_mqtt.client.connection.connection import MAX_UNWRITTEN_PACKETS
from trio_mqtt.protocol.packets import (
    ConnAck,
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES

pytestmark = pytest.mark.anyio

RESUMED = ConnAck(session_present=True)


async def test_a_resumed_session_gets_unacknowledged_messages_again_with_dup(
    broker: FakeBroker,
) -> None:
    broker.next_connacks += [ConnAck(), RESUMED]
    broker.prepare = mute(Publish)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        for number in (1, 2):
            tasks.start_soon(publish, client, str(number), number)
            await broker.peer.expect(Publish)
        broker.prepare = mute()
        broker.peer.end()
        second = await broker.connection(2)
    first = broker.peers[0].all(Publish)
    again = second.all(Publish)
    assert [(p.packet_id, p.payload, p.qos) for p in again] == [
        (p.packet_id, p.payload, p.qos) for p in first
    ]
    assert all(packet.dup for packet in again)
    assert not any(packet.dup for packet in first)


async def test_qos_2_goes_on_at_pubrel_when_the_session_is_resumed(broker: FakeBroker) -> None:
    broker.next_connacks += [ConnAck(), RESUMED]
    broker.prepare = mute(PubRel)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(publish, client, "once", 2)
        released = await broker.peer.expect(PubRel)
        broker.prepare = mute()
        broker.peer.end()
        second = await broker.connection(2)
        assert (await second.expect(PubRel)).packet_id == released.packet_id
    assert second.all(Publish) == []
    assert len(broker.peers[0].all(Publish)) == 1


async def test_pubcomp_not_found_after_a_resumption_is_success(broker: FakeBroker) -> None:
    broker.next_connacks += [ConnAck(), RESUMED]
    broker.prepare = mute(PubRel)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(publish, client, "once", 2)
        await broker.peer.expect(PubRel)
        broker.peer.end()
        second = await broker.connection(2)
        packet = await second.expect(PubRel)
        second.send(PubComp(packet.packet_id, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND))


async def test_what_a_lost_session_held_is_published_anew(broker: FakeBroker) -> None:
    broker.prepare = mute(Publish)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        for number in (1, 2):
            tasks.start_soon(publish, client, str(number), number)
            await broker.peer.expect(Publish)
        broker.prepare = mute()
        broker.peer.end()
        second = await broker.connection(2)
    again = second.all(Publish)
    assert [(packet.payload, packet.dup) for packet in again] == [(b"1", False), (b"2", False)]


async def test_a_half_delivered_qos_2_of_a_lost_session_is_told(broker: FakeBroker) -> None:
    broker.prepare = mute(PubRel)
    async with broker.client() as client:
        async with anyio.create_task_group() as tasks:

            async def drop() -> None:
                await broker.peer.expect(PubRel)
                broker.peer.end()

            tasks.start_soon(drop)
            with pytest.raises(ConnectionLostError, match="not known"):
                await client.publish("t", qos=2)
        assert client.undelivered == 0
        assert client.connected


async def test_resending_keeps_to_the_new_receive_maximum(broker: FakeBroker) -> None:
    broker.next_connacks += [ConnAck(), ConnAck(True, properties={"receive_maximum": 2})]
    broker.prepare = mute(Publish)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(publish, client, str(number), 1)
        for _ in range(6):
            await broker.peer.expect(Publish)
        broker.peer.end()
        second = await broker.connection(2)
        for number in range(6):
            await anyio.wait_all_tasks_blocked()
            sent = second.all(Publish)
            assert len(sent) == min(6, number + 2)
            second.send(PubAck(sent[number].packet_id))
    assert sorted(int(packet.payload) for packet in second.all(Publish)) == list(range(6))


async def test_publish_waits_while_there_is_no_connection(broker: FakeBroker) -> None:
    async with broker.client() as client:
        broker.down = True
        broker.peer.end()
        await anyio.sleep(5)
        assert not client.connected
        async with anyio.create_task_group() as tasks:
            for qos in (0, 1, 2):
                tasks.start_soon(publish, client, str(qos), qos)
            await anyio.sleep(5)
            broker.down = False
        assert sorted([(await broker.peer.expect(Publish)).qos for _ in range(3)]) == [0, 1, 2]


async def test_subscriptions_are_made_again_where_the_session_is_lost(broker: FakeBroker) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a", "b/#", qos=1) as first,
        client.subscribe("b/c", qos=2) as second,
    ):
        broker.peer.end()
        peer = await broker.connection(2)
        for _ in range(2):
            await peer.expect(Subscribe)
        asked = {
            one.topic_filter: (one.qos, packet.properties.get("subscription_identifier"))
            for packet in peer.all(Subscribe)
            for one in packet.subscriptions
        }
        assert {name: qos for name, (qos, _) in asked.items()} == {"a": 1, "b/#": 1, "b/c": 2}
        assert asked["b/#"][1] != asked["b/c"][1]
        peer.publish("a", b"1")
        peer.publish("b/c", b"2", properties={"subscription_identifier": asked["b/c"][1] or []})
        assert (await anext(first)).payload == b"1"
        assert (await anext(second)).payload == b"2"
        assert len(first) == 0


async def test_subscriptions_are_not_made_again_where_the_session_is_resumed(
    broker: FakeBroker,
) -> None:
    broker.next_connacks += [ConnAck(), RESUMED]
    async with broker.client() as client, client.subscribe("a") as messages:
        broker.peer.end()
        peer = await broker.connection(2)
        await client.wait_connected()
        peer.publish("a", b"1")
        assert (await anext(messages)).payload == b"1"
        assert peer.all(Subscribe) == []


async def test_a_subscription_refused_after_a_reconnection_ends_its_iteration(
    broker: FakeBroker,
) -> None:
    async with broker.client() as client, client.subscribe("a") as messages:
        broker.answers[Subscribe] = lambda peer, packet: peer.send(
            SubAck(packet.packet_id, [ReasonCode.NOT_AUTHORIZED])
        )
        broker.peer.end()
        with pytest.raises(RequestRefusedError, match="not authorized"):
            await anext(messages)


async def test_what_was_left_while_away_is_unsubscribed_from_in_a_resumed_session(
    broker: FakeBroker,
) -> None:
    broker.next_connacks += [ConnAck(), RESUMED]
    async with broker.client() as client:
        async with client.subscribe("a"):
            broker.down = True
            broker.peer.end()
            await anyio.sleep(1)
        broker.down = False
        assert (await broker.connection(2)) is not None
        assert (await broker.peer.expect(Unsubscribe)).topic_filters == ["a"]


async def test_a_subscribe_that_a_lost_connection_leaves_unanswered_is_repeated(
    broker: FakeBroker,
) -> None:
    broker.prepare = mute(Subscribe)
    async with broker.client() as client, anyio.create_task_group() as tasks:

        async def drop() -> None:
            await broker.peer.expect(Subscribe)
            broker.prepare = mute()
            broker.peer.end()

        tasks.start_soon(drop)
        async with client.subscribe("a") as messages:
            broker.peer.publish("a", b"1")
            assert (await anext(messages)).payload == b"1"


async def test_qos_2_received_is_delivered_exactly_once_across_connections(
    broker: FakeBroker,
) -> None:
    broker.next_connacks += [ConnAck(), RESUMED, RESUMED, ConnAck()]
    broker.prepare = mute(PubRec)
    async with broker.client() as client, client.subscribe("a", qos=2, buffer=1) as messages:
        broker.peer.publish("a", b"1", qos=2, packet_id=1)
        broker.peer.publish("a", b"2", qos=2, packet_id=2)  # no room: unanswered
        await broker.peer.expect(PubRec)
        broker.peer.end()
        peer = await broker.connection(2)
        await client.wait_connected()
        peer.publish("a", b"1", qos=2, packet_id=1, dup=True)
        peer.publish("a", b"2", qos=2, packet_id=2, dup=True)
        await anyio.wait_all_tasks_blocked()
        assert [packet.packet_id for packet in peer.all(PubRec)] == [1]
        assert [(await anext(messages)).payload for _ in range(2)] == [b"1", b"2"]
        for _ in range(2):
            await peer.expect(PubRec)
        peer.end()
        peer = await broker.connection(3)
        await client.wait_connected()
        peer.send(PubRel(1), PubRel(2))
        assert (await peer.expect(PubComp)).reason_code is ReasonCode.SUCCESS
        # A broker that has lost the session starts its identifiers anew.
        peer.publish("a", b"3", qos=2, packet_id=1)
        assert (await anext(messages)).payload == b"3"
        await peer.expect(PubRec)
        peer.end()
        peer = await broker.connection(4)
        await client.wait_connected()
        peer.publish("a", b"4", qos=2, packet_id=1)
        assert (await anext(messages)).payload == b"4"


async def test_what_the_program_has_not_acknowledged_comes_again(broker: FakeBroker) -> None:
    broker.next_connacks += [ConnAck(), RESUMED]
    broker.prepare = mute(PubRec)
    async with (
        broker.client() as client,
        client.subscribe("a", qos=2, manual_acknowledgement=True) as messages,
    ):
        broker.peer.publish("a", b"one", qos=1, packet_id=1)
        broker.peer.publish("a", b"two", qos=2, packet_id=2)
        one, two = [await anext(messages) for _ in range(2)]
        broker.peer.end()
        peer = await broker.connection(2)
        await client.wait_connected()
        peer.publish("a", b"one", qos=1, packet_id=1, dup=True)
        peer.publish("a", b"two", qos=2, packet_id=2, dup=True)
        again = await anext(messages)
        assert (again.payload, again.dup) == (b"one", True)
        await anyio.wait_all_tasks_blocked()
        assert len(messages) == 0
        await one.ack()  # of a connection that is no more
        await two.ack()  # exactly once, whichever connection it came by
        assert (await peer.expect(PubRec)).packet_id == 2
        assert peer.all(PubAck) == []
        await again.ack()
        assert (await peer.expect(PubAck)).packet_id == 1


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_an_old_session_brings_waits_for_its_subscription(
    broker: FakeBroker, qos: int
) -> None:
    broker.connack = RESUMED
    async with broker.client(client_id="me", clean_start=False) as client:
        broker.peer.publish("a/1", b"kept", qos=qos)
        await anyio.wait_all_tasks_blocked()
        assert not broker.peer.all(PubAck)
        assert not broker.peer.all(PubRec)
        async with client.subscribe("a/#", qos=qos) as messages:
            assert (await anext(messages)).payload == b"kept"
            await (broker.peer.expect(PubAck) if qos == 1 else broker.peer.expect(PubComp))


async def test_of_an_old_session_no_more_than_a_bound_is_kept(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.connack = RESUMED
    async with broker.client(client_id="me", clean_start=False) as client:
        broker.peer.publish("a", *(b"%d" % number for number in range(105)), qos=1)
        await anyio.wait_all_tasks_blocked()
        assert len(broker.peer.all(PubAck)) == 5
        async with client.subscribe("a", qos=1) as messages:
            assert (await anext(messages)).payload == b"5"
    assert "no subscription" in caplog.text


# What is told, and when it ends.


async def test_room_that_comes_with_the_end_is_the_next_connections(broker: FakeBroker) -> None:
    broker.next_connacks += [ConnAck(), RESUMED]
    broker.prepare = mute(Publish)
    payloads = [b"%d" % number for number in range(MAX_UNWRITTEN_PACKETS + 10)]
    async with broker.client() as client:
        session = session_of(client)
        assert session.connection is not None
        items = [
            session.outgoing.publish("t", payload, 1, False, NO_PROPERTIES) for payload in payloads
        ]
        assert items[-1].waits
        # Its DISCONNECT leaves with what is gathered, which would make room for the rest.
        broker.prepare = mute()
        session.connection.give_up(MqttError("enough"))
        for item in items:
            await item.wait()
            assert item.error is None
    first, second = broker.peers
    assert isinstance(first.received[-1], Disconnect)
    assert [packet.payload for packet in second.all(Publish)] == payloads
