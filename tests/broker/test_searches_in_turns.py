"""Retained messages are looked for in turns, and sent as they were when they were asked for."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.passes import LOOKS, watched
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.protocol.packets import SubAck, Subscribe, Subscription

pytestmark = pytest.mark.usefixtures("slow_clock")


async def test_retained_messages_are_looked_for_in_turns(join: Join, broker: Broker) -> None:
    """Many filters over many messages, none of which matches: one client's search is no wait."""
    for number in range(3_000):
        await broker.publish(f"r/{number}/x/y", b"x", retain=True)
    visited = 0
    search = core_of(broker).retained.search

    def counted(topic_filter: str, now: float = 0.0):  # type: ignore[no-untyped-def]
        nonlocal visited
        for found in search(topic_filter, now):
            visited += 1  # STEP nodes
            yield found

    core_of(broker).retained.search = counted  # type: ignore[method-assign]
    client = await join("c")
    async with watched(lambda: visited) as passes:
        await client.subscribe(*(f"r/+/+/nothing{number}" for number in range(20)))
        (session,) = core_of(broker).sessions.all()
        while any(one._retained for one in session.subscriptions.values()):
            await trio.lowlevel.checkpoint()
    assert sum(passes) > 20 * 6_000 / 32 - 40
    # What a SUBSCRIBE begins, and what goes on of the searches before.
    assert max(passes) <= 6 * (LOOKS + 1)
    await client.expect_nothing()


async def test_what_is_stored_while_they_are_looked_for_comes_once(
    join: Join, broker: Broker
) -> None:
    """Retained messages are those of the moment of SUBSCRIBE; what follows comes as itself."""
    for number in range(2_000):
        await broker.publish(f"r/{number}", b"old", retain=True)
    client = await join("c")
    await client.send(Subscribe(1, [Subscription("r/#")]))
    await client.expect(SubAck)
    await broker.publish("r/1999", b"new", retain=True)
    await broker.publish("r/more", b"new", retain=True)
    await broker.publish("r/1998", b"", retain=True)
    found = await client.messages(1)
    assert [m.payload for m in found if m.topic == "r/1999"] == [b"new"]
    assert [(m.payload, m.retain) for m in found if m.topic == "r/more"] == [(b"new", False)]
    assert [m.payload for m in found if m.topic == "r/1998"] == [b""]
    assert len({m.topic for m in found}) == len(found) == 2_001
    # In order: what was retained before what came later.
    assert [m.retain for m in found] == sorted((m.retain for m in found), reverse=True)


async def test_a_second_subscribe_begins_the_search_anew(join: Join, broker: Broker) -> None:
    for number in range(2_000):
        await broker.publish(f"r/{number}", b"old", retain=True)
    client = await join("c")
    await client.send(*(Subscribe(number, [Subscription("r/#")]) for number in (1, 2, 3)))
    found = await client.messages(1)
    assert {m.topic for m in found} == {f"r/{number}" for number in range(2_000)}
    assert len(found) < 3 * 2_000
    assert core_of(broker).sessions.all()[0].retained_waiting == 0


async def test_a_search_goes_on_with_the_next_connection(join: Join, broker: Broker) -> None:
    for number in range(5_000):
        await broker.publish(f"r/{number}", b"old", retain=True)
    client = await join("c", expiry=100)
    await client.subscribe("r/#")
    await client.drop()
    again = await join("c", clean_start=False, expiry=100)
    rest = {message.topic for message in await again.messages(1)}
    assert rest >= {f"r/{number}" for number in range(4_500, 5_000)}
    await again.subscribe("r/#")
    assert len(await again.messages(1)) == 5_000
