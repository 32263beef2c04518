"""Brokers that end suddenly under clients, and what these were promised meanwhile."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from tests.broker.crash_clients import SHARED, Client, Grant, Sent, matches
from tests.broker.raw import V5, Raw
from tests.inside import core_of
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.sessions.delivery_state import in_flight_of
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import Changes
from trio_mqtt.testing import MemoryBroker, open_memory_broker

FILTERS = ["t/#", "t/+", "t/1", "t/2", "#"]
TOPICS = ["t/1", "t/2"]
SHARED_TOPIC = "s/1"


class Halting(MemoryStorage):
    """A storage that takes as long for each group as chance has it."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.is_quick = False

    async def append(self, changes: Changes) -> None:
        if not self.is_quick and self.chance.random() < 0.7:
            await trio.sleep(self.chance.random() * 0.05)
        await super().append(changes)

    def as_it_is(self) -> Halting:
        """What another broker would find, had this one ended just now."""
        found = Halting(self.chance)
        found._messages = self._messages.copy()
        found._sessions = copy.deepcopy(self._sessions)
        found._retained = self._retained.copy()
        return found


class Crashes:
    """Clients that publish and subscribe, while one broker after the other ends suddenly."""

    def __init__(self, chance: random.Random, limits: Limits | None = None) -> None:
        self.chance = chance
        self.limits = limits
        self.memory: MemoryBroker | None = None
        self.storage = Halting(chance)
        self.clients = [Client(f"c{n}") for n in range(4)]
        self.members = [Client(f"m{n}", is_member=True) for n in range(2)]
        self.all = self.clients + self.members
        self.step = 0
        self.published = 0
        self.publishers: dict[int, tuple[str, str]] = {}  # who has published a number, and where
        self.sent_again: set[int] = set()
        self.promised: dict[int, Sent] = {}

    @asynccontextmanager
    async def _broker(self) -> AsyncIterator[None]:
        storage = self.storage
        async with open_memory_broker(storage=storage, limits=self.limits) as memory:
            self.memory = memory
            try:
                yield
            finally:
                storage.is_quick = True

    async def run(self, brokers: int, steps: int) -> None:
        for number in range(brokers):
            async with self._broker():
                for _ in range(self.chance.randrange(1, steps)):
                    await self._do_something()
                if number < brokers - 1:
                    self.storage = self.storage.as_it_is()
                    self._lose_all()
        # (the last broker has ended in order)
        self._lose_all()
        async with self._broker():
            self.storage.is_quick = True
            for one in self.all:
                await self.connect(one)
            is_busy = True
            while is_busy:
                is_busy = False
                for one in self.all:
                    is_busy |= await self.hear(one)
                    is_busy |= bool(one.unanswered)
                    await self.answer(one, 1_000)
            self.check()
            await trio.testing.wait_all_tasks_blocked()
            assert self.memory is not None
            audit(self.memory, self.storage)

    def _lose_all(self) -> None:
        for one in self.all:
            self._lose(one)

    def _lose(self, one: Client) -> None:
        one.raw, one.is_connected = None, False
        one.unanswered.clear()
        one.asked.clear()

    async def _do_something(self) -> None:
        self.step += 1
        chance = self.chance
        one = chance.choice(self.all)
        roll = chance.random()
        if one.raw is None or roll < 0.03:
            await self.connect(one, clean=not one.is_member and chance.random() < 0.1)
        elif not one.is_connected:
            await self.hear(one)
        elif roll < 0.08:
            await one.raw.stream.aclose()
            self._lose(one)
        elif roll < 0.1 and not one.is_member:
            await self.goodbye(one)
        elif roll < 0.2:
            await self.subscribe(one)
        elif roll < 0.24:
            await self.unsubscribe(one)
        elif roll < 0.6:
            await self.publish(one)
        elif roll < 0.9:
            await self.hear(one)
            await self.answer(one, chance.randrange(4))
        elif roll < 0.95:
            await trio.sleep(chance.random() * 0.1)
        else:
            await trio.testing.wait_all_tasks_blocked()
            if self.is_quiet():
                assert self.memory is not None
                audit(self.memory, self.storage)

    def is_quiet(self) -> bool:
        assert self.memory is not None
        journal = core_of(self.memory.broker).journal
        assert journal is not None
        return journal.kept == journal.group - 1 and not journal._changes

    async def connect(self, one: Client, *, clean: bool = False) -> None:
        assert self.memory is not None
        older = one.raw
        self._lose(one)
        if clean:
            self._forget(one)
        clean = one.is_clean
        one.raw = Raw(self.memory.connect())
        properties: Properties = {
            "session_expiry_interval": NEVER,
            "receive_maximum": self.chance.choice([1, 2, 5, 100]),
        }
        await one.raw.send(Connect(one.name, clean, 0, V5, properties=properties))
        await trio.testing.wait_all_tasks_blocked()
        if older is not None:
            await older.stream.aclose()
        await self.hear(one)

    def _forget(self, one: Client) -> None:
        """The session ends, with all that was promised to it."""
        one.has_session = False
        one.is_clean = True
        one.grants.clear()
        one.accepted.clear()
        # Whether a message of QoS 2 was taken is not known any more.
        one.outgoing = {key: sent for key, sent in one.outgoing.items() if sent.qos == 1}

    async def goodbye(self, one: Client) -> None:
        assert one.raw is not None
        if self.chance.random() < 0.3:
            self._forget(one)
            await one.raw.send(Disconnect(properties={"session_expiry_interval": 0}))
        else:
            await one.raw.send(Disconnect())
        await trio.testing.wait_all_tasks_blocked()
        await one.raw.stream.aclose()
        self._lose(one)

    async def subscribe(self, one: Client) -> None:
        assert one.raw is not None
        topic_filter = self.chance.choice(FILTERS)
        if one.is_member and SHARED not in one.grants:
            topic_filter = SHARED
        qos = self.chance.randrange(1, 3)
        packet_id = one.packet_id()
        one.asked[packet_id] = topic_filter, qos
        await one.raw.send(Subscribe(packet_id, [Subscription(topic_filter, qos)]))
        await self._let_it_work()

    async def unsubscribe(self, one: Client) -> None:
        assert one.raw is not None
        filters = [each for each in one.grants if each != SHARED]
        if filters:
            topic_filter = self.chance.choice(sorted(filters))
            del one.grants[topic_filter]
            for packet_id, (asked, qos) in one.asked.items():
                if asked == topic_filter:
                    one.asked[packet_id] = "", qos  # which ends before it is known
            await one.raw.send(Unsubscribe(one.packet_id(), [topic_filter]))
            await self._let_it_work()

    async def publish(self, one: Client) -> None:
        assert one.raw is not None
        if len(one.outgoing) > 100:
            return
        for _ in range(self.chance.choice([1, 1, 3])):
            topic = self.chance.choice([*TOPICS, SHARED_TOPIC])
            qos = self.chance.randrange(3)
            self.published += 1
            self.publishers[self.published] = one.name, topic
            packet_id = one.packet_id() if qos else 0
            if qos:
                one.outgoing[packet_id] = Sent(self.published, topic, qos, self.step)
            await one.raw.send(Publish(topic, b"%d" % self.published, qos, packet_id=packet_id))
        await self._let_it_work()

    async def _let_it_work(self) -> None:
        if self.chance.random() < 0.5:
            await trio.testing.wait_all_tasks_blocked()

    async def hear(self, one: Client) -> bool:
        assert one.raw is not None
        await trio.testing.wait_all_tasks_blocked()
        packets = await one.raw.drain(0.001)
        for packet in packets:
            await self._take(one, packet)
        return bool(packets)

    async def _take(self, one: Client, packet: Packet) -> None:
        if isinstance(packet, ConnAck):
            await self._accepted(one, packet)
        elif isinstance(packet, SubAck):
            topic_filter, qos = one.asked.pop(packet.packet_id)
            if topic_filter and topic_filter not in one.grants:
                one.grants[topic_filter] = Grant(qos, self.step)
        elif isinstance(packet, PubAck):
            self._promise(one.outgoing.pop(packet.packet_id))
        elif isinstance(packet, PubRec):
            sent = one.outgoing[packet.packet_id]
            sent.is_received = True
            self._promise(sent)
            one.unanswered.append(PubRel(packet.packet_id))
        elif isinstance(packet, PubComp):
            del one.outgoing[packet.packet_id]
        elif isinstance(packet, PubRel):
            one.accepted.discard(packet.packet_id)
            one.unanswered.append(PubComp(packet.packet_id))
        elif isinstance(packet, Publish):
            if packet.qos == 2:
                one.unanswered.append(PubRec(packet.packet_id))
                if packet.packet_id in one.accepted:
                    return
                one.accepted.add(packet.packet_id)
            elif packet.qos == 1:
                one.unanswered.append(PubAck(packet.packet_id))
            one.received.append((int(packet.payload), packet.qos))

    async def _accepted(self, one: Client, packet: ConnAck) -> None:
        assert one.raw is not None
        assert packet.session_present or not one.has_session
        assert packet.session_present is not one.is_clean
        one.is_connected = one.has_session = True
        one.is_clean = False
        outgoing, one.outgoing = one.outgoing, {}
        for packet_id, sent in outgoing.items():
            if sent.is_received:
                one.outgoing[packet_id] = sent
                await one.raw.send(PubRel(packet_id))
                continue
            one.outgoing[packet_id] = sent
            again = Publish(sent.topic, b"%d" % sent.number, sent.qos, packet_id=packet_id)
            again.dup = packet.session_present
            self.sent_again.add(sent.number)
            await one.raw.send(again)

    def _promise(self, sent: Sent) -> None:
        self.promised[sent.number] = sent

    async def answer(self, one: Client, count: int) -> None:
        assert one.raw is not None
        for _ in range(min(count, len(one.unanswered))):
            await one.raw.send(one.unanswered.pop(0))

    def check(self) -> None:
        """Everybody has got what was promised, in order, and at QoS 2 once."""
        for one in self.all:
            assert one.is_connected, one.name
            self._check_client(one)
        shared = [number for one in self.members for number, _ in one.received]
        if all(SHARED in one.grants for one in self.members):
            since = min(one.grants[SHARED].since for one in self.members)
            for number, sent in self.promised.items():
                if sent.topic == SHARED_TOPIC and since < sent.sent_at:
                    assert number in shared, (number, sent)

    def _check_client(self, one: Client) -> None:
        counts = Counter(one.received)
        got = {number for number, _ in counts}
        for number, sent in self.promised.items():
            since = [grant.since for each, grant in one.grants.items() if matches(each, sent.topic)]
            if since and min(since) < sent.sent_at:
                assert number in got, (one.name, number, sent)
        if one.is_member:
            return  # by the shared subscription it gets what others have left as well
        once = [number for (number, qos), count in counts.items() if qos == 2 and count > 1]
        assert not once, (one.name, once)
        in_order: dict[tuple[str, str, int], list[int]] = {}
        for number, qos in counts:
            if number in self.sent_again:
                continue  # after those that came after it, perhaps
            in_order.setdefault((*self.publishers[number], qos), []).append(number)
        for key, numbers in in_order.items():
            assert numbers == sorted(numbers), (one.name, key, numbers)


