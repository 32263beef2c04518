"""Much for many at once goes out in turns: others are served in between, and order stays."""

from __future__ import annotations

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.passes import watched
from tests.broker.raw import Raw
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.routing import spreading
from trio_mqtt.broker.routing.batch import JOIN
from trio_mqtt.protocol.packets import Publish, Subscription, UnsubAck, Unsubscribe

MIB = 1024 * 1024
MANY = 40
SIZE = 1_000


async def many(join: Join, topic: str = "t", *, qos: int = 0) -> list[Raw]:
    """So many subscribers."""
    clients = [await join(f"s{number}") for number in range(MANY)]
    for client in clients:
        await client.subscribe(topic, qos=qos)
    return clients


def flood(count: int, first: int = 0, *, topic: str = "t", qos: int = 0) -> list[Publish]:
    return [
        Publish(topic, b"%d " % number + b"x" * SIZE, qos, packet_id=(number + 1) * (qos > 0))
        for number in range(first, first + count)
    ]


def numbers(messages: list[Publish]) -> list[int]:
    return [int(message.payload.split()[0]) for message in messages]


@pytest.mark.parametrize("qos", [0, 1])
async def test_what_reaches_many_is_written_in_turns(join: Join, broker: Broker, qos: int) -> None:
    clients = await many(join, qos=qos)
    publisher = await join("p")
    count = 250 if qos == 0 else 120  # as many as may be in flight to each
    written = broker.statistics
    async with watched(lambda: written.bytes_sent) as passes:
        await publisher.send(*flood(count, qos=qos))
        while written.messages_sent < count * MANY:
            await trio.lowlevel.checkpoint()
        for _ in range(2):  # whoever watches sees the last pass too
            await trio.lowlevel.checkpoint()
    assert sum(passes) > count * MANY * SIZE
    # Who publishes and who is reached may both write in a pass.
    assert max(passes) <= 2 * (MIB + JOIN)
    for client in clients:
        assert numbers(await client.messages()) == list(range(count))


@pytest.mark.parametrize("how", ["mixed topics", "no local", "beside a group"])
async def test_so_is_what_is_routed_otherwise(
    join: Join, broker: Broker, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a turn, many batches are routed, and it is their sum that counts."""
    monkeypatch.setattr(spreading, "MUCH", MIB)
    clients = await many(join, "+")
    publisher, other = await join("p"), await join("o")
    if how == "no local":
        await publisher.subscribe(Subscription("+", no_local=True))
    elif how == "beside a group":
        await other.subscribe("$share/group/t")
    else:
        await other.subscribe("u")  # so the two do not reach the same
    written = broker.statistics
    topics = ("t", "u") if how == "mixed topics" else ("t", "t")
    sent = [flood(1, n, topic=topics[n % 2])[0] for n in range(240)]
    async with watched(lambda: written.bytes_sent) as passes:
        await publisher.send(*sent)
        while written.messages_sent < 240 * MANY:
            await trio.lowlevel.checkpoint()
        for _ in range(2):  # whoever watches sees the last pass too
            await trio.lowlevel.checkpoint()
    assert max(passes) <= 2 * (MIB + JOIN)
    for client in clients:
        assert numbers(await client.messages()) == list(range(240))
    expected = {"no local": 0, "beside a group": 240, "mixed topics": 120}[how]
    assert len(await other.messages()) == expected


@pytest.mark.parametrize("is_alone", [False, True])
async def test_a_small_message_does_not_overtake_what_waits_to_be_spread(
    join: Join, broker: Broker, is_alone: bool
) -> None:
    clients = await many(join)
    publisher = await join("p")
    core = core_of(broker)
    await publisher.send(*flood(250))
    while not core.router.spreading.under_way:
        await trio.lowlevel.checkpoint()
    if is_alone:
        for session in core.sessions.all():
            for subscription in session.subscriptions.values():
                subscription._offered_at = -1.0  # as if nothing had come for a while
    await broker.publish("t", b"250 small")  # routed before anybody else has a turn
    for client in clients:
        assert numbers(await client.messages()) == list(range(251))


async def test_a_publisher_is_read_from_when_all_have_begun(join: Join, broker: Broker) -> None:
    """What it sends further does not wait in the broker: those who take it lose nothing."""
    clients = await many(join)
    publisher, other = await join("p"), await join("o")
    statistics = broker.statistics
    core = core_of(broker)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.send, *flood(250))
        while not core.router.spreading.under_way:
            await trio.lowlevel.checkpoint()
        nursery.start_soon(publisher.send, *flood(250, 250))
        await other.ping()
        while core.router.spreading.under_way:
            assert statistics.messages_received == 250
            await trio.lowlevel.checkpoint()
    for client in clients:
        assert numbers(await client.messages()) == list(range(500))
    assert statistics.messages_received == 500
    assert statistics.queue_drops == 0


async def test_those_of_two_publishers_go_out_in_turn(join: Join, broker: Broker) -> None:
    clients = await many(join, "+")
    first, second = await join("p"), await join("q")
    await first.send(*flood(250, topic="a"))
    await second.send(*flood(250, topic="b"))
    for client in clients:
        messages = await client.messages()
        for topic in "ab":
            found = [message for message in messages if message.topic == topic]
            assert numbers(found) == list(range(250))
    assert not core_of(broker).router.spreading.under_way


async def test_who_goes_meanwhile_holds_nobody_up(join: Join, broker: Broker) -> None:
    """The publisher, subscribers and subscriptions end while it is spread."""
    clients = await many(join)
    publisher = await join("p")
    core = core_of(broker)
    await publisher.send(*flood(250))
    while not core.router.spreading.under_way:
        await trio.lowlevel.checkpoint()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.drop)
        for client in clients[::3]:
            nursery.start_soon(client.drop)
    for client in clients[1::3]:
        await client.send(Unsubscribe(9, ["t"]))
        assert isinstance((await client.drain())[-1], UnsubAck)
    for client in clients[2::3]:
        assert numbers(await client.messages()) == list(range(250))
    assert not core.router.spreading.under_way
    assert broker.statistics.queued_bytes == 0


async def test_more_than_may_be_in_flight_goes_on_with_acknowledgements(join: Join) -> None:
    clients = await many(join, qos=1)
    publisher = await join("p")
    for first in (0, 150):  # each more than may be in flight
        await publisher.send(*flood(150, first, qos=1))
    for client in clients:
        assert numbers(await client.take()) == list(range(300))
