"""What a broker leaves in its storage, and the next one restores."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import Holdings, Security, SqliteStorage, open_broker
from trio_mqtt.access import AccessHooks, ClientInfo, SubscriptionRequest
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel, Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import Changes, Kept, Progress
from trio_mqtt.testing import MemoryBroker, open_memory_broker


@asynccontextmanager
async def broker_on(storage: MemoryStorage) -> AsyncIterator[MemoryBroker]:
    async with open_memory_broker(storage=storage) as memory:
        yield memory


async def join(memory: MemoryBroker, client_id: str, *, expiry: int = 0, clean: bool = True) -> Raw:
    client = Raw(memory.connect(), V5)
    await client.connect(
        client_id, clean_start=clean, properties={"session_expiry_interval": expiry}
    )
    return client


async def test_retained_messages_outlive_the_broker() -> None:
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        client = await join(memory, "p")
        await client.publish("kept", b"1", 1, retain=True, properties={"content_type": "x"})
        await client.publish("gone", b"2", 1, retain=True)
    async with broker_on(storage) as memory:
        client = await join(memory, "p")
        await client.publish("gone", b"", 1, retain=True)
    async with broker_on(storage) as memory:
        client = await join(memory, "s")
        await client.subscribe("#", qos=1)
        message = await client.expect_message("kept", b"1", 1)
        assert message.retain
        assert message.properties == {"content_type": "x"}
        await client.ping()


async def test_a_session_goes_on_with_what_waited_for_it() -> None:
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        client = await join(memory, "s", expiry=NEVER)
        await client.subscribe("t/+", qos=2)
        await client.disconnect()
        publisher = await join(memory, "p")
        for number, qos in enumerate((1, 2, 0, 1)):
            await publisher.publish(f"t/{number}", b"%d" % number, qos)
    async with broker_on(storage) as memory:
        assert memory.broker.statistics.sessions == 1
        publisher = await join(memory, "p")
        await publisher.publish("t/9", b"9", 1)
        client = await join(memory, "s", expiry=NEVER, clean=False)
        for number, qos in ((0, 1), (1, 2), (3, 1), (9, 1)):
            message = await client.expect_message(f"t/{number}", b"%d" % number, qos)
            assert not message.dup


async def test_what_was_in_flight_is_sent_again() -> None:
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        client = await join(memory, "s", expiry=100)
        await client.subscribe("t", qos=2, identifier=7)
        publisher = await join(memory, "p")
        await publisher.publish("t", b"1", 1)
        await publisher.publish("t", b"2", 2)
        first = await client.expect_message("t", b"1", 1)
        second = await client.expect_message("t", b"2", 2)
        await client.send(PubRec(second.packet_id))
        await client.expect(PubRel)
    async with broker_on(storage) as memory:
        client = await join(memory, "s", expiry=100, clean=False)
        assert await client.expect(PubRel) == PubRel(second.packet_id)
        again = await client.expect_message("t", b"1", 1)
        assert (again.dup, again.packet_id) == (True, first.packet_id)
        assert again.properties == {"subscription_identifier": [7]}
        await client.send(PubComp(second.packet_id), PubAck(first.packet_id))
        await client.ping()


async def test_a_message_of_qos_2_is_not_taken_twice() -> None:
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        subscriber = await join(memory, "s", expiry=NEVER)
        await subscriber.subscribe("t", qos=1)
        publisher = await join(memory, "p", expiry=NEVER)
        await publisher.send(Publish("t", b"once", 2, packet_id=5))
        await publisher.expect(PubRec)
        message = await subscriber.expect_message("t", b"once", 1)
        await subscriber.send(PubAck(message.packet_id))
        await subscriber.ping()
    async with broker_on(storage) as memory:
        subscriber = await join(memory, "s", expiry=NEVER, clean=False)
        publisher = await join(memory, "p", expiry=NEVER, clean=False)
        await publisher.send(Publish("t", b"once", 2, dup=True, packet_id=5))
        await publisher.expect(PubRec)
        await publisher.send(PubRel(5))
        assert (await publisher.expect(PubComp)).reason_code == ReasonCode.SUCCESS
        await subscriber.ping()


async def test_time_goes_on_between_two_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage()
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + trio.current_time())
    async with broker_on(storage) as memory:
        for client_id, expiry in (("short", 10), ("long", 100), ("for ever", NEVER)):
            client = await join(memory, client_id, expiry=expiry)
            await client.subscribe("t", qos=1)
        publisher = await join(memory, "p")
        for topic, interval in (("early", 10), ("late", 100)):
            properties = {"message_expiry_interval": interval}
            await publisher.publish(topic, b"x", 1, retain=True, properties=properties)  # type: ignore[arg-type]
    await trio.sleep(50)
    async with broker_on(storage) as memory:
        assert [s.client_id for s in core_of(memory.broker).sessions.all()] == ["long", "for ever"]
        client = await join(memory, "s")
        await client.subscribe("#", qos=1)
        message = await client.expect_message("late", b"x", 1)
        assert message.properties == {"message_expiry_interval": 50}
        await client.disconnect()
        await trio.sleep(51)
        assert [s.client_id for s in core_of(memory.broker).sessions.all()] == ["for ever"]
    assert [one.client_id for one in (await storage.load()).sessions] == ["for ever"]


@pytest.mark.parametrize("was_set_by", [1e7, -1e7])
async def test_what_is_left_is_the_same_though_the_time_of_day_is_set(
    was_set_by: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = MemoryStorage()
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + trio.current_time())
    async with broker_on(storage) as memory:
        await waiting_until(memory, "before", 100)
        wall += was_set_by
        await waiting_until(memory, "after", 100)
        await trio.sleep(40)
    async with broker_on(storage) as memory:
        wall -= was_set_by  # nothing is kept after this, and who looks has no session that is kept
        await trio.sleep(40)
        assert memory.broker.restored == Holdings(sessions=2, messages=2, retained=2)
    async with broker_on(storage) as memory:
        client = await join(memory, "look")
        await client.subscribe("#")
        left = [message.properties for message in await client.take()]
        assert left == [{"message_expiry_interval": 20}] * 2
        for client_id in ("before", "after"):
            client = await join(memory, client_id, clean=False)
            (message,) = await client.take()
            assert message.properties == {"message_expiry_interval": 20}


async def waiting_until(memory: MemoryBroker, name: str, seconds: int) -> None:
    """A session, a message that waits in it, and a retained one, that expire together."""
    client = await join(memory, name, expiry=seconds)
    await client.subscribe(f"to/{name}", qos=1)
    await client.disconnect()
    publisher = await join(memory, "p")
    for topic, retain in ((f"to/{name}", False), (f"kept/{name}", True)):
        await publisher.publish(
            topic, b"x", 1, retain=retain, properties={"message_expiry_interval": seconds}
        )
    await publisher.disconnect()


async def test_nothing_lasts_longer_than_it_was_to_for_a_clock_that_is_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        await waiting_until(memory, "s", 100)
    wall = time.time() - 1e7
    monkeypatch.setattr(time, "time", lambda: wall + trio.current_time())
    async with broker_on(storage) as memory:
        await trio.sleep(99)
        assert memory.broker.holdings() == Holdings(sessions=1, messages=1, retained=1)
        await trio.sleep(32)
        assert memory.broker.holdings() == Holdings()


async def test_numbers_that_something_is_left_of_are_not_given_again() -> None:
    class Full(MemoryStorage):
        async def load(self, progress: Progress | None = None) -> Kept:
            return (await super().load(progress))._replace(last_session=7)

    async with broker_on(Full()) as memory:
        await join(memory, "s", expiry=NEVER)
        assert [one.number for one in core_of(memory.broker).sessions.all()] == [8]


async def test_a_subscription_is_known_by_all_filters_that_a_hook_made_it_of() -> None:
    class Same(AccessHooks):
        async def authorize_subscribe(
            self, client: ClientInfo, request: SubscriptionRequest
        ) -> SubscriptionRequest:
            return replace(request, topic_filter="t")

    storage, security = MemoryStorage(), Security(hooks=Same())
    for _ in range(2):  # and to the one after that
        async with open_memory_broker(storage=storage, security=security) as memory:
            client = await join(memory, "s", expiry=NEVER, clean=False)
            if not memory.broker.restored.sessions:
                await client.subscribe("a", "b", qos=1)
            await client.disconnect()
    for asked in ("a", "b"):
        async with open_memory_broker(storage=storage, security=security) as memory:
            client = await join(memory, "s", expiry=NEVER, clean=False)
            assert await client.unsubscribe(asked) == [ReasonCode.SUCCESS]
            await client.subscribe("a", "b", qos=1)


async def test_sessions_of_mqtt_3_are_kept_too() -> None:
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        client = Raw(memory.connect(), V311)
        await client.connect("old", clean_start=False)
        await client.subscribe("t", qos=1)
        other = Raw(memory.connect(), V311)
        await other.connect("other", clean_start=True)
    async with broker_on(storage) as memory:
        assert [s.client_id for s in core_of(memory.broker).sessions.all()] == ["old"]
        await memory.broker.publish("t", "x", qos=1)
        client = Raw(memory.connect(), V311)
        connack = await client.connect("old", clean_start=False)
        assert connack.session_present
        await client.expect_message("t", b"x", 1)


async def test_wills_are_kept_as_what_they_became() -> None:
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        watcher = await join(memory, "watcher", expiry=NEVER)
        await watcher.subscribe("gone", qos=1)
        await watcher.disconnect()
        client = Raw(memory.connect(), V311)
        await client.connect("c", will=Will("gone", b"bye", 1))
    async with broker_on(storage) as memory:
        watcher = await join(memory, "watcher", expiry=NEVER, clean=False)
        await watcher.expect_message("gone", b"bye", 1)


@pytest.mark.parametrize("is_connected", [True, False])
async def test_a_will_that_waits_goes_on_waiting_in_the_next_broker(is_connected: bool) -> None:
    storage = MemoryStorage()
    will = Will("gone", b"bye", 1, properties={"will_delay_interval": 60})
    async with broker_on(storage) as memory:
        watcher = await join(memory, "watcher", expiry=NEVER)
        await watcher.subscribe("gone", qos=1)
        for client_id in ("c", "back"):
            client = Raw(memory.connect(), V5)
            await client.connect(client_id, expiry=NEVER, will=will)
            if not is_connected:
                await client.drop()
        await watcher.expect_nothing()
    async with broker_on(storage) as memory:
        watcher = await join(memory, "watcher", expiry=NEVER, clean=False)
        await join(memory, "back", expiry=NEVER, clean=False)
        await watcher.expect_nothing(50)
        with trio.fail_after(60):
            await watcher.expect_message("gone", b"bye", 1)
        await watcher.expect_nothing(60)


class Broken(MemoryStorage):
    async def append(self, changes: Changes) -> None:
        raise OSError("a defect")


async def test_a_storage_with_a_defect_is_not_a_silent_loss() -> None:
    with pytest.raises(OSError, match="a defect"):
        async with broker_on(Broken()) as memory:
            await memory.broker.publish("t", "x", retain=True)


async def test_a_broker_says_what_it_holds_and_what_was_restored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "trio_mqtt.broker")
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        assert memory.broker.restored == memory.broker.holdings() == Holdings()
        for client_id in ("s", "never again"):
            client = Raw(memory.connect(), V5)
            await client.connect(
                client_id,
                clean_start=False,
                properties={
                    "session_expiry_interval": NEVER if client_id == "s" else 0,
                    "receive_maximum": 2,
                },
            )
            await client.subscribe("t", qos=1)
        await memory.broker.publish("r", "x", retain=True)
        for number in range(5):
            await memory.broker.publish("t", str(number), qos=1)
        assert memory.broker.holdings() == Holdings(sessions=1, messages=5, retained=1)
    told: list[float] = []
    async with open_memory_broker(storage=storage) as memory:
        assert memory.broker.restored == memory.broker.holdings() == Holdings(1, 5, 1)
    expected = "Restored 1 session, 5 messages on their way to them and 1 retained message in "
    assert any(record.getMessage().startswith(expected) for record in caplog.records)
    async with open_broker("mqtt://127.0.0.1:0", storage=storage, progress=told.append):
        assert told == [pytest.approx(0.3)]


async def test_progress_goes_from_nothing_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_mqtt.broker.persistence.AT_ONCE", 1)
    storage = MemoryStorage()
    async with broker_on(storage) as memory:
        for number in range(4):
            await memory.broker.publish(f"r/{number}", "x", retain=True)
    told: list[float] = []
    async with open_broker("mqtt://127.0.0.1:0", storage=storage, progress=told.append):
        assert told == pytest.approx([0.3, 0.475, 0.65, 0.825, 1.0])


async def test_who_gives_up_opening_a_broker_has_let_go_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_mqtt.broker.persistence.AT_ONCE", 1)
    file = tmp_path / "broker.sqlite3"
    async with open_memory_broker(storage=SqliteStorage(file, "commit")) as memory:
        for number in range(3):
            await memory.broker.publish(f"r/{number}", "x", qos=1, retain=True)
    with trio.CancelScope() as scope:

        def give_up(done: float) -> None:
            if done > 0.5:
                scope.cancel()

        async with open_broker(
            "mqtt://127.0.0.1:0", storage=SqliteStorage(file, "commit"), progress=give_up
        ):
            pytest.fail("it was given up")
    assert scope.cancelled_caught
    async with open_memory_broker(storage=SqliteStorage(file, "commit")) as memory:
        assert memory.broker.restored == Holdings(retained=3)


async def test_a_broker_that_is_cancelled_while_its_storage_is_read_ends() -> None:
    class SlowToRead(MemoryStorage):
        is_closed = False

        async def load(self, progress: Progress | None = None) -> Kept:
            scope.cancel()
            with trio.CancelScope(shield=True):  # as a thread cannot be interrupted
                await trio.sleep(10)
                self.kept = await super().load()
            return self.kept

        async def close(self) -> None:
            self.is_closed = True
            await super().close()

    storage = SlowToRead()
    with trio.CancelScope() as scope:
        async with open_memory_broker(storage=storage):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert storage.is_closed