def audit(memory: MemoryBroker, storage: MemoryStorage) -> None:
    """What is kept is what the broker has in memory, and nothing else."""
    core = core_of(memory.broker)
    journal = core.journal
    assert journal is not None
    holders: dict[int, int] = {}
    sessions = {one.number: one for one in core.sessions.all() if one.journal is not None}
    assert sessions.keys() == storage._sessions.keys()
    for number, session in sessions.items():
        kept = storage._sessions[number]
        assert kept.row.client_id == session.client_id
        assert set(kept.subscriptions) == set(session.subscriptions)
        for topic_filter, row in kept.subscriptions.items():
            assert row.qos == session.subscriptions[topic_filter].target.qos
        assert set(kept.identifiers) == set(session.receiver.accepted)
        expected: list[tuple[int, int, int, int]] = []  # number, packet identifier, QoS, released
        for packet_id, (qos, item) in session.sender.in_flight.items():
            number = in_flight_of(packet_id, item)[4]
            if number:
                expected.append((number, packet_id, qos, 0))
        expected += [
            (in_flight_of(packet_id, item)[4], packet_id, 2, 1)
            for packet_id, item in session.sender.released.items()
        ]
        waiting: list[tuple[int, int, int, int]] = []
        for subscription in session.subscriptions.values():
            batches = [(*each, 0) for each in subscription._waiting]
            if subscription._current is not None:
                batches.insert(0, (*subscription._current, subscription._at))
            for target, batch, at in batches:
                for index in range(at, batch.count):
                    qos = min(target.qos, batch.messages[index].qos)
                    if qos:
                        assert batch.number, (session.client_id, batch.messages[index])
                        waiting.append((batch.number + index, 0, qos, 0))
        rows = sorted(
            (row.message, row.packet_id, row.qos, row.is_released)
            for row in kept.deliveries.values()
        )
        assert rows == sorted(expected + waiting), session.client_id
        for each, _, _, is_released in rows:
            if not is_released:
                holders[each] = holders.get(each, 0) + 1
    assert holders.keys() == storage._messages.keys()
    assert {key: count for key, count in holders.items() if count > 1} == journal._holders
