"""What is promised to clients is kept first; what is kept is there after a broker's sudden end."""

from __future__ import annotations

import copy
import socket
from dataclasses import replace

import pytest
import trio
import trio.lowlevel
import trio.testing

from tests.broker.raw import V5, V311, Raw
from tests.broker.slow_storage import Slow, broker_on, join, subscriber
from tests.inside import core_of, serve_stream
from trio_mqtt import Limits, Security, StoreError
from trio_mqtt.access import AccessHooks, ClientInfo, Publication
from trio_mqtt.broker.journal import Journal
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
    Unsubscribe,
    Will,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.storage.rows import Changes
from trio_mqtt.testing import MemoryBroker, open_memory_broker
from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.streams import SocketStream


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


async def test_a_sudden_end_leaves_what_was_promised() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t/#", 2)
        shared = await join(memory, "shared", expiry=NEVER)
        await shared.subscribe("$share/g/t/#", qos=1)
        await shared.disconnect()
        publisher = await join(memory, "p")
        for number in range(20):
            await publisher.publish(f"t/{number}", b"%d" % number, 1 + number % 2)
        await publisher.publish("t/r", b"kept", 1, retain=True)
        found = storage.as_it_is()
    async with broker_on(found) as memory:
        for client_id in ("s", "shared"):
            client = await join(memory, client_id, expiry=NEVER, clean=False)
            taken = [message.payload for message in await client.take()]
            assert taken == [*(b"%d" % number for number in range(20)), b"kept"]
        client = await join(memory, "new")
        await client.subscribe("t/r", qos=1)
        assert (await client.expect_message("t/r", b"kept", 1)).retain
        await trio.testing.wait_all_tasks_blocked()
        assert found.as_it_is()._messages == {}


async def test_the_client_of_a_broker_that_ended_suddenly_has_gone() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        watcher = await join(memory, "watcher", expiry=NEVER)
        await watcher.subscribe("gone/#", qos=1)
        for client_id, delay in (("now", 0), ("later", 50)):
            client = Raw(memory.connect(), V5)
            properties = {"will_delay_interval": delay, "content_type": "text/plain"}
            will = Will(f"gone/{client_id}", b"bye", 1, properties=properties)  # type: ignore[arg-type]
            await client.connect(client_id, will=will, properties={"session_expiry_interval": 100})
        found = storage.as_it_is()
    async with broker_on(found) as memory:
        watcher = await join(memory, "watcher", expiry=NEVER, clean=False)
        message = await watcher.expect_message("gone/now", b"bye", 1)
        assert message.properties == {"content_type": "text/plain"}
        await watcher.send(PubAck(message.packet_id))
        await watcher.expect_nothing(49)
        await watcher.expect_message("gone/later", b"bye", 1)
        await trio.sleep(51)
        assert [one.client_id for one in core_of(memory.broker).sessions.all()] == ["watcher"]


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


async def test_a_subscription_that_ends_leaves_nothing_behind() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        client = await join(memory, "c", expiry=100)
        await client.subscribe("a/#", qos=1)
        await client.subscribe("a/b", qos=1)
        await client.drop()
        await memory.broker.publish("a/b", b"x", qos=1)
        await memory.broker.publish("a/c", b"y", qos=1)
        client = await join(memory, "c", expiry=100, clean=False)
        first, second = await client.expect(Publish), await client.expect(Publish)
        await client.unsubscribe("a/#", "a/b")
        await client.send(PubAck(first.packet_id), PubAck(second.packet_id))
        await client.ping()
        await trio.testing.wait_all_tasks_blocked()
        found = storage.as_it_is()
        assert found._messages == {}
        assert [list(one.subscriptions) for one in found._sessions.values()] == [[]]


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


