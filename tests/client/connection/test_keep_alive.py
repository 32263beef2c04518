"""Silence is broken by PINGREQ within the keep alive, and a broker that is gone is noticed."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, mute
from trio_mqtt.events import ConnectionEvent, ConnectionLost
from trio_mqtt.protocol.packets import (
    ConnAck,
    PingReq,
)

pytestmark = pytest.mark.anyio


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
