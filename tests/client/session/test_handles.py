"""A message in the hands of the program until it is sent: waited for, or withdrawn."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, Peer, mute
from trio_mqtt import (
    Backoff,
    ConnectionLostError,
    LocalProtocolError,
    ReasonCode,
    RequestRefusedError,
    WithdrawnError,
)
from trio_mqtt.client.session.send_queues import MAX_WAITING
from trio_mqtt.protocol.packets import PubAck, Publish

pytestmark = pytest.mark.anyio

RARELY = Backoff(first=1_000, maximum=1_000)


async def lose(broker: FakeBroker) -> None:
    broker.down = True
    broker.peer.end()
    await anyio.wait_all_tasks_blocked()
    broker.down = False


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_is_sent_at_once_and_can_be_waited_for(
    broker: FakeBroker, qos: int
) -> None:
    async with broker.client() as client:
        handle = client.begin_publish("t", "1", qos=qos)
        assert await handle.wait() is ReasonCode.SUCCESS
        assert (handle.topic, handle.done, handle.withdraw()) == ("t", True, False)
        await broker.peer.expect(Publish)


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_waits_for_a_connection_can_be_withdrawn(broker: FakeBroker, qos: int) -> None:
    async with broker.client(reconnect=RARELY) as client:
        await lose(broker)
        handles = [client.begin_publish("t", str(number), qos=qos) for number in range(3)]
        assert handles[1].withdraw()
        assert not handles[1].withdraw()
        assert handles[1].done
        with pytest.raises(WithdrawnError, match="'t' was withdrawn before it was sent"):
            await handles[1].wait()
        await client.reconnect()
        for handle in (handles[0], handles[2]):
            assert await handle.wait() is ReasonCode.SUCCESS
    assert [one.payload for one in broker.peer.all(Publish)] == [b"0", b"2"]


async def test_what_has_been_sent_cannot(broker: FakeBroker) -> None:
    broker.prepare = mute(Publish)
    async with broker.client(reconnect=RARELY) as client:
        handle = client.begin_publish("t", qos=1)
        await broker.peer.expect(Publish)
        assert not handle.withdraw()
        await lose(broker)
        assert not handle.withdraw()
        with anyio.move_on_after(1):
            await handle.wait()  # which may be given up
        broker.prepare = lambda _peer: None
        await client.reconnect()
        assert await handle.wait() is ReasonCode.SUCCESS


async def test_what_is_refused_is_told_to_who_waits(broker: FakeBroker) -> None:
    def refuse(peer: Peer, packet: Publish) -> None:
        peer.send(PubAck(packet.packet_id, ReasonCode.QUOTA_EXCEEDED))

    broker.answers[Publish] = refuse
    async with broker.client() as client:
        handle = client.begin_publish("t", qos=1)
        with pytest.raises(RequestRefusedError, match="refused the message on 't'"):
            await handle.wait()
        with pytest.raises(LocalProtocolError):
            client.begin_publish("#")


async def test_no_more_wait_than_there_is_room_for(broker: FakeBroker) -> None:
    async with broker.client(reconnect=RARELY) as client:
        await lose(broker)
        handles = [client.begin_publish("t", qos=1) for _ in range(MAX_WAITING)]
        with pytest.raises(anyio.WouldBlock):
            client.begin_publish("t", qos=1)
        assert handles[0].withdraw()
        client.begin_publish("t", qos=1)
        await client.disconnect()
        with pytest.raises(ConnectionLostError):
            await handles[1].wait()
        with pytest.raises(ConnectionLostError):
            client.begin_publish("t")
