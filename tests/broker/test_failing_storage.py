"""A storage that fails costs only those who need it; what comes meanwhile has its bounds."""

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
from trio_mqtt.protocol.packets import ConnAck, Connect, PingReq, PubAck, Publish, PubRec
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.storage.rows import Changes
from trio_mqtt.testing import MemoryBroker, open_memory_broker
from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.streams import SocketStream


async def test_retained_messages_that_come_and_go_meanwhile_leave_nothing_to_be_kept() -> None:
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "t", 1)
        publisher, live = await join(memory, "p"), await join(memory, "live")
        await publisher.publish("old", b"1", 1, retain=True)
        storage.failure = StoreError("The disk is full.")
        await publisher.send(Publish("t", b"waits", 1, packet_id=1))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(1_000):
            await live.publish(f"s/{number}", b"on", retain=True)
            await live.publish(f"s/{number}", b"", retain=True)
        await live.publish("s/again", b"1", retain=True)
        await live.publish("s/again", b"", retain=True)
        await live.publish("s/again", b"2", retain=True)
        await live.publish("old", b"", retain=True)
        await live.publish("old", b"2", retain=True)
        await live.publish("old", b"", retain=True)
        await live.ping()
        journal = core_of(memory.broker).journal
        assert journal is not None
        assert {topic: row and row.payload for topic, row in journal._changes.retained.items()} == {
            "s/again": b"2",
            "old": None,
        }
        storage.failure = None
        await publisher.expect(PubAck)
        await trio.testing.wait_all_tasks_blocked()
        assert {topic: row.payload for topic, row in storage.as_it_is()._retained.items()} == {
            "s/again": b"2"
        }


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


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("properties", [{}, {"user_property": [("not", "a run")]}])
@pytest.mark.parametrize("count", [5, 200])
async def test_who_is_refused_is_answered_in_the_order_of_what_was_sent(
    qos: int, properties: Properties, count: int
) -> None:
    """MQTT 5.0 §4.6: acknowledgements leave in the order in which the PUBLISH packets came."""
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "kept", 1)
        live, publisher = await join(memory, "live"), await join(memory, "p")
        await live.subscribe("live", qos=2)
        storage.failure = StoreError("The disk is full.")
        another = await join(memory, "another")
        await another.send(Publish("kept", b"waits until there is room", 1, packet_id=1))
        await another.expect_nothing(0.5)

        topics = {number: ("live", "kept")[number % 3 == 0] for number in range(1, count + 1)}
        await publisher.send(
            *(
                Publish(topic, b"%d" % number, qos, packet_id=number, properties=properties)
                for number, topic in topics.items()
            )
        )
        kind: type[PubAck | PubRec] = PubAck if qos == 1 else PubRec
        answers = [await publisher.expect(kind) for _ in topics]
        assert [answer.packet_id for answer in answers] == list(topics)
        refused = [one.packet_id for one in answers if one.reason_code.is_failure]
        assert refused == [number for number, topic in topics.items() if topic == "kept"]
        taken = [number for number, topic in topics.items() if topic == "live"]
        assert [int(one.payload) for one in await live.take()] == taken
        storage.failure = None
        await another.expect(PubAck)


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


@pytest.mark.parametrize("version", [V311, V5])
async def test_a_disk_that_takes_its_time_does_not_fill_the_memory(
    version: ProtocolVersion,
) -> None:
    """Whoever gets the messages is done with them; until they are kept, they stay all the same."""
    storage = Slow()
    size, limits = 10_000, Limits(maximum_in_flight_bytes=1_000_000)
    async with broker_on(storage, limits=limits) as memory:
        await subscriber(memory, "away", 1, "away")
        live = await join(memory, "live", expiry=NEVER)
        await live.subscribe("t", qos=1)
        publisher, other = Raw(memory.connect(), version), await join(memory, "other")
        await publisher.connect("publisher")
        await other.subscribe("q")
        storage.wait()
        for packet_id in (501, 502):  # one of them is with the storage, which has begun
            await publisher.send(Publish("away", b"x", 1, packet_id=packet_id))
            await trio.testing.wait_all_tasks_blocked()
        core = core_of(memory.broker)
        sent = 500

        async def publish() -> None:
            for number in range(sent):
                await publisher.send(Publish("t", bytes(size), 1, packet_id=1 + number))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            found = await live.take(0.5)
            assert 90 < len(found) < 110
            assert core.journal is not None
            runs = core.journal._changes.message_runs
            assert sum(len(run.messages) for run in runs.values()) < 110
            # Who needs no storage is not concerned.
            await other.publish("q", b"now")
            await other.expect_message("q", b"now")
            storage.may_keep.set()
            found += await live.take(0.5)
        assert len(found) == sent
        acknowledged = [one for one in await publisher.drain(0.5) if isinstance(one, PubAck)]
        assert len(acknowledged) == sent + 2
