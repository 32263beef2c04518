"""What a broker takes while its storage keeps nothing stays within bounds."""

from __future__ import annotations

import trio.testing

from tests.broker.slow_storage import Slow, broker_on, join, subscriber
from tests.inside import core_of
from trio_mqtt import StoreError
from trio_mqtt.protocol.packets import PubAck, Publish


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
