"""What happens to messages that come faster than they are taken."""

from __future__ import annotations

import anyio
import pytest

from tests.client.fake_broker import FakeBroker
from trio_mqtt.client.messages import Overflow
from trio_mqtt.protocol.packets import PubAck, PubRec, Subscribe

pytestmark = pytest.mark.anyio

TEN = [str(number).encode() for number in range(10)]


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize(
    ("overflow", "kept"), [("drop_oldest", TEN[-4:]), ("drop_newest", TEN[:4])]
)
async def test_a_full_queue_drops_what_it_was_told_to(
    broker: FakeBroker, overflow: Overflow, kept: list[bytes], qos: int
) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a", qos=qos, buffer=4, overflow=overflow) as messages,
        client.subscribe("#", qos=qos) as everything,
    ):
        broker.peer.publish("a", *TEN[:3], qos=qos)
        await anyio.wait_all_tasks_blocked()
        broker.peer.publish("a", *TEN[3:], qos=qos)
        await anyio.wait_all_tasks_blocked()
        assert (len(messages), messages.dropped) == (4, 6)
        assert [(await anext(messages)).payload for _ in range(4)] == kept
        assert (len(everything), everything.dropped) == (10, 0)
        if qos:
            # What was dropped has come: the broker need not send it again.
            assert len(broker.peer.all(PubAck) + broker.peer.all(PubRec)) == 10
        broker.peer.publish("a", b"next", qos=qos)
        assert (await anext(messages)).payload == b"next"


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_a_queue_that_drops_never_stops_the_client_from_reading(
    broker: FakeBroker, overflow: Overflow
) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a", buffer=1, overflow=overflow) as messages,
        client.subscribe("b") as other,
    ):
        for payload in TEN:
            broker.peer.publish("a", payload)
            await anyio.wait_all_tasks_blocked()
        broker.peer.publish("b", b"through")
        assert (await anext(other)).payload == b"through"
        assert messages.dropped == 9


async def test_the_same_filter_twice_brings_each_its_messages_and_retained_ones_anew(
    broker: FakeBroker,
) -> None:
    async with broker.client(protocol_version=4) as client, client.subscribe("a") as first:
        async with client.subscribe("a") as second:
            assert len(broker.peer.all(Subscribe)) == 2
            broker.peer.publish("a", b"1")
            assert (await anext(first)).payload == b"1"
            assert (await anext(second)).payload == b"1"
        broker.peer.publish("a", b"2")
        assert (await anext(first)).payload == b"2"
