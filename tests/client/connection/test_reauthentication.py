"""Authenticating again on a connection that stands (MQTT 5.0 §4.12.1)."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from tests.client.connection.authenticating import (
    AGAIN,
    CONTINUE,
    Counting,
    asking_broker,
    method,
    on_auth,
    send,
)
from tests.client.fake_broker import FakeBroker
from trio_mqtt import (
    AuthenticationError,
    ConnectionLostError,
    DisconnectedByBrokerError,
    LocalProtocolError,
    ReasonCode,
)
from trio_mqtt.protocol.packets import Auth, Disconnect, Packet

pytestmark = pytest.mark.anyio


@pytest.fixture
def broker() -> FakeBroker:
    return asking_broker()


@pytest.mark.normative("MQTT-4.12.1-1", "MQTT-4.12.0-5")
async def test_a_client_authenticates_again_while_messages_go_on(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = lambda _peer, _packet: None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.reauthenticate)
            peer = broker.peer
            while peer.received[-1] != Auth(AGAIN, method(b"first")):
                await peer.changed.wait()
            await client.publish("t", b"x", qos=1)
            broker.answers[Auth] = on_auth
            peer.send(Auth(CONTINUE, method(b"q")))
        await client.reauthenticate()
        assert client.connected
    assert broker.attempts == 1


async def test_one_after_the_other(broker: FakeBroker) -> None:
    async with (
        broker.client(authentication=Counting()) as client,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(3):
            tasks.start_soon(client.reauthenticate)
    assert len([a for a in broker.peer.all(Auth) if a.reason_code == AGAIN]) == 3


async def reauthenticate(broker: FakeBroker, answer: Packet) -> None:
    """Connect, and then meet this answer."""
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = partial(send, answer)
        await client.reauthenticate()


@pytest.mark.normative("MQTT-4.12.1-2")
async def test_a_broker_that_refuses_ends_the_client(broker: FakeBroker) -> None:
    with pytest.raises(DisconnectedByBrokerError, match="not authorized"):
        await reauthenticate(broker, Disconnect(ReasonCode.NOT_AUTHORIZED))
    assert broker.attempts == 1


@pytest.mark.normative("MQTT-4.12.1-2")
async def test_a_broker_that_proves_nothing_is_left_for_good(broker: FakeBroker) -> None:
    with pytest.raises(AuthenticationError, match="fake"):
        await reauthenticate(broker, Auth(ReasonCode.SUCCESS, method(b"fake")))
    assert broker.peer.received[-1] == Disconnect(ReasonCode.UNSPECIFIED_ERROR)
    assert broker.attempts == 1


async def test_a_broker_that_does_not_answer_is_connected_to_again(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting(), connect_timeout=7) as client:
        broker.answers[Auth] = lambda _peer, _packet: None
        first = broker.peer
        began = anyio.current_time()
        with pytest.raises(ConnectionLostError, match="within 7 s"):
            await client.reauthenticate()
        assert anyio.current_time() - began == pytest.approx(7)
        assert first.received[-1] == Disconnect(ReasonCode.UNSPECIFIED_ERROR)
        broker.answers[Auth] = on_auth
        await client.wait_connected()
        await client.reauthenticate()
    assert broker.attempts == 2


async def test_a_connection_that_is_lost_meanwhile_is_told(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = lambda peer, _packet: peer.reset()
        with pytest.raises(ConnectionLostError, match="lost"):
            await client.reauthenticate()
        broker.answers[Auth] = on_auth
        await client.reauthenticate()


async def test_a_defect_met_again_reaches_who_asked(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = lambda peer, _packet: peer.send(Auth(CONTINUE, method(b"defect")))
        with pytest.raises(ZeroDivisionError):
            await client.reauthenticate()
        broker.answers[Auth] = on_auth
        await client.wait_connected()


async def test_what_was_begun_goes_on_without_its_caller(broker: FakeBroker) -> None:
    async with broker.client(authentication=Counting()) as client:
        broker.answers[Auth] = lambda _peer, _packet: None
        with anyio.move_on_after(1):
            await client.reauthenticate()
        broker.answers[Auth] = on_auth
        broker.peer.send(Auth(CONTINUE, method(b"q")))
        await client.reauthenticate()
    assert len([a for a in broker.peer.all(Auth) if a.reason_code == AGAIN]) == 2
    assert broker.attempts == 1


async def test_it_reads_past_messages_that_nobody_takes(broker: FakeBroker) -> None:
    async with (
        broker.client(authentication=Counting()) as client,
        client.subscribe("t", buffer=1) as messages,
    ):
        for _ in range(5):
            broker.peer.publish("t", b"x")
            await anyio.sleep(1)
        await client.reauthenticate()
        assert (await anext(messages)).payload == b"x"


@pytest.mark.normative("MQTT-4.12.0-7")
async def test_without_a_method_there_is_nothing_to_do_again() -> None:
    broker = FakeBroker()
    async with broker.client() as client:
        with pytest.raises(LocalProtocolError, match="without an authentication method"):
            await client.reauthenticate()
        await client.publish("t", b"x", qos=1)
    assert broker.peer.all(Auth) == []
