"""What a client says of its connection, and when it gives up."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker
from tests.client.sessions import assert_nobody_waits
from trio_mqtt import (
    Backoff,
    Client,
    ConnectionFailedError,
    ConnectionLostError,
    ConnectionState,
    DisconnectedByBrokerError,
    ReasonCode,
)
from trio_mqtt.events import Reconnecting
from trio_mqtt.protocol.packets import Disconnect, Publish

pytestmark = pytest.mark.anyio


async def test_the_status_follows_the_connection(broker: FakeBroker) -> None:
    async with broker.client() as client:
        first = client.status
        broker.down = True
        with client.events() as events:
            broker.peer.end()
            while not isinstance(await anext(events), Reconnecting):
                pass
            waiting = client.status
            await anyio.sleep(1)
            later = client.status
        broker.down = False
        await client.wait_connected()
        again = client.status
    closed = client.status
    assert (first.state, first.reason) == (ConnectionState.CONNECTED, None)
    assert str(first) == "connected"
    assert waiting.state is ConnectionState.WAITING
    assert isinstance(waiting.reason, ConnectionLostError)
    assert waiting.attempt == 1
    assert waiting.next_attempt is not None
    assert str(waiting).startswith("waiting to connect again, attempt 1: The broker at")
    assert later.attempt > 1
    assert isinstance(later.reason, ConnectionFailedError)
    assert (again.state, again.reason) == (ConnectionState.CONNECTED, None)
    assert (closed.state, closed.reason) == (ConnectionState.CLOSED, None)


async def test_it_keeps_the_reason_that_ended_the_client(broker: FakeBroker) -> None:
    kept: list[Client] = []

    async def be_taken_over() -> None:
        async with broker.client() as client:
            kept.append(client)
            broker.peer.send(Disconnect(ReasonCode.SESSION_TAKEN_OVER))
            await anyio.sleep_forever()

    with pytest.raises(DisconnectedByBrokerError) as caught:
        await be_taken_over()
    assert kept[0].status.state is ConnectionState.CLOSED
    assert kept[0].status.reason is caught.value


async def test_attempts_to_reconnect_may_be_bounded(broker: FakeBroker) -> None:
    async def lose_the_broker() -> None:
        async with broker.client(reconnect=Backoff(attempts=3)):
            broker.down = True
            broker.peer.end()
            await anyio.sleep_forever()

    with pytest.raises(ConnectionFailedError) as caught:
        await lose_the_broker()
    assert broker.attempts == 4
    assert "3 attempts" in caught.value.__notes__[0]


async def test_so_may_the_time_for_them_and_for_the_first_connection(broker: FakeBroker) -> None:
    broker.down = True
    began = anyio.current_time()
    with pytest.raises(ConnectionFailedError):
        async with broker.client(
            reconnect=Backoff(first=1, maximum=2, seconds=10), wait_for_broker=True
        ):
            pytest.fail("there is no broker")
    assert anyio.current_time() - began == pytest.approx(10)
    assert 5 <= broker.attempts <= 20


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_publish_that_waits_may_have_a_time_out_of_its_own(
    broker: FakeBroker, qos: int
) -> None:
    async with broker.client() as client:
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(TimeoutError):
            with anyio.fail_after(60):
                await client.publish("t", "never", qos=qos)
        broker.down = False
        await client.wait_connected()
        await client.publish("t", "later", qos=qos)
        assert_nobody_waits(client)
    assert [packet.payload for packet in broker.peer.all(Publish)] == [b"later"]
