"""The end of a broker: clients are told, wills are out, and nothing is left."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing

from tests.broker.raw import V5, V311, Closed, Raw
from tests.inside import core_of, links_of
from trio_mqtt import BrokerOptions
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker


async def test_clients_are_told_and_what_waits_for_them_is_sent() -> None:
    async with open_memory_broker() as memory:
        five, three, silent = (Raw(memory.connect(), v) for v in (V5, V311, V5))
        await five.connect("five")
        await three.connect("three")
        await five.subscribe("t", qos=1)
        for number in range(50):
            await memory.broker.publish("t", str(number), qos=1)
    found = await five.drain()
    assert len(found) == 51
    assert getattr(found[-1], "reason_code", None) == ReasonCode.SERVER_SHUTTING_DOWN
    await three.expect_closed()
    await silent.expect_closed()
    assert not links_of(memory.broker)


async def test_who_acknowledges_late_is_waited_for_within_a_bound() -> None:
    async with open_memory_broker(limits=Limits(drain_timeout=5.0)) as memory:
        late, never = Raw(memory.connect(), V5), Raw(memory.connect(), V5)
        for client, name in ((late, "late"), (never, "never")):
            await client.connect(name)
            await client.subscribe(name, qos=1)
            await memory.broker.publish(name, b"x", qos=1)
        ends = trio.Event()

        async def acknowledge() -> None:
            message = await late.expect(Publish)
            await ends.wait()
            await trio.sleep(3)
            assert core_of(memory.broker).sessions.closing
            await late.send(PubAck(message.packet_id))
            await never.drop()
            await late.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)

        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(acknowledge)
            ends.set()
            await memory.broker.close()
        assert 3 <= trio.current_time() - before < 3.1


async def test_who_never_acknowledges_is_not_waited_for_longer() -> None:
    async with open_memory_broker(limits=Limits(drain_timeout=5.0)) as memory:
        client = Raw(memory.connect(), V5)
        await client.connect("never")
        await client.subscribe("t", qos=1)
        await memory.broker.publish("t", b"x", qos=1)
        before = trio.current_time()
        await memory.broker.close()
        assert 5 <= trio.current_time() - before < 5.1
        await client.expect(Publish)
        await client.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)


@pytest.mark.parametrize("qos", [0, 1])
async def test_what_keeps_coming_is_not_waited_for(qos: int) -> None:
    """One client floods another, which always has something waiting; others were drained."""
    async with open_memory_broker(limits=Limits(drain_timeout=5.0, write_buffer=1)) as memory:
        publisher = Raw(memory.connect(), V5)
        subscriber = Raw(memory.connect(lockstep=True), V5)
        await publisher.connect("publisher")
        await subscriber.connect("subscriber", properties={"receive_maximum": 2})
        await subscriber.subscribe("t", qos=qos)
        found: list[bytes] = []

        async def flood() -> None:
            with suppress(trio.BrokenResourceError):  # it is over
                for number in range(10_000):
                    packet_id = (1 + number % 100) * qos
                    await publisher.send(Publish("t", b"%d" % number, qos, packet_id=packet_id))
                    await trio.sleep(0.01)

        async def take() -> None:
            """A little slower than it comes."""
            while not isinstance(message := await subscriber.receive(), Closed):
                if isinstance(message, Publish):
                    found.append(message.payload)
                    await trio.sleep(0.012)
                    if qos:
                        await subscriber.send(PubAck(message.packet_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            nursery.start_soon(take)
            waited = 0
            for _ in range(20):  # at any one moment some of it has just been taken to be sent
                await trio.sleep(0.1)
                session = core_of(memory.broker).sessions.all()[1]
                waited = max(waited, session.queued_messages)
            published = memory.broker.statistics.messages_received
            before = trio.current_time()
            await memory.broker.close()
            took = trio.current_time() - before
            nursery.cancel_scope.cancel()
    assert waited > 5
    assert published > 100
    assert len(found) >= published  # all that was there
    assert took < 1.5


async def test_clients_are_sent_to_a_successor() -> None:
    async with open_memory_broker(options=BrokerOptions(successor="other.example")) as memory:
        five, three = Raw(memory.connect(), V5), Raw(memory.connect(), V311)
        await five.connect("five")
        await three.connect("three")
    told = await five.expect_disconnect(ReasonCode.USE_ANOTHER_SERVER)
    assert told is not None
    assert told.properties["server_reference"] == "other.example"
    await three.expect_closed()


async def test_a_frozen_client_delays_the_end_only_for_the_goodbye() -> None:
    async with open_memory_broker(limits=Limits(goodbye_timeout=2.0)) as memory:
        frozen = Raw(memory.connect(lockstep=True))
        await frozen.connect("frozen")
        await frozen.subscribe("t", qos=1)
        for _ in range(500):
            await memory.broker.publish("t", b"x" * 10_000, qos=1)
        before = trio.current_time()
    assert trio.current_time() - before <= 4.1


async def test_what_the_body_raises_arrives_as_it_is() -> None:
    error = ValueError("mine")
    clients: list[Raw] = []

    async def body() -> None:
        async with open_memory_broker() as memory:
            clients.append(Raw(memory.connect()))
            await clients[0].connect("c")
            raise error

    with pytest.raises(ValueError, match="mine") as caught:
        await body()
    assert caught.value is error
    await clients[0].expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)


async def test_a_connection_that_comes_while_the_broker_ends_is_closed() -> None:
    async with open_memory_broker() as memory:
        core_of(memory.broker).sessions.closing = True
        client = Raw(memory.connect())
        await client.expect_closed()
    assert memory.broker.statistics.clients_connected == 0


async def test_a_broker_starts_and_ends_a_hundred_times() -> None:
    for _ in range(100):
        async with open_memory_broker() as memory:
            await Raw(memory.connect()).connect("c")
    assert memory.broker.statistics.clients_connected == 0


async def test_who_comes_while_the_broker_ends_is_not_said_to_be_one_too_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_memory_broker() as memory:
        core_of(memory.broker).sessions.closing = True
        await Raw(memory.connect()).expect_closed()
    assert "no more connections" not in caplog.text
