"""Making the first connection: versions, credentials, refusals, and what is told."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker
from trio_mqtt import (
    ConnectionFailedError,
    ConnectionRefusedByBrokerError,
    InvalidUrlError,
    LocalProtocolError,
    ProtocolVersion,
    ReasonCode,
    RemoteProtocolError,
    Will,
    open_client,
)
from trio_mqtt.events import Connected, ConnectionEvent, ConnectionLost, Reconnecting
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect

pytestmark = pytest.mark.anyio

OLD_REFUSAL = b"\x20\x02\x00\x01"  # MQTT 3.1.1: unacceptable protocol version


async def first_connect(broker: FakeBroker, **options: object) -> Connect:
    async with broker.client(**options):
        pass
    return broker.peers[0].all(Connect)[0]


async def test_connect_says_what_was_asked_for(broker: FakeBroker) -> None:
    will = Will("gone", b"bye", 1, True, {"will_delay_interval": 5})
    packet = await first_connect(
        broker,
        client_id="me",
        username="anna",
        password="secret",
        clean_start=False,
        session_expiry_interval=60,
        keep_alive=30,
        will=will,
        properties={"user_property": [("a", "b")], "receive_maximum": 5},
    )
    assert (packet.client_id, packet.username, packet.password) == ("me", "anna", b"secret")
    assert (packet.clean_start, packet.keep_alive, packet.will) == (False, 30, will)
    assert packet.properties == {
        "session_expiry_interval": 60,
        "user_property": [("a", "b")],
        "receive_maximum": 5,
        "request_response_information": 1,
    }


async def test_connected_is_true_within_the_block(broker: FakeBroker) -> None:
    seen = []
    async with broker.client() as client:
        seen.append(client.connected)
    seen.append(client.connected)
    assert seen == [True, False]


async def test_credentials_may_stand_in_the_url(broker: FakeBroker) -> None:
    async with open_client("mqtt://an%40na:s%3Acret@fake", connector=broker.connect) as client:
        assert client.url == "mqtt://fake:1883"
    packet = broker.peer.all(Connect)[0]
    assert (packet.username, packet.password) == ("an@na", b"s:cret")


@pytest.mark.parametrize("version", [3, 4, 5])
async def test_the_version_asked_for_is_used(broker: FakeBroker, version: int) -> None:
    packet = await first_connect(broker, protocol_version=version)
    assert packet.protocol_version == version
    assert len(broker.peers) == 1


@pytest.mark.parametrize("answer", [OLD_REFUSAL, None, ConnAck(False, ReasonCode(0x84))])
async def test_where_mqtt_5_is_not_known_3_1_1_is_spoken(
    broker: FakeBroker, answer: ConnAck | bytes | None
) -> None:
    broker.next_connacks.append(answer)
    async with broker.client() as client:
        assert client.protocol_version is ProtocolVersion.V311
        assert await client.publish("t", qos=1) is ReasonCode.SUCCESS
        broker.peer.end()
        await broker.connection(3)
        await client.wait_connected()
    versions = [peer.all(Connect)[0].protocol_version for peer in broker.peers]
    assert versions == [5, 4, 4]


async def test_a_version_asked_for_is_not_replaced(broker: FakeBroker) -> None:
    broker.connack = OLD_REFUSAL
    with pytest.raises(ConnectionRefusedByBrokerError, match="unsupported protocol version"):
        await first_connect(broker, protocol_version=5)
    assert len(broker.peers) == 1


async def test_the_identifier_that_the_broker_assigns_is_kept(broker: FakeBroker) -> None:
    broker.next_connacks.append(ConnAck(properties={"assigned_client_identifier": "you"}))
    async with broker.client() as client:
        assert client.client_id == "you"
        broker.peer.end()
        assert (await broker.connection(2)).all(Connect)[0].client_id == "you"


@pytest.mark.parametrize("options", [{"protocol_version": 3}, {"clean_start": False}])
async def test_where_the_broker_cannot_choose_an_identifier_the_client_does(
    broker: FakeBroker, options: dict[str, object]
) -> None:
    packet = await first_connect(broker, **options)
    assert 1 <= len(packet.client_id) <= 23


@pytest.mark.parametrize("version", [4, 5])
async def test_a_refusal_says_where_what_and_what_to_do(broker: FakeBroker, version: int) -> None:
    broker.connack = ConnAck(False, ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    with pytest.raises(ConnectionRefusedByBrokerError) as caught:
        await first_connect(broker, protocol_version=version, username="me", password="wrong")
    assert caught.value.reason_code is ReasonCode.BAD_USER_NAME_OR_PASSWORD
    for part in ("mqtt://fake:1883", "bad user name or password", "Check"):
        assert part in str(caught.value)
    assert all(peer.stream.closed for peer in broker.peers)


@pytest.mark.parametrize(
    ("given", "advice"),
    [({"username": "me"}, "No password was given."), ({}, "No user name and no password were")],
)
async def test_a_refusal_says_what_was_not_given(
    broker: FakeBroker, given: dict[str, str], advice: str
) -> None:
    broker.connack = ConnAck(False, ReasonCode.NOT_AUTHORIZED)
    with pytest.raises(ConnectionRefusedByBrokerError, match=advice):
        await first_connect(broker, **given)


async def test_nothing_listens(broker: FakeBroker) -> None:
    broker.down = True
    with pytest.raises(ConnectionFailedError, match="mqtt://fake:1883"):
        await first_connect(broker)
    assert broker.attempts == 1


async def test_a_broker_that_does_not_answer_is_given_up(broker: FakeBroker) -> None:
    broker.connack = b""
    since = anyio.current_time()
    with pytest.raises(ConnectionFailedError, match="within 3 s"):
        await first_connect(broker, connect_timeout=3)
    assert anyio.current_time() - since == pytest.approx(3)
    assert broker.peer.stream.closed


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x03\x02\x00\x00",  # reserved flags
        b"\x20\x03\x00\x7f\x00",  # no such reason code
        b"\x20\x02\x00\x00",  # ends early
        b"\x20\x03\x01\x00\x00",  # a session after a clean start
        b"\x90\x04\x00\x01\x00\x00",  # SUBACK first
        b"\xff" * 10,
    ],
)
async def test_what_is_not_a_connack_is_told_and_backed_off_from(
    broker: FakeBroker, answer: bytes
) -> None:
    broker.connack = answer
    with pytest.raises(RemoteProtocolError, match="does not speak MQTT"):
        await first_connect(broker)
    assert broker.peer.stream.closed
    broker.connack = ConnAck()
    broker.next_connacks.append(answer)
    events: list[ConnectionEvent] = []
    await first_connect(broker, wait_for_broker=True, on_event=events.append)
    lost, again, connected = events
    assert isinstance(lost, ConnectionLost)
    assert isinstance(lost.reason, RemoteProtocolError)
    assert isinstance(again, Reconnecting)
    assert isinstance(connected, Connected)


async def test_the_first_connection_is_waited_for_if_asked(broker: FakeBroker) -> None:
    broker.down = True
    events: list[ConnectionEvent] = []
    async with anyio.create_task_group() as tasks:

        async def start() -> None:
            await anyio.sleep(100)
            broker.down = False

        tasks.start_soon(start)
        async with broker.client(wait_for_broker=True, on_event=events.append) as client:
            assert client.connected
    delays = [event.delay for event in events if isinstance(event, Reconnecting)]
    assert 5 < len(delays) < 15
    assert broker.attempts == len(delays) + 1
    assert isinstance(events[-1], Connected)


async def test_waiting_for_the_broker_ends_at_a_lasting_refusal(broker: FakeBroker) -> None:
    broker.connack = ConnAck(False, ReasonCode.NOT_AUTHORIZED)
    with pytest.raises(ConnectionRefusedByBrokerError, match="not authorized"):
        await first_connect(broker, wait_for_broker=True)
    assert broker.attempts == 1


async def test_settings_that_mqtt_does_not_allow_are_told(broker: FakeBroker) -> None:
    for options in (
        {"protocol_version": 6},
        {"keep_alive": 70_000},
        {"protocol_version": 4, "password": "without a user"},
        {"will": Will("a/#")},
        {"properties": {"authentication_method": "SCRAM"}},
        {"properties": {"topic_alias": 1}},
    ):
        with pytest.raises(LocalProtocolError):
            await first_connect(broker, **options)
    with pytest.raises(InvalidUrlError):
        async with open_client("localhost"):
            pytest.fail("that was no address")
    assert broker.attempts == 0


async def test_what_the_block_raises_comes_out_as_it_is(broker: FakeBroker) -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with broker.client():
            raise error
    assert caught.value is error
    assert broker.peer.all(Disconnect)
    with pytest.raises(KeyboardInterrupt):
        async with broker.client():
            raise KeyboardInterrupt


async def test_leaving_takes_bounded_time(broker: FakeBroker) -> None:
    broker.ignores_eof = True
    since = anyio.current_time()
    async with broker.client():
        pass
    assert anyio.current_time() - since <= 2.01
    assert broker.peer.stream.closed
    async with broker.client() as client:
        broker.peer.deaf = True
        await client.publish("t")
        since = anyio.current_time()
    assert anyio.current_time() - since <= 2.01
    assert broker.peer.stream.closed


async def test_being_cancelled_disconnects_as_well(broker: FakeBroker) -> None:
    with anyio.CancelScope() as scope:
        async with broker.client():
            scope.cancel()
            await anyio.sleep_forever()
    assert broker.peer.all(Disconnect)
    assert broker.peer.stream.closed


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"\x20\x00", ReasonCode.MALFORMED_PACKET),
        (b"\x20\x03\x02\x00\x00", ReasonCode.MALFORMED_PACKET),  # reserved flags
        (b"\x20\x03\x00\x01\x00", ReasonCode.MALFORMED_PACKET),  # a code that is none
        (b"\x20\x03\x01\x00\x00", ReasonCode.PROTOCOL_ERROR),  # a session after a clean start
        (b"\x20\x06\x00\x00\x03\x21\x00\x00", ReasonCode.PROTOCOL_ERROR),  # receive maximum 0
        (b"\x20\x03\x00\x00\x05", ReasonCode.MALFORMED_PACKET),  # properties past the end
        (b"\x90\x04\x00\x01\x00\x00", ReasonCode.PROTOCOL_ERROR),  # not CONNACK
        (b"\x00\x00", ReasonCode.PROTOCOL_ERROR),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ReasonCode.PROTOCOL_ERROR),
    ],
)
async def test_a_malformed_connack_is_told_and_left(
    broker: FakeBroker, answer: bytes, code: ReasonCode
) -> None:
    broker.connack = answer
    with pytest.raises(RemoteProtocolError, match=r"does not speak MQTT 5"):
        async with broker.client(protocol_version=5):
            pytest.fail("that was no CONNACK")
    goodbye = broker.peer.all(Disconnect)
    assert [packet.reason_code for packet in goodbye] == [code]
    assert broker.peer.stream.closed


async def test_half_a_connack_is_not_waited_for_for_ever(broker: FakeBroker) -> None:
    broker.connack = b"\x20\x03\x00"
    with pytest.raises(ConnectionFailedError, match="did not answer within 10 s"):
        async with broker.client():
            pytest.fail("that was no CONNACK")
    assert broker.peer.stream.closed