async def test_a_storage_that_is_full_costs_only_those_who_need_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        live = await join(memory, "live")
        await live.subscribe("live", qos=1)
        publisher, old = await join(memory, "p"), Raw(memory.connect(), V311)
        await old.connect("old")
        storage.failure = StoreError("The disk is full.")
        await publisher.send(Publish("t", b"promised once there is room", 1, packet_id=1))
        await publisher.expect_nothing(0.5)
        another = await join(memory, "another")
        await another.send(Publish("t", b"refused", 1, packet_id=1))
        assert (await another.expect(PubAck)).reason_code == ReasonCode.QUOTA_EXCEEDED
        await another.send(Publish("t", b"refused", 2, packet_id=2))
        assert (await another.expect(PubRec)).reason_code == ReasonCode.QUOTA_EXCEEDED
        await old.send(Publish("t", b"not acknowledged", 1, packet_id=1))
        await old.ping()
        await another.publish("live", b"goes on", 1)
        await live.expect_message("live", b"goes on", 1)
        assert caplog.text.count("The disk is full.") == 1
        storage.failure = None
        assert (await publisher.expect(PubAck)).packet_id == 1
        await another.publish("t", b"taken again", 1)
        assert "keeps what changes again" in caplog.text
        client = await join(memory, "s", expiry=NEVER, clean=False)
        payloads = [message.payload for message in await client.take()]
        assert payloads == [b"promised once there is room", b"taken again"]


async def test_a_client_that_much_waits_for_is_heard_again_once_it_is_kept() -> None:
    storage = Slow()
    limits = Limits(write_buffer=10_000)
    async with open_memory_broker(storage=storage, limits=limits) as memory:
        await subscriber(memory, "t", 1)
        ours, theirs = socket.socketpair()  # which takes what is written at once
        async with trio.open_nursery() as nursery:
            stream = SocketStream(theirs, Origin(None, "here"))
            nursery.start_soon(serve_stream, memory.broker, stream)
            live = Raw(trio.SocketStream(trio.socket.from_stdlib_socket(ours)), V5)
            await live.connect("live")
            await hear_much(live, memory, storage)


async def hear_much(live: Raw, memory: MemoryBroker, storage: Slow) -> None:
    await live.subscribe("live")
    storage.wait()
    await live.send(Publish("t", b"x", 1, packet_id=1))
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(20):
        await memory.broker.publish("live", bytes(1_000))
    await live.send(PingReq())
    await live.expect_nothing(1)
    storage.may_keep.set()
    assert (await live.expect(PubAck)).packet_id == 1
    assert len(await live.take()) == 20
    await live.ping()
    await live.drop()


async def test_a_message_that_expires_while_it_waits_leaves_nothing_behind() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        client = await join(memory, "c", expiry=1_000)
        await client.subscribe("a/#", qos=1)
        await client.subscribe("a/b", qos=0)
        await client.drop()
        properties: Properties = {"message_expiry_interval": 10}
        await memory.broker.publish("a/b", b"x", qos=1, properties=properties)
        await trio.sleep(20)
        client = await join(memory, "c", expiry=1_000, clean=False)
        await client.ping()
        await trio.testing.wait_all_tasks_blocked()
        assert storage.as_it_is()._messages == {}


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


class FullOnce(Slow):
    """A storage that cannot keep the first group."""

    async def append(self, changes: Changes) -> None:
        await self.may_keep.wait()
        if self.failure is None:
            self.failure = StoreError("The disk is full.")
            raise self.failure
        self.groups.append(copy.deepcopy(changes))


async def test_a_journal_that_ends_keeps_nothing_after_what_it_could_not_keep() -> None:
    storage = FullOnce()
    storage.wait()
    raised: list[StoreError] = []

    async def change(topic: str) -> None:
        journal.retained(Publish(topic, b"x", 1, True), 0.0, None)
        with pytest.raises(StoreError, match="ended before this was kept") as error:
            await journal.until_kept()
        raised.append(error.value)

    async def close() -> None:
        with pytest.raises(StoreError, match=r"^The disk is full\.$"):
            await journal.close()

    async with trio.open_nursery() as nursery:
        journal = Journal(storage)
        nursery.start_soon(journal.run)
        for topic in ("first", "second"):
            nursery.start_soon(change, topic)
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(close)
        await trio.testing.wait_all_tasks_blocked()
        storage.may_keep.set()
    assert [error.__cause__ for error in raised] == [storage.failure] * 2
    await change("after all")
    assert storage.groups == []


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


