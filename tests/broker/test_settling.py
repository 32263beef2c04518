"""What connected clients acknowledge at once spares the storage, and delays nobody for long."""

from __future__ import annotations

import pytest
import trio

from tests.broker.raw import Raw
from tests.broker.slow_storage import Slow, broker_on, join, subscriber
from trio_mqtt.broker import time_of_day
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.testing import MemoryBroker

LONG = 0.05  # seconds, longer than anything waits for acknowledgements


@pytest.fixture(autouse=True)
def _nobody_sets_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # Virtual time stands while the machine does something else for a second, which looks as if the
    # time of day had been set: that would be written.
    monkeypatch.setattr(time_of_day, "_epoch", lambda: 1e9)


def stored(storage: Slow) -> list[bytes]:
    """The payloads of all messages that were written."""
    rows = [row for group in storage.groups for row in group.messages.values()]
    return [row.payload for row in rows if row is not None]


async def kept_and_connected(memory: MemoryBroker, qos: int = 1) -> Raw:
    client = await join(memory, "live", expiry=NEVER)
    await client.subscribe("t", qos=qos)
    return client


async def seconds_until_acknowledged(publisher: Raw, packet_id: int) -> float:
    began = trio.current_time()
    await publisher.send(Publish("t", b"%d" % packet_id, 1, packet_id=packet_id))
    assert await publisher.expect(PubAck) == PubAck(packet_id)
    return trio.current_time() - began


async def test_what_is_acknowledged_at_once_is_never_written() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        live, publisher = await kept_and_connected(memory), await join(memory, "p")
        storage.wait()  # there is nothing to wait for
        for number in range(1, 21):
            await publisher.send(Publish("t", b"%d" % number, 1, packet_id=number))
            message = await live.expect(Publish)
            await live.send(PubAck(message.packet_id))
            assert await publisher.expect(PubAck) == PubAck(number)
        assert stored(storage) == []
        assert storage.as_it_is()._messages == {}


async def test_who_does_not_acknowledge_delays_others_for_a_moment_and_then_not() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await kept_and_connected(memory)
        publisher = await join(memory, "p")
        waited = [await seconds_until_acknowledged(publisher, number) for number in range(1, 41)]
        assert 0 < max(waited) <= LONG
        # Ever more groups go by at once: one, three, seven, fifteen.
        assert [index for index, seconds in enumerate(waited) if seconds] == [0, 2, 6, 14, 30]
        assert stored(storage) == [b"%d" % number for number in range(1, 41)]


async def test_a_client_that_acknowledges_again_is_waited_for_again() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        live, publisher = await kept_and_connected(memory), await join(memory, "p")
        for number in range(1, 21):
            await seconds_until_acknowledged(publisher, number)
        await live.take()
        written = len(stored(storage))
        for number in range(21, 81):
            await publisher.send(Publish("t", b"%d" % number, 1, packet_id=number))
            message = await live.expect(Publish)
            await live.send(PubAck(message.packet_id))
            assert await publisher.expect(PubAck) == PubAck(number)
        assert len(stored(storage)) - written < 20


async def test_acknowledgements_that_go_on_for_ever_do_not_hold_up_what_is_not_acknowledged() -> (
    None
):
    storage = Slow()
    async with broker_on(storage) as memory:
        live, publisher = await kept_and_connected(memory), await join(memory, "p")
        await kept_and_silent(memory)
        began = trio.current_time()
        acknowledged: list[float] = []

        async def acknowledge() -> None:
            while True:
                message = await live.expect(Publish)
                await trio.sleep(0.000_5)
                await live.send(PubAck(message.packet_id))

        async def hear() -> None:
            while True:
                await publisher.expect(PubAck)
                acknowledged.append(trio.current_time() - began)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(acknowledge)
            nursery.start_soon(hear)
            for number in range(1, 101):
                await publisher.send(Publish("t", b"x", 1, packet_id=number))
                await trio.sleep(0.000_5)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert len(acknowledged) == 100
        assert acknowledged[0] <= LONG


async def kept_and_silent(memory: MemoryBroker) -> None:
    silent = await join(memory, "silent", expiry=NEVER)
    await silent.subscribe("t", qos=1)


async def test_what_is_for_somebody_away_waits_for_nobody() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await kept_and_connected(memory)
        await subscriber(memory, "t", 1)
        publisher = await join(memory, "p")
        waited = [await seconds_until_acknowledged(publisher, number) for number in range(1, 6)]
        assert waited == [0.0] * 5


@pytest.mark.parametrize("what", ["subscription", "retained", "QoS 2"])
async def test_other_promises_end_the_wait(what: str) -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await kept_and_connected(memory)
        publisher = await join(memory, "p")
        other = await join(memory, "other", expiry=NEVER)
        await publisher.send(Publish("t", b"x", 1, packet_id=1))
        began = trio.current_time()
        if what == "subscription":
            await other.subscribe("u", qos=1)
        elif what == "retained":
            await other.publish("r", b"y", 1, retain=True)
        else:
            await other.publish("t", b"y", 2)
        assert await publisher.expect(PubAck) == PubAck(1)
        assert trio.current_time() == began


async def test_a_message_of_qos_2_leaves_at_once() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        live = await kept_and_connected(memory, qos=2)
        began = trio.current_time()
        await memory.broker.publish("t", b"x", qos=2)
        await live.expect_message("t", b"x", 2)
        assert trio.current_time() == began


async def test_a_broker_that_ends_waits_for_nobody() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        live = await kept_and_connected(memory)
        publisher = await join(memory, "p")
        await publisher.send(Publish("t", b"x", 1, packet_id=1))
        await live.expect_message("t", b"x", 1)
    assert [row.payload for row in storage.as_it_is()._messages.values()] == [b"x"]
