"""A client that reads slowly or not at all costs only itself."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.inside import core_of, links_of, sessions_of
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PingReq, Publish, Will

KIB = 1024


@pytest.fixture
def limits() -> Limits:
    return Limits(
        maximum_queued_messages=200, maximum_queued_bytes=1024 * KIB, write_buffer=64 * KIB
    )


def _pending(broker: Broker, client_id: str) -> int:
    """Bytes that wait to be written to a client."""
    return next(
        connection.outlet._pending_bytes
        for connection in links_of(broker)
        if connection.client_id == client_id
    )


@pytest.mark.slow
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_frozen_subscriber_costs_itself_and_is_ended(
    join: Join, broker: Broker, version: ProtocolVersion, qos: int
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("gone", "t", qos=0)
    frozen = await join("frozen", version, lockstep=True, will=Will("gone"))
    await frozen.subscribe("t", qos=qos)
    publisher = await join("publisher", version)
    before = trio.current_time()
    for number in range(400):
        await publisher.publish("t", b"%d" % number + b"x" * 10_000, qos)
    assert trio.current_time() == before  # nobody waits for it
    session = sessions_of(broker)["frozen"]
    assert session.queued_messages <= 200
    assert session.queued_bytes <= 1024 * KIB
    assert _pending(broker, "frozen") <= 64 * KIB + 512 * KIB
    assert broker.statistics.messages_dropped > 50
    assert len([m for m in await watcher.messages(1) if m.topic == "t"]) == 400
    found = await watcher.messages(seconds=61)
    assert [m.topic for m in found] == ["gone"]
    assert len(core_of(broker).sessions) == 2


async def test_many_subscriptions_of_a_frozen_client_hold_no_more_than_one(
    join: Join, broker: Broker
) -> None:
    frozen = await join("frozen", lockstep=True)
    await frozen.subscribe(*(f"t/{number}" for number in range(100)))
    for number in range(100):
        await broker.publish(f"t/{number}", b"x" * 20_000)
    await trio.testing.wait_all_tasks_blocked()
    assert _pending(broker, "frozen") <= 64 * KIB + 512 * KIB
    found = await frozen.payloads(0.001)
    assert broker.statistics.messages_dropped == 100 - len(found)
    assert len(found) >= 26  # half of what may be queued


async def test_retained_messages_leave_piece_by_piece(join: Join, broker: Broker) -> None:
    for number in range(150):
        await broker.publish(f"r/{number:03}", b"x" * 20_000, retain=True)
    frozen = await join("frozen", lockstep=True)
    await frozen.subscribe("r/#")
    await trio.testing.wait_all_tasks_blocked()
    assert _pending(broker, "frozen") <= 64 * KIB + 512 * KIB
    assert len(await frozen.messages(0.001)) == 150
    assert core_of(broker).sessions.all()[0].retained_waiting == 0


async def test_a_client_that_is_slow_but_alive_is_not_taken_for_dead(
    join: Join, broker: Broker
) -> None:
    """While nothing can be answered nothing is read: what the client said then still counts."""
    slow = await join("slow", lockstep=True, keep_alive=10)
    await slow.subscribe("t")
    for _ in range(30):
        await broker.publish("t", b"x" * 10_000)

    async def pings() -> None:
        while True:
            await slow.send(PingReq())
            await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pings)
        seen = 0
        while seen < 30:
            await trio.sleep(3)
            data = await slow.stream.receive_some(8_000)
            assert data
            seen += sum(isinstance(p, Publish) for p in slow._decoder.feed(bytes(data)))
        nursery.cancel_scope.cancel()


async def test_a_client_that_drips_bytes_is_not_alive(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    client = await join("c", version, keep_alive=10)
    for byte in b"\x30\xff\x7f\x00\x01t\x00" + b"x" * 100:
        try:
            await client.send(bytes([byte]))
        except trio.BrokenResourceError:
            break
        await trio.sleep(1)
    else:
        raise AssertionError("it was not ended")
    assert not links_of(broker)