async def test_what_is_damaged_costs_itself_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        client = await join(memory, "c", expiry=100)
        await client.subscribe("gone", qos=1)
        other = Raw(memory.connect(), V5)
        properties: Properties = {"session_expiry_interval": 100}
        await other.connect("other", will=Will("gone", b"bye", 1), properties=properties)
        text: Properties = {"content_type": "text/plain"}
        await client.publish("t", b"waits", 1, properties=text)
        await client.publish("kept", b"1", 1, retain=True, properties=text)
        await client.publish("whose", b"2", 1, retain=True)
        found = storage.as_it_is()
    (number,) = found._messages
    found._messages[number] = found._messages[number]._replace(
        properties=b"\x05\xff\xff\xff\xff\xff"
    )
    found._retained["kept"] = found._retained["kept"]._replace(properties=b"\x80")
    found._retained["whose"] = found._retained["whose"]._replace(author='{"client')
    for session in found._sessions.values():
        if session.row.will is not None:
            session.row = session.row._replace(will=session.row.will[:3])
    async with broker_on(found) as memory:
        client = await join(memory, "s", expiry=NEVER, clean=False)
        assert (await client.expect_message("t", b"waits", 1)).properties == {}
        await client.subscribe("#")
        assert [message.payload for message in await client.take()] == [b"1"]
    assert caplog.text.count("damaged") == 4


async def test_what_was_queued_within_other_bounds_is_restored() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t/#", 1)
        for number in range(50):
            await memory.broker.publish(f"t/{number % 2}", b"%d" % number, qos=1)
            await trio.sleep(0.1)
        await trio.testing.wait_all_tasks_blocked()
        found = storage.as_it_is()
    limits = Limits(maximum_queued_messages=5)
    async with open_memory_broker(storage=found, limits=limits) as memory:
        client = await join(memory, "s", expiry=NEVER, clean=False)
        assert [int(message.payload) for message in await client.take()] == list(range(50))


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


async def test_who_has_gone_while_the_storage_fails_is_not_remembered() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        journal = core_of(memory.broker).journal
        assert journal is not None
        storage.failure = StoreError("The disk is full.")
        for number in range(10):
            client = Raw(memory.connect(), V5)
            properties: Properties = {"session_expiry_interval": 10}
            await client.send(Connect(f"c{number}", protocol_version=V5, properties=properties))
            await trio.sleep(1)
            await client.drop()
        await trio.sleep(60)  # longer than the time for a goodbye
        assert not journal._promises
        assert not journal._promises._keeping


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


async def test_the_time_of_who_was_connected_runs_once_however_many_brokers_end() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        client = Raw(memory.connect(), V5)
        will = Will("gone", b"bye", 1, properties={"will_delay_interval": 50})
        await client.connect("c", will=will, properties={"session_expiry_interval": 100})
        await join(memory, "for ever", expiry=NEVER)
        found = storage.as_it_is()
    async with broker_on(found):
        await trio.testing.wait_all_tasks_blocked()
        rows = {one.row.client_id: one.row for one in found.as_it_is()._sessions.values()}
        assert rows["for ever"].expires_at is None
        due_at, expires_at = rows["c"].will_due_at, rows["c"].expires_at
        assert due_at is not None
        assert expires_at is not None
        assert expires_at - due_at == pytest.approx(50)
        assert len(found.groups[0].sessions) == 1


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


