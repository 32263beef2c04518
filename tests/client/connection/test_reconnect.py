"""A connection that ends: what goes on with the next one, and when there is none."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, Peer, mute, stay
from tests.client.sessions import publish
from trio_mqtt import (
    Client,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    DisconnectedByBrokerError,
    MqttError,
    ReasonCode,
    RemoteProtocolError,
)
from trio_mqtt.events import Connected, ConnectionEvent, ConnectionLost, Reconnecting
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
)

pytestmark = pytest.mark.anyio


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
    with anyio.fail_after(60), client.events() as events:
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


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (ReasonCode.SERVER_SHUTTING_DOWN, "The broker is shutting down.", "server shutting down."),
        (ReasonCode.NOT_AUTHORIZED, "Client is not authorised", "not authorized."),
        (
            ReasonCode.NOT_AUTHORIZED,
            "its token has expired",
            "not authorized (its token has expired).",
        ),
        (
            ReasonCode.UNSPECIFIED_ERROR,
            "Wartung, gleich zurück.",
            "unspecified error (Wartung, gleich zurück).",
        ),
        (ReasonCode.KEEP_ALIVE_TIMEOUT, "", "keep alive timeout."),
    ],
)
async def test_a_broker_s_words_are_told_where_they_say_more_than_its_code(
    broker: FakeBroker, code: ReasonCode, words: str, said: str
) -> None:
    goodbye = Disconnect(code, {"reason_string": words})
    with pytest.raises(DisconnectedByBrokerError) as caught:
        await stay(broker, lambda peer: peer.send(goodbye), reconnect=False)
    assert str(caught.value).partition("the connection: ")[2] == said


ACCEPTED_AND_ENDED = b"\x20\x03\0\0\0" + b"\xe0\x02\x8b\0"  # CONNACK and DISCONNECT in one


@pytest.mark.parametrize("does", ["subscribe", "publish", "leave", "be born"])
async def test_a_broker_may_end_what_it_has_just_accepted(broker: FakeBroker, does: str) -> None:
    """DISCONNECT comes with CONNACK, before the client has done anything."""
    broker.next_connacks = deque([ACCEPTED_AND_ENDED])
    births: list[int] = []

    async def birth(client: Client) -> None:
        births.append(len(broker.peers))
        await client.publish("born", qos=1)

    options = {"on_connect": birth} if does == "be born" else {}
    with anyio.fail_after(1_000):
        async with broker.client(**options) as client:
            if does == "subscribe":
                async with client.subscribe("t", qos=1) as messages:
                    broker.peer.publish("t", b"x")
                    assert (await anext(messages)).payload == b"x"
            elif does == "publish":
                for qos in range(3):
                    await client.publish("t", qos=qos)
    assert len(broker.peers) == (1 if does == "leave" else 2)
    assert births == ([2] if options else [])


async def test_a_session_that_was_begun_and_ended_at_once_is_not_gone_on_with(
    broker: FakeBroker,
) -> None:
    """It has none of what the client had subscribed to."""

    def go_on(peer: Peer, packet: Connect) -> None:
        peer.send(ConnAck(session_present=not packet.clean_start))

    async with (
        broker.client(session_expiry_interval=60) as client,
        client.subscribe("t", qos=1) as messages,
    ):
        broker.next_connacks = deque([ACCEPTED_AND_ENDED])
        broker.peer.end()
        second = await broker.connection(2)
        broker.answers[Connect] = go_on
        third = await broker.connection(3)
        with anyio.fail_after(1_000):
            await third.expect(Subscribe)
        third.publish("t", b"x")
        assert (await anext(messages)).payload == b"x"
    assert not second.all(Connect)[0].clean_start


async def test_what_a_broker_says_between_accepting_and_ending_arrives(broker: FakeBroker) -> None:
    """Nobody sends a message of QoS 0 again."""
    message = b"\x30\x06\0\1t\0it"
    accepted = b"\x20\x03\1\0\0"  # and the session is there
    async with (
        broker.client(session_expiry_interval=60) as client,
        client.subscribe("t", qos=1) as messages,
    ):
        broker.next_connacks = deque([accepted + message + b"\xe0\x02\x8b\0"])
        broker.peer.end()
        with anyio.fail_after(1_000):
            assert (await anext(messages)).payload == b"it"
        await broker.connection(3)


async def test_where_it_is_not_to_be_made_again_that_ends_the_client(broker: FakeBroker) -> None:
    broker.connack = ACCEPTED_AND_ENDED
    with pytest.raises(DisconnectedByBrokerError, match="shutting down"):
        async with broker.client(reconnect=False) as client:
            await client.publish("t", qos=1)
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
