"""After a broker's sudden end, the next one has what was promised, and goes on with it."""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel
import trio.testing

from tests.broker.raw import V5, Raw
from tests.broker.slow_storage import Slow, broker_on, join, subscriber
from tests.inside import core_of
from trio_mqtt import Limits
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packets import PubAck, SubAck, Subscribe, Subscription, Unsubscribe, Will
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.testing import MemoryBroker, open_memory_broker


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


async def look_for_much(memory: MemoryBroker) -> Raw:
    """The client "s", for whom 600 retained messages are looked for: more than are in flight."""
    for number in range(600):
        await memory.broker.publish(f"r/{number}", b"x", qos=1, retain=True)
    client = await join(memory, "s", expiry=NEVER)
    await client.send(Subscribe(1, [Subscription("r/#", qos=1)]))
    await client.expect(SubAck)
    return client


async def test_retained_messages_that_were_still_looked_for_come_from_the_next_broker() -> None:
    storage = Slow()
    limits = Limits(maximum_in_flight=10)
    async with open_memory_broker(storage=storage, limits=limits) as memory:
        client = await look_for_much(memory)
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
        client = await look_for_much(memory)
        await client.send(Unsubscribe(2, ["r/#"]))
        await trio.testing.wait_all_tasks_blocked()
        journal = core_of(memory.broker).journal
        assert journal is not None
        assert not journal._searching
    assert (await storage.as_it_is().load()).subscriptions == []
