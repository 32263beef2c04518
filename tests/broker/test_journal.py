"""What is promised to clients is kept first: in groups, once, and no more than it needs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.lowlevel
import trio.testing

from tests.broker.raw import V5, V311, Raw
from tests.broker.slow_storage import Slow, broker_on, join, subscriber
from tests.inside import core_of
from trio_mqtt import Security
from trio_mqtt.access import AccessHooks, ClientInfo, Publication
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.testing import open_memory_broker


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_message_is_acknowledged_once_it_is_kept(qos: int) -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 2)
        publisher = await join(memory, "p")
        storage.wait()
        await publisher.send(Publish("t", b"x", qos, packet_id=3))
        await publisher.expect_nothing(60)
        assert storage.as_it_is()._messages == {}
        storage.may_keep.set()
        if qos == 1:
            assert await publisher.expect(PubAck) == PubAck(3)
        else:
            assert await publisher.expect(PubRec) == PubRec(3)
        assert [row.payload for row in storage.as_it_is()._messages.values()] == [b"x"]


async def test_what_needs_no_storage_waits_for_none() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        live = await join(memory, "live")
        await live.subscribe("t", qos=1)
        await subscriber(memory, "kept", 1)
        busy, publisher = await join(memory, "busy"), await join(memory, "p")
        storage.wait()
        await busy.send(Publish("kept", b"x", 1, packet_id=1))
        await trio.testing.wait_all_tasks_blocked()
        await publisher.publish("t", b"y", 1)  # is acknowledged
        await live.expect_message("t", b"y", 1)
        await publisher.publish("nobody", b"z", 2)
        await publisher.ping()


async def test_all_that_follows_a_promise_waits_with_it_in_order() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        publisher = await join(memory, "p")
        storage.wait()
        await publisher.send(Publish("t", b"x", 1, packet_id=1), PingReq())
        await publisher.send(Publish("nobody", b"x", 1, packet_id=2))
        await publisher.expect_nothing(1)
        storage.may_keep.set()
        assert (await publisher.expect(PubAck)).packet_id == 1
        await publisher.expect(PingResp)
        assert (await publisher.expect(PubAck)).packet_id == 2


async def test_changes_of_all_that_come_while_the_storage_is_at_work_are_one_group() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        publishers = [await join(memory, f"p{number}") for number in range(10)]
        storage.wait()
        before = len(storage.groups)
        for number, publisher in enumerate(publishers):
            await publisher.send(Publish("t", b"%d" % number, 1, packet_id=1))
            await trio.testing.wait_all_tasks_blocked()
        storage.may_keep.set()
        for publisher in publishers:
            await publisher.expect(PubAck)
        assert [len(group.messages) for group in storage.groups[before:]] == [1, 9]


async def test_what_comes_and_goes_within_a_group_is_never_written() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        live = await join(memory, "live", expiry=100)
        await live.subscribe("t", qos=1)
        await subscriber(memory, "other", 1)
        publisher = await join(memory, "p")
        storage.wait()
        await publisher.send(Publish("other", b"the storage is at work", 1, packet_id=1))
        await trio.testing.wait_all_tasks_blocked()
        await publisher.send(Publish("t", b"x", 1, packet_id=2))
        message = await live.expect_message("t", b"x", 1)
        await live.send(PubAck(message.packet_id))
        await trio.testing.wait_all_tasks_blocked()
        before = len(storage.groups)
        storage.may_keep.set()
        assert (await publisher.expect(PubAck)).packet_id == 1
        assert (await publisher.expect(PubAck)).packet_id == 2
        assert sum(len(group.messages) for group in storage.groups[before:]) == 1


async def test_a_message_is_kept_once_however_many_sessions_hold_it() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        clients = []
        for number in range(5):
            client = await join(memory, f"s{number}", expiry=100)
            await client.subscribe("t", qos=1)
            clients.append(client)
        await memory.broker.publish("t", b"x", qos=1)
        messages = [await client.expect_message("t", b"x", 1) for client in clients]
        await clients[0].ping()
        kept = storage.as_it_is()
        assert len(kept._messages) == 1
        for client, message in zip(clients, messages, strict=True):
            assert len(storage.as_it_is()._messages) == 1
            await client.send(PubAck(message.packet_id))
            await client.ping()
            await trio.testing.wait_all_tasks_blocked()
        assert len(storage.as_it_is()._messages) == 0


async def test_a_session_is_promised_once_it_is_kept() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        storage.wait()
        client = Raw(memory.connect(), V5)
        await client.send(
            Connect("c", protocol_version=V5, properties={"session_expiry_interval": 100})
        )
        await client.expect_nothing(1)
        storage.may_keep.set()
        await client.expect(ConnAck)
        storage.wait()
        await client.send(Subscribe(1, [Subscription("t", qos=1)]))
        await client.expect_nothing(1)
        storage.may_keep.set()
        await client.expect(SubAck)
        found = storage.as_it_is()
    async with broker_on(found) as memory:
        assert memory.broker.statistics.subscriptions == 1


@pytest.mark.parametrize("version", [V5, V311])
async def test_that_a_session_begins_anew_is_promised_once_that_is_kept(
    version: ProtocolVersion,
) -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        storage.wait()
        client = Raw(memory.connect(), version)
        await client.send(Connect("s", True, 0, version))
        await client.expect_nothing(1)
        storage.may_keep.set()
        assert not (await client.expect(ConnAck)).session_present
        found = storage.as_it_is()
    assert (await found.load()).sessions == []


async def test_what_is_sent_at_qos_2_leaves_once_its_identifier_is_kept() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        client = await join(memory, "c", expiry=100)
        await client.subscribe("t", qos=2)
        publisher = await join(memory, "p")
        storage.wait()
        await publisher.send(Publish("t", b"x", 2, packet_id=1))
        await client.expect_nothing(1)
        storage.may_keep.set()
        message = await client.expect_message("t", b"x", 2)
        storage.wait()
        await client.send(PubRec(message.packet_id))
        await client.expect_nothing(1)
        storage.may_keep.set()
        await client.expect(PubRel)
        found = storage.as_it_is()
    async with broker_on(found) as memory:
        client = await join(memory, "c", expiry=100, clean=False)
        assert await client.expect(PubRel) == PubRel(message.packet_id)
        await client.send(PubComp(message.packet_id))
        await client.ping()


async def test_an_identifier_of_qos_2_is_free_once_that_is_kept() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        publisher = await join(memory, "p", expiry=100)
        await publisher.send(Publish("t", b"1", 2, packet_id=5))
        await publisher.expect(PubRec)
        unreleased = storage.as_it_is()
        storage.wait()
        await publisher.send(PubRel(5))
        await publisher.expect_nothing(1)
        storage.may_keep.set()
        await publisher.expect(PubComp)
        released = storage.as_it_is()
    for found, count in ((unreleased, 1), (released, 2)):
        async with broker_on(found) as memory:
            publisher = await join(memory, "p", expiry=100, clean=False)
            await publisher.send(Publish("t", b"2", 2, packet_id=5))
            await publisher.expect(PubRec)
            client = await join(memory, "s", expiry=NEVER, clean=False)
            assert len(await client.messages()) == count


async def test_retained_messages_are_kept_as_they_change() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        publisher = await join(memory, "p")
        await publisher.publish("a", b"1", 1, retain=True)
        await publisher.publish("a", b"2", 1, retain=True)
        await publisher.publish("b", b"3", 1, retain=True)
        await publisher.publish("b", b"", 1, retain=True)
        await publisher.publish("c", b"4", retain=True, properties={"message_expiry_interval": 10})
        await trio.testing.wait_all_tasks_blocked()
        found = storage.as_it_is()
        assert {topic: row.payload for topic, row in found._retained.items()} == {
            "a": b"2",
            "c": b"4",
        }
        await trio.sleep(60)
        assert list(storage.as_it_is()._retained) == ["a"]


async def test_what_a_hook_has_replaced_at_qos_2_is_known_before_it_is_acknowledged() -> None:
    class Louder(AccessHooks):
        async def authorize_publish(
            self, client: ClientInfo, publication: Publication
        ) -> Publication:
            return replace(publication, payload=publication.payload.upper())

    storage = Slow()
    async with open_memory_broker(storage=storage, security=Security(hooks=Louder())) as memory:
        publisher = await join(memory, "p", expiry=100)
        storage.wait()
        await publisher.send(Publish("nobody", b"x", 2, packet_id=5))
        await publisher.expect_nothing(1)
        storage.may_keep.set()
        await publisher.expect(PubRec)
        assert [list(one.identifiers) for one in storage.as_it_is()._sessions.values()] == [[5]]


@pytest.mark.parametrize("retain", [False, True])
async def test_what_the_program_publishes_is_kept_when_that_returns(retain: bool) -> None:
    storage = Slow()
    returned: list[int] = []
    async with broker_on(storage) as memory, trio.open_nursery() as nursery:
        await memory.broker.publish("t", b"of no use to anybody", qos=1)
        if not retain:
            await subscriber(memory, "t", 2)
        storage.wait()

        async def publish(qos: int) -> None:
            await memory.broker.publish("t", b"x", qos=qos, retain=retain)
            returned.append(qos)

        for qos in (1, 2, 0):
            nursery.start_soon(publish, qos)
        await trio.testing.wait_all_tasks_blocked()
        assert returned == [0]
        with trio.move_on_after(60) as waiting:
            await memory.broker.publish("t", b"x", qos=1, retain=retain)
        assert waiting.cancelled_caught
        storage.may_keep.set()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(returned) == [0, 1, 2]


async def test_what_a_session_gets_twice_is_kept_twice() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        client = await join(memory, "c", expiry=1_000)
        for topic_filter in ("t", "$share/g/t", "$share/h/t"):
            await client.subscribe(topic_filter, qos=1)
        await client.drop()
        await memory.broker.publish("t", b"x", qos=1)
        client = await join(memory, "c", expiry=1_000, clean=False)
        messages = [await client.expect_message("t", b"x", 1) for _ in range(3)]
        await client.send(PubAck(messages[0].packet_id))
        await client.ping()
        found = storage.as_it_is()
    async with broker_on(found) as memory:
        client = await join(memory, "c", expiry=1_000, clean=False)
        again = await client.take()
        assert [message.packet_id for message in again] == [m.packet_id for m in messages[1:]]
        await trio.testing.wait_all_tasks_blocked()
        assert found.as_it_is()._messages == {}


async def test_messages_of_a_read_are_kept_once_though_some_are_of_qos_0() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        for number in range(5):
            client = await join(memory, f"c{number}", expiry=NEVER)
            await client.subscribe("t", qos=1)
            await client.disconnect()
        publisher = await join(memory, "p")
        await publisher.send(Publish("t", b"0", 0), Publish("t", b"1", 1, packet_id=1))
        await publisher.expect(PubAck)
        found = storage.as_it_is()
    assert [row.payload for row in found._messages.values()] == [b"1"]
    async with broker_on(found) as memory:
        for number in range(5):
            client = await join(memory, f"c{number}", expiry=NEVER, clean=False)
            assert [one.payload for one in await client.take()] == [b"1"]
        await trio.testing.wait_all_tasks_blocked()
        assert found.as_it_is()._messages == {}


async def test_to_remove_a_retained_message_that_is_not_there_waits_for_nothing() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        publisher = await join(memory, "p")
        before = len(storage.groups)
        await publisher.publish("t", b"", 1, retain=True)
        assert len(storage.groups) == before


async def test_what_is_sent_in_place_of_others_keeps_their_place() -> None:
    class Louder(AccessHooks):
        async def authorize_delivery(
            self, client: ClientInfo, publication: Publication
        ) -> Publication:
            return replace(publication, payload=publication.payload.upper())

    storage = Slow()
    security = Security(hooks=Louder())
    async with open_memory_broker(storage=storage, security=security) as memory:
        await subscriber(memory, "t", 2)
        await subscriber(memory, "t", 2, "other")
        for payload in (b"a", b"b", b"c", b"d"):
            publisher = await join(memory, "p")
            await publisher.publish("t", payload, 2)
            await publisher.disconnect()
        client = Raw(memory.connect(), V5)
        properties: Properties = {"session_expiry_interval": NEVER, "receive_maximum": 1}
        await client.connect("s", clean_start=False, properties=properties)
        message = await client.expect_message("t", b"A", 2)
        await client.send(PubRec(message.packet_id))
        await client.expect(PubRel)
        await client.send(PubComp(message.packet_id))
        await client.expect_message("t", b"B", 2)  # and C waits for its turn, as a new message
        await trio.testing.wait_all_tasks_blocked()
        storage = storage.as_it_is()
    for _ in range(2):
        async with broker_on(storage) as memory:
            journal = core_of(memory.broker).journal
            assert journal is not None
            assert len(journal._places) == 2
    async with broker_on(storage) as memory:
        client = await join(memory, "s", expiry=NEVER, clean=False)
        assert [one.payload for one in await client.take()] == [b"B", b"C", b"d"]
        journal = core_of(memory.broker).journal
        assert journal is not None
        assert not journal._places


async def test_what_a_hook_lets_through_as_it_is_stays_one_message() -> None:
    class Anything(AccessHooks):
        async def authorize_delivery(
            self, client: ClientInfo, publication: Publication
        ) -> Publication:
            return publication

    storage = Slow()
    async with open_memory_broker(storage=storage, security=Security(hooks=Anything())) as memory:
        clients = [await join(memory, f"c{number}", expiry=NEVER) for number in range(3)]
        for client in clients:
            await client.subscribe("t", qos=1)
        await memory.broker.publish("t", b"x", qos=1)
        received = [await client.expect_message("t", b"x", 1) for client in clients]
        await trio.testing.wait_all_tasks_blocked()
        assert list(storage.as_it_is()._messages) == [1]
        for client, message in zip(clients, received, strict=True):
            await client.send(PubAck(message.packet_id))
        await trio.testing.wait_all_tasks_blocked()
        assert storage.as_it_is()._messages == {}
