"""What is over leaves nothing behind in the storage, and nothing in the journal's memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import trio
import trio.lowlevel
import trio.testing

from tests.broker.raw import V5, Raw
from tests.broker.slow_storage import Slow, broker_on, join, subscriber
from tests.inside import core_of
from trio_mqtt import Security
from trio_mqtt.access import AccessHooks, ClientInfo, Publication
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packets import PubAck, Publish, PubRec, PubRel, Will
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.testing import open_memory_broker


async def test_a_session_that_ends_leaves_nothing_behind() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        client = await join(memory, "c", expiry=100)
        await client.subscribe("t", qos=2)
        await client.send(Publish("other", b"x", 2, packet_id=9))
        await client.expect(PubRec)
        for qos in (1, 2, 2):
            await memory.broker.publish("t", b"x", qos=qos)
        received = [await client.expect(Publish) for _ in range(3)]
        await client.send(PubRec(received[1].packet_id))
        await client.expect(PubRel)
        await client.drop()
        await memory.broker.publish("t", b"waits", qos=1)
        await trio.sleep(101)
        found = storage.as_it_is()
        assert (found._messages, found._sessions, found._retained) == ({}, {}, {})


@asynccontextmanager
async def back_for(
    storage: Slow, sent: dict[str, Properties], *, qos: int = 1, seconds: float = 0
) -> AsyncIterator[Raw]:
    """A client that was away when messages were `sent` by topic, and so long, and is back.

    It has two subscriptions to what is below `a`, one of them at the `qos`.
    """
    async with broker_on(storage) as memory:
        client = await join(memory, "c", expiry=1_000)
        await client.subscribe("a/#", qos=1)
        await client.subscribe("a/b", qos=qos)
        await client.drop()
        for topic, properties in sent.items():
            await memory.broker.publish(topic, b"x", qos=1, properties=properties)
        await trio.sleep(seconds)
        yield await join(memory, "c", expiry=1_000, clean=False)


async def test_a_subscription_that_ends_leaves_nothing_behind() -> None:
    storage = Slow()
    async with back_for(storage, {"a/b": {}, "a/c": {}}) as client:
        first, second = await client.expect(Publish), await client.expect(Publish)
        await client.unsubscribe("a/#", "a/b")
        await client.send(PubAck(first.packet_id), PubAck(second.packet_id))
        await client.ping()
        await trio.testing.wait_all_tasks_blocked()
        found = storage.as_it_is()
        assert found._messages == {}
        assert [list(one.subscriptions) for one in found._sessions.values()] == [[]]


async def test_a_message_that_expires_while_it_waits_leaves_nothing_behind() -> None:
    storage = Slow()
    sent: dict[str, Properties] = {"a/b": {"message_expiry_interval": 10}}
    async with back_for(storage, sent, qos=0, seconds=20) as client:
        await client.ping()
        await trio.testing.wait_all_tasks_blocked()
        assert storage.as_it_is()._messages == {}


async def test_a_message_that_one_session_cannot_have_any_more_stays_for_another() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        client = await join(memory, "another", expiry=NEVER)
        await client.subscribe("t", qos=1)
        await client.disconnect()
        await memory.broker.publish("t", b"x", qos=1)
        await trio.testing.wait_all_tasks_blocked()
        found = storage.as_it_is()
    next(iter(found._sessions.values())).subscriptions.clear()
    async with broker_on(found) as memory:
        await trio.testing.wait_all_tasks_blocked()
        found = found.as_it_is()
    async with broker_on(found) as memory:
        client = await join(memory, "another", expiry=NEVER, clean=False)
        await client.expect_message("t", b"x", 1)


async def test_others_have_their_turn_while_many_are_let_go() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        journal = core_of(memory.broker).journal
        assert journal is not None
        released: list[int] = []

        class One:
            def release(self, group: int) -> None:
                released.append(group)

        waiting = [One() for _ in range(1_000)]
        journal.session_ended(1_000)
        assert {journal.holds(one) for one in waiting} == {1}
        journal.no_longer_holds(waiting[0])
        seen: set[int] = set()
        while len(released) < 999:
            seen.add(len(released))
            await trio.lowlevel.checkpoint()
        assert len(seen) > 5


async def test_the_will_of_a_session_that_another_client_ends_is_kept_with_its_end() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "gone", 1)
        client = Raw(memory.connect(), V5)
        await client.connect("c", will=Will("gone", b"bye", 1), expiry=100)
        before = len(storage.groups)
        await join(memory, "c", expiry=100)
        ends = [group for group in storage.groups[before:] if None in group.sessions.values()]
        assert [len(group.messages) for group in ends] == [1]


async def test_what_waits_in_a_session_that_ends_is_passed_on_to_none_of_its_subscriptions() -> (
    None
):
    storage = Slow()
    async with broker_on(storage) as memory:
        client = await join(memory, "c", expiry=100)
        await client.subscribe("a/b", "a/+", "+/b", "#", qos=1)
        await client.drop()
        for _ in range(5):
            await memory.broker.publish("a/b", b"x", qos=1)
        journal = core_of(memory.broker).journal
        assert journal is not None
        assert journal._last_message == 5
        await join(memory, "c", expiry=100)
        assert journal._last_message == 5
        assert storage.as_it_is()._messages == {}


async def test_no_place_is_remembered_of_what_is_over() -> None:
    class Louder(AccessHooks):
        async def authorize_delivery(
            self, client: ClientInfo, publication: Publication
        ) -> Publication:
            return replace(publication, payload=publication.payload.upper())

    async with open_memory_broker(storage=Slow(), security=Security(hooks=Louder())) as memory:
        client = await join(memory, "s", expiry=NEVER)
        await client.subscribe("t", qos=1)
        publisher = await join(memory, "p")
        await publisher.send(
            Publish("t", b"a"), Publish("t", b"b", 1, packet_id=1), Publish("t", b"c")
        )
        assert [one.payload for one in await client.take()] == [b"A", b"B", b"C"]
        journal = core_of(memory.broker).journal
        assert journal is not None
        assert not journal._places
