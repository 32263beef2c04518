"""A connection that ends: what goes on with the next one, and when there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt import (
    Client,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    DisconnectedByBrokerError,
    MqttError,
    ReasonCode,
    RemoteProtocolError,
    RequestRefusedError,
)
from trio_mqtt.events import Connected, ConnectionEvent, ConnectionLost, Reconnecting
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Unsubscribe,
)

pytestmark = pytest.mark.anyio

RESUMED = ConnAck(session_present=True)


def mute(*kinds: type) -> Callable[[Peer], None]:
    """A preparation of peers that do not answer such packets."""

    def prepare(peer: Peer) -> None:
        peer.mute = set(kinds)

    return prepare


@pytest.mark.parametrize("how", [Peer.end, Peer.reset])
async def test_the_session_is_asked_for_again(
    broker: FakeBroker, how: Callable[[Peer], None]
) -> None:
    async with broker.client(session_expiry_interval=60) as client:
        how(broker.peer)
        second = await broker.connection(2)
        await client.wait_connected()
    assert broker.peers[0].all(Connect)[0].clean_start
    assert broker.peers[0].stream.closed
    assert not second.all(Connect)[0].clean_start


async def test_in_mqtt_3_a_clean_session_stays_clean(broker: FakeBroker) -> None:
    async with broker.client(protocol_version=4):
        broker.peer.end()
        assert (await broker.connection(2)).all(Connect)[0].clean_start


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


async def publish(client: Client, payload: str, qos: int) -> None:
    await client.publish("t", payload, qos=qos)


async def stay(broker: FakeBroker, then: Callable[[Peer], None], **options: Any) -> None:
    """Be a connected client to which `then` happens, until that ends it."""
    async with broker.client(**options):
        then(broker.peer)
        await anyio.sleep_forever()


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


async def test_events_say_what_becomes_of_the_connection(broker: FakeBroker) -> None:
    called: list[ConnectionEvent] = []
    async with broker.client(on_event=called.append) as client:
        with client.events() as events:
            broker.peer.end()
            present, lost, again, connected = [await anext(events) for _ in range(4)]
        assert isinstance(lost, ConnectionLost)
        assert "mqtt://fake:1883 closed the connection" in str(lost.reason)
        assert isinstance(again, Reconnecting)
        assert 0.05 <= again.delay <= 0.1
        assert again.attempt == 1
        assert isinstance(connected, Connected)
        assert not connected.session_present
        with client.events() as events:
            pass
        first = called.pop(0)
        assert isinstance(first, Connected)
        assert present == first
        assert called == [lost, again, connected]


async def test_events_begin_with_how_things_stand(broker: FakeBroker) -> None:
    async with broker.client() as client:
        with client.events() as events:
            assert isinstance(await anext(events), Connected)
            broker.down = True
            broker.peer.end()
            while not isinstance(await anext(events), Reconnecting):
                pass
        with client.events() as events:
            lost, again = [await anext(events) for _ in range(2)]
            assert isinstance(lost, ConnectionLost)
            assert isinstance(again, Reconnecting)
            broker.down = False
            while not isinstance(event := await anext(events), Connected):
                pass
        with client.events() as events:
            assert await anext(events) == event
    with anyio.fail_after(1), client.events() as events:
        assert [event async for event in events][:1] == [event]


async def test_events_end_with_the_client(broker: FakeBroker) -> None:
    seen: list[ConnectionEvent] = []
    async with anyio.create_task_group() as tasks:

        async def follow() -> None:
            with client.events() as events:
                seen.extend([event async for event in events])

        async with broker.client() as client:
            tasks.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
    assert [type(event) for event in seen] == [Connected]


async def test_without_reconnection_a_lost_connection_ends_the_block(broker: FakeBroker) -> None:
    with pytest.raises(ConnectionLostError, match="closed the connection"):
        await stay(broker, Peer.end, reconnect=False)
    assert len(broker.peers) == 1


async def test_those_who_wait_are_told_when_the_client_ends(broker: FakeBroker) -> None:
    broker.prepare = mute(Publish)
    errors: list[MqttError] = []

    async def wait(what: Callable[[], Awaitable[object]]) -> None:
        try:
            await what()
        except MqttError as error:
            errors.append(error)

    clients: list[Client] = []

    async def use() -> None:
        async with broker.client(reconnect=False) as client, client.subscribe("a") as messages:
            clients.append(client)
            tasks.start_soon(wait, lambda: client.publish("t", qos=1))
            tasks.start_soon(wait, lambda: anext(messages))
            await anyio.wait_all_tasks_blocked()
            broker.peer.end()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        with pytest.raises(ConnectionLostError) as caught:
            await use()
    assert errors == [caught.value] * 2
    with pytest.raises(ConnectionLostError):
        await clients[0].publish("t")
    with pytest.raises(ConnectionLostError):
        await clients[0].wait_connected()


@pytest.mark.parametrize(
    "code",
    [
        ReasonCode.BAD_USER_NAME_OR_PASSWORD,
        ReasonCode.NOT_AUTHORIZED,
        ReasonCode.BANNED,
        ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
        ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
    ],
)
async def test_a_lasting_refusal_ends_reconnecting(broker: FakeBroker, code: ReasonCode) -> None:
    broker.connack = ConnAck(False, code)
    broker.next_connacks.append(ConnAck())
    with pytest.raises(ConnectionRefusedByBrokerError) as caught:
        await stay(broker, Peer.end)
    assert caught.value.reason_code is code
    assert len(broker.peers) == 2


async def test_a_passing_refusal_does_not_end_reconnecting(broker: FakeBroker) -> None:
    broker.next_connacks += [ConnAck(), *[ConnAck(False, ReasonCode.SERVER_BUSY)] * 5]
    async with broker.client() as client:
        broker.peer.end()
        await broker.connection(7)
        await client.wait_connected()
        assert client.connected


async def test_a_session_taken_over_ends_the_client(broker: FakeBroker) -> None:
    with pytest.raises(DisconnectedByBrokerError, match="session taken over") as caught:
        await stay(broker, lambda peer: peer.send(Disconnect(ReasonCode.SESSION_TAKEN_OVER)))
    assert caught.value.reason_code is ReasonCode.SESSION_TAKEN_OVER
    assert len(broker.peers) == 1


async def test_a_broker_that_shuts_down_is_come_back_to(broker: FakeBroker) -> None:
    events: list[ConnectionEvent] = []
    async with broker.client(on_event=events.append) as client, client.subscribe("a") as messages:
        # What comes in the same read before DISCONNECT is not lost on the way.
        broker.peer.publish("a", b"last", qos=1)
        broker.peer.send(Disconnect(ReasonCode.SERVER_SHUTTING_DOWN))
        assert (await anext(messages)).payload == b"last"
        await broker.connection(2)
    lost = events[1]
    assert isinstance(lost, ConnectionLost)
    assert "server shutting down" in str(lost.reason)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x00",
        b"\x10\x00",
        b"\xff\xff\xff\xff\xff",
        b"\x40\x02\x00\x00",  # packet identifier 0
        b"\x20\x03\x00\x00\x00",  # a second CONNACK
        b"\x90\x03\x00\x01\x00",  # SUBACK without codes
        b"\x30\x03\x00\x01\xff",  # not UTF-8
        b"\x30\x04\x00\x01a\x7f",  # properties longer than the packet
        b"\x62\x02\x00\x00",
    ],
)
async def test_a_server_that_breaks_the_rules_is_told_and_left(
    broker: FakeBroker, garbage: bytes
) -> None:
    events: list[ConnectionEvent] = []
    async with broker.client(on_event=events.append) as client:
        broker.peer.send_raw(garbage)
        await broker.connection(2)
        await client.wait_connected()
        assert await client.publish("t", qos=1) is ReasonCode.SUCCESS
    assert broker.peers[0].all(Disconnect)[0].reason_code.is_failure
    lost = events[1]
    assert isinstance(lost, ConnectionLost)
    assert isinstance(lost.reason, RemoteProtocolError)
    assert "broke the rules" in str(lost.reason)


async def test_acknowledgements_of_the_wrong_kind_break_the_rules(broker: FakeBroker) -> None:
    broker.prepare = mute(Publish)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(publish, client, "1", 2)
        packet = await broker.peer.expect(Publish)
        broker.prepare = mute()
        broker.peer.send(PubAck(packet.packet_id))
    assert len(broker.peers) == 2


async def test_acknowledgements_of_nothing_are_answered_or_ignored(broker: FakeBroker) -> None:
    async with broker.client() as client:
        broker.peer.mute = {PubRel}
        broker.peer.send(PubAck(9), PubComp(9), PubRec(9), PubRel(9))
        unknown = ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
        assert (await broker.peer.expect(PubRel)).reason_code is unknown
        assert (await broker.peer.expect(PubComp)).reason_code is unknown
        assert await client.publish("t", qos=1) is ReasonCode.SUCCESS
    assert len(broker.peers) == 1


# Keep alive.


@pytest.mark.normative("MQTT-3.1.2-20")
@pytest.mark.normative_v311("MQTT-3.1.2-23")
async def test_silence_is_broken_by_pingreq_within_the_keep_alive(broker: FakeBroker) -> None:
    async with broker.client(keep_alive=60):
        await anyio.sleep(600)
    assert 10 <= len(broker.peer.all(PingReq)) <= 25


@pytest.mark.normative("MQTT-3.1.2-21")
async def test_the_brokers_keep_alive_comes_first(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"server_keep_alive": 6})
    async with broker.client(keep_alive=60):
        await anyio.sleep(60)
    assert 10 <= len(broker.peer.all(PingReq)) <= 25


async def test_without_keep_alive_there_is_no_pingreq(broker: FakeBroker) -> None:
    async with broker.client(keep_alive=0):
        await anyio.sleep(10_000)
    assert broker.peer.all(PingReq) == []
    assert len(broker.peers) == 1


async def test_a_broker_that_does_not_answer_pingreq_is_left(broker: FakeBroker) -> None:
    broker.prepare = mute(PingReq)
    events: list[ConnectionEvent] = []
    async with broker.client(keep_alive=60, on_event=events.append):
        since = anyio.current_time()
        broker.prepare = mute()
        await broker.connection(2)
        assert 30 <= anyio.current_time() - since <= 90
    lost = events[1]
    assert isinstance(lost, ConnectionLost)
    assert "did not answer" in str(lost.reason)


async def test_a_black_hole_is_noticed_while_publishing(broker: FakeBroker) -> None:
    async with broker.client(keep_alive=60) as client:
        broker.peer.mute = {PingReq}
        with anyio.move_on_after(200):
            while len(broker.peers) == 1:
                await client.publish("t")
                await anyio.sleep(1)
    assert len(broker.peers) == 2


async def test_connections_that_end_at_once_are_made_ever_more_seldom(broker: FakeBroker) -> None:
    broker.answers[Subscribe] = lambda peer, _packet: peer.end()
    async with broker.client() as client:
        with anyio.move_on_after(600):
            async with client.subscribe("poison"):
                pytest.fail("that subscription never comes about")
    assert 20 < len(broker.peers) < 60


async def test_a_callback_that_fails_ends_the_client_with_its_error(broker: FakeBroker) -> None:
    def fail(event: ConnectionEvent) -> None:
        if isinstance(event, ConnectionLost):
            raise ValueError("mine")  # noqa: TRY004 # any error will do

    with pytest.raises(ValueError, match="mine"):
        await stay(broker, Peer.end, on_event=fail)