async def test_who_needs_the_storage_is_told_so_while_it_fails() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        live = await join(memory, "live")
        await live.subscribe("live", "$share/g/shared", qos=2)
        kept, publisher = await join(memory, "kept", expiry=NEVER), await join(memory, "p")
        storage.failure = StoreError("The disk is full.")
        await publisher.send(Publish("t", b"waits until there is room", 1, packet_id=1))
        await publisher.expect_nothing(0.5)

        # What a message of QoS 2 needs is its identifier, and only where the session is kept.
        await kept.send(Publish("live", b"x", 2, packet_id=1))
        assert (await kept.expect(PubRec)).reason_code == ReasonCode.QUOTA_EXCEEDED
        assert await kept.subscribe("more") == [ReasonCode.QUOTA_EXCEEDED]
        await kept.publish("live", b"y", 1)
        await kept.ping()
        another = await join(memory, "another")
        await another.publish("live", b"z", 2)
        await another.publish("shared", b"1", 1)
        assert [one.payload for one in await live.take()] == [b"y", b"z", b"1"]

        for client_id, clean in (("new", True), ("s", False), ("s", True)):
            for version in (V5, V311):
                client = Raw(memory.connect(), version)
                clean_start = clean and (version == V5 or client_id == "s")
                connect = Connect(client_id, clean_start, 0, version)
                if version == V5 and not (clean and client_id == "s"):
                    connect.properties = {"session_expiry_interval": NEVER}
                await client.send(connect)
                answer = await client.expect(ConnAck)
                assert answer.reason_code == ReasonCode.SERVER_UNAVAILABLE

        storage.failure = None
        await publisher.expect(PubAck)
        assert await kept.subscribe("more") == [ReasonCode.SUCCESS]
        client = await join(memory, "s", expiry=NEVER, clean=False)
        assert [one.payload for one in await client.take()] == [b"waits until there is room"]


async def test_retained_messages_that_were_still_looked_for_come_from_the_next_broker() -> None:
    storage = Slow()
    limits = Limits(maximum_in_flight=10)
    async with open_memory_broker(storage=storage, limits=limits) as memory:
        for number in range(600):
            await memory.broker.publish(f"r/{number}", b"x", qos=1, retain=True)
        client = await join(memory, "s", expiry=NEVER)
        await client.send(Subscribe(1, [Subscription("r/#", qos=1)]))
        await client.expect(SubAck)
        await trio.testing.wait_all_tasks_blocked()
        assert len(storage.as_it_is()._messages) < 600
        # What is asked for now comes without any retained messages, and spares none of before.
        await client.send(Subscribe(2, [Subscription("r/#", qos=1, retain_handling=2)]))
        await trio.testing.wait_all_tasks_blocked()
        storage = storage.as_it_is()
    for _ in range(2):
        async with broker_on(storage) as memory:
            await trio.lowlevel.checkpoint()
    async with broker_on(storage) as memory:
        client = await join(memory, "s", expiry=NEVER, clean=False)
        messages = await client.take()
        assert {message.topic for message in messages} == {f"r/{number}" for number in range(600)}
        assert all(message.retain for message in messages)
        (row,) = (await storage.as_it_is().load()).subscriptions
        assert not row.searching
        journal = core_of(memory.broker).journal
        assert journal is not None
        assert not journal._searching


async def test_a_search_that_nobody_wants_any_more_is_not_begun_again() -> None:
    storage = Slow()
    limits = Limits(maximum_in_flight=10)
    async with open_memory_broker(storage=storage, limits=limits) as memory:
        for number in range(600):
            await memory.broker.publish(f"r/{number}", b"x", qos=1, retain=True)
        client = await join(memory, "s", expiry=NEVER)
        await client.send(Subscribe(1, [Subscription("r/#", qos=1)]))
        await client.expect(SubAck)
        await client.send(Unsubscribe(2, ["r/#"]))
        await trio.testing.wait_all_tasks_blocked()
        journal = core_of(memory.broker).journal
        assert journal is not None
        assert not journal._searching
    assert (await storage.as_it_is().load()).subscriptions == []


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


async def test_what_a_hook_has_replaced_is_refused_while_the_storage_fails() -> None:
    class Elsewhere(AccessHooks):
        async def authorize_publish(
            self, client: ClientInfo, publication: Publication
        ) -> Publication:
            return replace(publication, topic="t")

    storage = Slow()
    async with open_memory_broker(storage=storage, security=Security(hooks=Elsewhere())) as memory:
        await subscriber(memory, "t", 1)
        publisher, another = await join(memory, "p"), await join(memory, "another")
        storage.failure = StoreError("The disk is full.")
        await publisher.send(Publish("nobody", b"x", 1, packet_id=1))
        await publisher.expect_nothing(0.5)
        await another.send(Publish("nobody", b"x", 1, packet_id=1))
        assert (await another.expect(PubAck)).reason_code == ReasonCode.QUOTA_EXCEEDED
        storage.failure = None
        await publisher.expect(PubAck)


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
