"""A program ends its connection when it wants: for good, with a reason, or to have it made anew."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, mute
from trio_mqtt import (
    Backoff,
    Client,
    ConnectionFailedError,
    ConnectionLostError,
    ConnectionState,
    LocalProtocolError,
    ReasonCode,
    events,
)
from trio_mqtt.client.connection.connection import CLOSE_TIMEOUT
from trio_mqtt.protocol.packets import ConnAck, Disconnect, Publish, Subscribe, Unsubscribe

pytestmark = pytest.mark.anyio


async def test_the_last_packet_says_why(broker: FakeBroker) -> None:
    async with broker.client(session_expiry_interval=60) as client:
        async with client.subscribe("t") as messages:
            await client.disconnect(
                ReasonCode.DISCONNECT_WITH_WILL_MESSAGE,
                properties={"session_expiry_interval": 5, "user_property": [("a", "b")]},
            )
            assert [message async for message in messages] == []
        assert client.status.state is ConnectionState.CLOSED
        assert not client.connected
        with pytest.raises(ConnectionLostError, match="is closed"):
            await client.publish("t", qos=1)
        await client.disconnect()  # it is already
    assert broker.peer.all(Disconnect) == [
        Disconnect(
            ReasonCode.DISCONNECT_WITH_WILL_MESSAGE,
            {"session_expiry_interval": 5, "user_property": [("a", "b")]},
        )
    ]
    assert broker.peer.received[-1] == broker.peer.all(Disconnect)[0]
    assert len(broker.peers) == 1


@pytest.mark.parametrize(
    ("code", "properties", "kind", "text"),
    [
        (ReasonCode.SESSION_TAKEN_OVER, None, LocalProtocolError, "must not disconnect .* 0x8e"),
        ("well", None, TypeError, "A reason code is a ReasonCode, not str"),
        (0, {"session_expiry_interval": 5}, LocalProtocolError, "must not prolong"),
        (0, {"session_expiry_interval": "5"}, TypeError, "session_expiry_interval is int"),
        (0, {"content_type": "x"}, LocalProtocolError, "content_type"),
    ],
)
async def test_what_must_not_be_said_ends_nothing(
    broker: FakeBroker,
    code: Any,  # noqa: ANN401 # nothing that it should be
    properties: Any,  # noqa: ANN401
    kind: type[Exception],
    text: str,
) -> None:
    async with broker.client() as client:
        with pytest.raises(kind, match=text):
            await client.disconnect(code, properties=properties)
        await client.publish("t", qos=1)
    assert broker.peer.all(Disconnect) == [Disconnect()]


async def test_mqtt_3_says_nothing(broker: FakeBroker) -> None:
    async with broker.client(protocol_version=4) as client:
        with pytest.raises(
            LocalProtocolError, match=r"In MQTT 3\.1\.1, DISCONNECT can say nothing"
        ):
            await client.disconnect(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE)
        await client.disconnect()
    assert broker.peer.all(Disconnect) == [Disconnect()]


async def test_a_client_that_waits_to_connect_ends_at_once(broker: FakeBroker) -> None:
    async with broker.client(reconnect=Backoff(first=1_000, maximum=1_000)) as client:
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(1):
            await client.disconnect()
        broker.down = False
        await anyio.sleep(5_000)
        assert not client.connected
    assert len(broker.peers) == 1


@pytest.mark.parametrize("present", [True, False])
async def test_a_connection_is_made_anew_at_will(broker: FakeBroker, present: bool) -> None:
    told: list[events.ConnectionEvent] = []
    async with (
        broker.client(
            reconnect=Backoff(first=1_000, maximum=1_000), on_event=told.append
        ) as client,
        client.subscribe("t") as messages,
    ):
        broker.connack = ConnAck(session_present=present)
        with anyio.fail_after(1):
            await client.reconnect()
        assert client.connected
        assert broker.peers[0].all(Disconnect) == [Disconnect()]
        await client.publish("u", qos=1)
        broker.peer.publish("t", b"1")
        assert (await anext(messages)).payload == b"1"
        assert len(broker.peer.all(Subscribe)) == (0 if present else 1)
    assert len(broker.peers) == 2
    assert [type(one).__name__ for one in told] == ["Connected", "ConnectionLost", "Connected"]
    assert "The program closed the connection" in str(getattr(told[1], "reason", ""))


async def test_it_does_so_even_where_a_lost_one_would_end_the_client(broker: FakeBroker) -> None:
    async with broker.client(reconnect=False) as client:
        await client.reconnect()
        await client.publish("t", qos=1)
    assert len(broker.peers) == 2
    with pytest.raises(ConnectionFailedError, match="Nothing answers"):
        await _into_nothing(broker)


async def _into_nothing(broker: FakeBroker) -> None:
    async with broker.client(reconnect=False) as client:
        broker.down = True
        await client.reconnect()


async def test_who_waits_to_connect_does_so_now(broker: FakeBroker) -> None:
    async with broker.client(reconnect=Backoff(first=1_000, maximum=1_000)) as client:
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        broker.down = False
        with anyio.fail_after(1):
            await client.reconnect()
        assert client.connected
    assert len(broker.peers) == 2


async def test_what_is_unacknowledged_comes_again_on_it(broker: FakeBroker) -> None:
    broker.prepare = mute(Publish)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: client.publish("t", "1", qos=1))
        await broker.peer.expect(Publish)
        broker.prepare = lambda _peer: None
        for _ in range(2):  # two at once are one
            tasks.start_soon(client.reconnect)
    assert len(broker.peers) == 2
    assert [one.payload for one in broker.peer.all(Publish)] == [b"1"]


async def test_a_broker_that_does_not_close_is_not_waited_for_long(broker: FakeBroker) -> None:
    broker.ignores_eof = True
    async with broker.client() as client:
        with anyio.fail_after(3):
            await client.reconnect()
        with anyio.move_on_after(0.5):
            await client.reconnect()
        await client.wait_connected()
    assert len(broker.peers) == 3


async def test_the_first_words_may_want_another_connection(broker: FakeBroker) -> None:
    async def twice(client: Client) -> None:
        if len(broker.peers) == 1:
            await client.reconnect()
        await client.publish("here")

    async with broker.client(on_connect=twice) as client:
        assert client.connected
    assert len(broker.peers) == 2
    assert [len(peer.all(Publish)) for peer in broker.peers] == [0, 1]


async def test_who_comes_while_it_is_closed_is_served_by_the_next(broker: FakeBroker) -> None:
    broker.ignores_eof = True
    async with broker.client() as client, anyio.create_task_group() as tasks:
        first = broker.peer
        async with client.subscribe("left"):
            tasks.start_soon(client.reconnect)
            await first.expect(Disconnect)
            assert not client.connected
        async with client.subscribe("t"):
            assert len(broker.peers) == 2
        await client.publish("t", qos=2)
    assert first.received[-1] == Disconnect()


async def test_the_end_waits_for_what_is_closed_already(broker: FakeBroker) -> None:
    broker.ignores_eof = True
    async with anyio.create_task_group() as tasks:
        async with broker.client() as client:
            tasks.start_soon(_reconnect_in_vain, client)
            await broker.peer.expect(Disconnect)
            began = anyio.current_time()
        assert anyio.current_time() - began >= CLOSE_TIMEOUT
    assert len(broker.peers) == 1
    assert broker.peer.all(Disconnect) == [Disconnect()]


async def _reconnect_in_vain(client: Client) -> None:
    with pytest.raises(ConnectionLostError, match="is closed"):
        await client.reconnect()


async def test_who_wants_another_as_one_is_lost_waits_for_nothing(broker: FakeBroker) -> None:
    async with broker.client(reconnect=Backoff(first=1_000, maximum=1_000)) as client:
        async with client.subscribe("t"):
            broker.peer.mute = {Unsubscribe}
            broker.peer.end()
        # Leaving was told of the loss at once, before there is a pause to be cut short.
        with anyio.fail_after(1):
            await client.reconnect()
    assert len(broker.peers) == 2
