"""What happens where as much waits for a session as may, and who is told of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.broker.raw import V5, V311, Raw
from tests.inside import sessions_of
from tests.storage.in_loop import InLoop
from trio_mqtt import BrokerOptions, Limits, QueuePolicy
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.sessions.order import PIECE
from trio_mqtt.events import BrokerEvent, ClientDisconnected, EventStream, SlowConsumer
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

MOST = 20


@asynccontextmanager
async def serving(
    policy: QueuePolicy, *, storage: InLoop | None = None, **limits: int
) -> AsyncIterator[MemoryBroker]:
    async with open_memory_broker(
        limits=Limits(**{"maximum_queued_messages": MOST, **limits}),
        options=BrokerOptions(queue_policy=policy),
        storage=storage,
    ) as memory:
        yield memory


async def joined(
    memory: MemoryBroker,
    name: str,
    version: ProtocolVersion = V5,
    *,
    receive_maximum: int = 65_535,
    lockstep: bool = False,
) -> Raw:
    client = Raw(memory.connect(lockstep=lockstep), version)
    properties: Properties = {}
    if version == V5:
        properties = {"session_expiry_interval": 1_000, "receive_maximum": receive_maximum}
    await client.connect(name, clean_start=False, properties=properties)
    return client


async def away(memory: MemoryBroker, *filters: str) -> None:
    """A client that has subscribed, and is gone."""
    client = await joined(memory, "away")
    await client.subscribe(*filters, qos=1)
    await client.disconnect()


async def published(memory: MemoryBroker, first: int, last: int, topic: str = "t") -> None:
    """Publish the numbers, all in one read."""
    source = await joined(memory, "source")
    await source.send(*(Publish(topic, b"%d" % n, 1, packet_id=n) for n in range(first, last + 1)))
    await source.drain()
    await source.disconnect()


async def following(events: EventStream) -> BrokerEvent:
    async for event in events:
        return event
    raise AssertionError("the broker has ended")


async def waiting(memory: MemoryBroker) -> list[int]:
    client = await joined(memory, "away")
    return sorted(int(message.payload) for message in await client.take())


class TestDropNewest:
    async def test_what_came_first_stays(self) -> None:
        async with serving(QueuePolicy.DROP_NEWEST) as memory:
            await away(memory, "t")
            await published(memory, 1, 15)
            await published(memory, 16, 30)
            assert await waiting(memory) == list(range(1, MOST + 1))
            assert memory.broker.statistics.queue_drops == 10


class TestDropOldest:
    @pytest.mark.parametrize("at_once", [1, 3, 7, 20, 30, 200])
    async def test_what_came_last_stays(self, at_once: int) -> None:
        async with serving(QueuePolicy.DROP_OLDEST) as memory:
            await away(memory, "t")
            for first in range(1, 201, at_once):
                await published(memory, first, min(first + at_once - 1, 200))
            session = sessions_of(memory.broker)["away"]
            assert session.queued_messages == MOST
            assert await waiting(memory) == list(range(200 - MOST + 1, 201))
            assert memory.broker.statistics.queue_drops == 200 - MOST
            assert session.queued_messages == session.queued_bytes == 0
            assert memory.broker.statistics.queued_bytes == 0

    async def test_a_large_batch_goes_piece_by_piece(self) -> None:
        most = 10 * PIECE
        async with serving(QueuePolicy.DROP_OLDEST, maximum_queued_messages=most) as memory:
            await away(memory, "t")
            await published(memory, 1, most)
            for number in range(most + 1, most + 4):
                await published(memory, number, number)
            assert sessions_of(memory.broker)["away"].queued_messages == most
            assert await waiting(memory) == list(range(4, most + 4))

    async def test_the_oldest_of_all_subscriptions_goes(self) -> None:
        async with serving(QueuePolicy.DROP_OLDEST) as memory:
            await away(memory, "a", "b", "c")
            for number in range(1, 101):
                await published(memory, number, number, "abc"[number % 3])
            assert await waiting(memory) == list(range(81, 101))

    async def test_bytes_count_as_well(self) -> None:
        async with serving(
            QueuePolicy.DROP_OLDEST, maximum_queued_messages=1_000, maximum_queued_bytes=20_000
        ) as memory:
            await away(memory, "t")
            for number in range(1, 101):
                await published(memory, number, number)
            left = await waiting(memory)
            assert 10 < len(left) < 60
            assert left == list(range(101 - len(left), 101))

    async def test_what_is_larger_than_may_wait_at_all_is_dropped_itself(self) -> None:
        async with serving(QueuePolicy.DROP_OLDEST, maximum_queued_bytes=20_000) as memory:
            await away(memory, "t")
            await published(memory, 1, 3)
            source = await joined(memory, "source")
            await source.publish("t", b"x" * 30_000, 1)
            assert memory.broker.statistics.queue_drops == 1
            await published(memory, 4, 5)
            assert await waiting(memory) == [1, 2, 3, 4, 5]

    async def test_it_holds_for_one_that_is_connected_and_slow(
        self, version: ProtocolVersion
    ) -> None:
        async with serving(QueuePolicy.DROP_OLDEST, maximum_in_flight=1) as memory:
            client = await joined(memory, "c", version)
            await client.subscribe("t", qos=1)
            for first in range(1, 101, 10):
                await published(memory, first, first + 9)
            seen = []
            while messages := await client.messages():
                for message in messages:
                    seen.append(int(message.payload))
                    await client.send(PubAck(message.packet_id))
            assert seen == [1, *range(81, 101)]

    async def test_qos_0_makes_only_qos_0_go(self) -> None:
        async with serving(QueuePolicy.DROP_OLDEST, write_buffer=1_000) as memory:
            frozen = await joined(memory, "frozen", lockstep=True)
            await frozen.subscribe("t", qos=1)
            source = await joined(memory, "source")
            await source.publish("t", b"x" * 100_000)  # which it does not take
            await trio.testing.wait_all_tasks_blocked()
            await source.publish("t", b"held", 0)  # with which its task waits
            for number in range(20):
                await source.publish("t", b"0 %d" % number, 0)
            for number in range(5):
                await source.publish("t", b"1 %d" % number, 1)
            for number in range(20, 40):
                await source.publish("t", b"0 %d" % number, 0)
            left = [payload for payload in await frozen.payloads(1) if len(payload) < 100]
            ones = [payload for payload in left if payload.startswith(b"1 ")]
            assert ones == [b"1 %d" % number for number in range(5)]
            assert 5 < len(left) <= MOST // 2 + 1

    async def test_it_outlives_the_broker_as_it_is(self, tmp_path: Path) -> None:
        storage = InLoop(tmp_path)
        async with serving(QueuePolicy.DROP_OLDEST, storage=storage) as memory:
            await away(memory, "t")
            await published(memory, 1, 3)
            for first in range(4, 100, 7):
                await published(memory, first, first + 6)
        async with serving(QueuePolicy.DROP_OLDEST, storage=InLoop(tmp_path)) as memory:
            await published(memory, 102, 103)
            assert await waiting(memory) == [*range(84, 102), 102, 103]


class TestDisconnect:
    async def test_a_slow_one_is_told_and_its_session_stays(self, version: ProtocolVersion) -> None:
        async with serving(QueuePolicy.DISCONNECT, maximum_in_flight=1) as memory:
            client = await joined(memory, "away", version)
            await client.subscribe("t", qos=1)
            await published(memory, 1, 1)
            with memory.broker.events(ClientDisconnected) as events:
                await published(memory, 2, 30)
                told = await following(events)
            assert told == ClientDisconnected("away", "too much waits for it", "memory")
            await client.expect(Publish)
            await client.expect_disconnect(ReasonCode.QUOTA_EXCEEDED)
            assert memory.broker.statistics.slow_consumers_disconnected == 1
            assert await waiting(memory) == list(range(1, MOST + 2))

    async def test_who_comes_back_has_time_to_take_what_waits(
        self, version: ProtocolVersion
    ) -> None:
        """Its queue is full still: else it would be sent away before it has taken anything."""
        async with serving(QueuePolicy.DISCONNECT, maximum_in_flight=1) as memory:
            client = await joined(memory, "away", version)
            await client.subscribe("t", qos=1)
            await published(memory, 1, 30)
            await client.expect_disconnect(ReasonCode.QUOTA_EXCEEDED)
            again = await joined(memory, "away", version)
            first = await again.expect(Publish)
            for number in range(31, 60):
                await published(memory, number, number)
                await trio.sleep(1)
            await again.send(PubAck(first.packet_id))
            assert len(await again.take()) > MOST / 2
            await published(memory, 61, 61)
            assert [message.payload for message in await again.take()] == [b"61"]
            assert memory.broker.statistics.slow_consumers_disconnected == 1
            await trio.sleep(31)
            await published(memory, 62, 90)
            await again.expect_disconnect(ReasonCode.QUOTA_EXCEEDED)

    async def test_for_one_that_is_away_the_newest_is_dropped(self) -> None:
        async with serving(QueuePolicy.DISCONNECT) as memory:
            await away(memory, "t")
            await published(memory, 1, 30)
            assert await waiting(memory) == list(range(1, MOST + 1))


class TestSlowConsumers:
    async def test_one_is_told_of_once_a_minute(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "trio_mqtt.broker")
        async with serving(QueuePolicy.DROP_NEWEST, maximum_in_flight=1) as memory:
            client = await joined(memory, "slow", V311)
            await client.subscribe("t", qos=1)
            with memory.broker.events(SlowConsumer) as events:
                for number in range(1, 11):
                    await published(memory, number, number)
                assert memory.broker.statistics.slow_consumers == 0
                for number in range(11, 40):
                    await published(memory, number, number)
                    await trio.sleep(0.1)
                told = await following(events)
                assert isinstance(told, SlowConsumer)
                assert told.client_id == "slow"
                assert told.is_connected
                assert told.queued_messages > MOST / 2
                assert memory.broker.statistics.slow_consumers == 1
                await trio.sleep(60)
                await published(memory, 40, 41)
                again = await following(events)
                assert isinstance(again, SlowConsumer)
                assert again.queued_messages == MOST
            assert [one for one in caplog.messages if "'slow' takes less than" in one][1:]

    async def test_one_that_is_away_is_told_of_when_its_queue_is_full(self) -> None:
        async with serving(QueuePolicy.DROP_NEWEST) as memory:
            await away(memory, "t")
            with memory.broker.events(SlowConsumer) as events:
                await published(memory, 1, MOST)
                assert memory.broker.statistics.slow_consumers == 0
                await published(memory, 21, 22)
                told = await following(events)
            assert isinstance(told, SlowConsumer)
            assert (told.client_id, told.is_connected) == ("away", False)
            assert told.queued_messages == MOST


class TestRoomForAll:
    @pytest.mark.parametrize("qos", [0, 1])
    async def test_who_takes_what_comes_gets_it_though_others_fill_the_room_for_all(
        self, qos: int
    ) -> None:
        async with serving(
            QueuePolicy.DROP_NEWEST,
            maximum_queued_messages=1_000,
            maximum_queued_bytes_in_all=100_000,
            write_buffer=10_000,
        ) as memory:
            for number in range(10):
                silent = await joined(memory, f"silent{number}", lockstep=True)
                await silent.subscribe("t", qos=qos)
            source = await joined(memory, "source")
            for _ in range(100):
                await source.publish("t", b"x" * 1_000, qos)
            assert memory.broker.statistics.queue_drops > 0
            assert memory.broker.statistics.queued_bytes <= 200_000
            other = await joined(memory, "other")
            await other.subscribe("o", qos=qos)
            await source.send(
                *(Publish("o", b"x" * 100, qos, packet_id=n * qos) for n in range(1, 10))
            )
            assert len(await other.messages()) == 9

    async def test_a_full_queue_is_no_look_at_each_message(self) -> None:
        async with serving(QueuePolicy.DROP_NEWEST) as memory:
            await away(memory, "t")
            await published(memory, 1, MOST)
            session = sessions_of(memory.broker)["away"]
            looks = 0

            class Messages(list[Publish]):
                def __iter__(self) -> Iterator[Publish]:
                    nonlocal looks
                    looks += 1
                    return super().__iter__()

            batch = Batch(Messages(Publish("t", b"%d" % n, 1) for n in range(500)))
            before, target = looks, session.subscriptions["t"].target
            session.subscriptions["t"].offer(target, batch)
            assert memory.broker.statistics.queue_drops == 500
            assert looks <= before + 1  # to count those of QoS 0, once for all who are away
            session.subscriptions["t"].offer(target, batch)
            assert looks <= before + 1
