"""A conversation in which chance decides, and a simple model of what the standard promises."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import trio
import trio.testing

from tests.broker.raw import V5, V311, Raw
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
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
from trio_mqtt.testing import MemoryBroker

FILTERS = ["t/#", "t/+", "t/1", "t/2", "#"]
TOPICS = ["t/1", "t/2"]
SHARED = "$share/group/t/#"
EXPIRY = 10  # seconds that a session of MQTT 5 outlives its connection
NEVER = 0xFFFF_FFFF


@dataclass
class Subscriber:
    """A client that acknowledges when it likes, as a model sees it."""

    name: str
    version: ProtocolVersion
    raw: Raw | None = None
    granted: dict[str, int] = field(default_factory=dict)
    received: list[Publish] = field(default_factory=list)
    accepted: set[int] = field(default_factory=set)  # QoS 2, until PUBREL
    unanswered: list[PubAck | PubRec | PubComp] = field(default_factory=list)
    # What is owed at QoS 1 and 2, by topic, in order of publishing.
    owed: list[tuple[str, int, int]] = field(default_factory=list)
    # A member of the shared subscription has that one alone, and keeps it.
    member: bool = False

    @property
    def expires(self) -> bool:
        return self.version == V5 and not self.member


class Conversation:
    """A publisher, three subscribers and the two members of a shared subscription.

    They come and go, take their sessions over, let them expire, subscribe, unsubscribe, publish at
    every QoS and acknowledge late, as `chance` has it.
    """

    def __init__(self, memory: MemoryBroker, chance: random.Random) -> None:
        self.memory = memory
        self.random = chance
        self.members = [Subscriber(f"m{n}", V5, member=True) for n in range(2)]
        self.subscribers = [Subscriber(f"s{n}", V5 if n % 2 else V311) for n in range(3)]
        self.clients = self.subscribers + self.members
        self.publisher: Raw | None = None
        self.published = 0
        self.shared: dict[int, int] = {}  # what the members are owed: number and QoS

    async def run(self, steps: int) -> None:
        self.publisher = Raw(self.memory.connect())
        await self.publisher.connect("publisher")
        for one in self.members:
            await self.connect(one)
            await self.subscribe_to(one, SHARED, 2)
        for _ in range(steps):
            one = self.random.choice(self.clients)
            roll = self.random.random()
            if one.raw is None or roll < 0.05:
                await self.connect(one)
            elif roll < 0.1:
                await one.raw.drop()
                one.raw = None
            elif roll < 0.11:
                await self.wait_for_expiry()
            elif roll < 0.2 and not one.member:
                await self.subscribe(one)
            elif roll < 0.25 and not one.member:
                await self.unsubscribe(one)
            elif roll < 0.6:
                await self.publish()
            elif roll < 0.9:
                await self.hear(one)
                await self.answer(one, self.random.randrange(4))
            else:
                await self.hear(one)
        for one in self.clients:
            await self.connect(one)
        while any([one.unanswered or await self.hear(one) for one in self.clients]):
            for one in self.clients:
                await self.answer(one, 1_000)

    async def connect(self, one: Subscriber) -> None:
        """Come back, or take over the session, with another receive maximum."""
        if one.raw is not None:
            await self.hear(one)
        older, one.raw = one.raw, Raw(self.memory.connect(), one.version)
        maximum = self.random.choice([1, 2, 5, 100])
        expiry = EXPIRY if one.expires else NEVER
        properties = {"session_expiry_interval": expiry, "receive_maximum": maximum}
        await one.raw.send(
            Connect(one.name, False, 0, one.version,
                    properties=properties if one.version == V5 else {})  # type: ignore[arg-type]  # a subset
        )  # fmt: skip
        await one.raw.expect(ConnAck)
        if older is not None:
            await older.drop()
        # Answers that were not given are lost: the broker asks again.
        one.unanswered.clear()

    async def subscribe(self, one: Subscriber) -> None:
        await self.subscribe_to(one, self.random.choice(FILTERS), self.random.randrange(3))

    async def subscribe_to(self, one: Subscriber, topic_filter: str, qos: int) -> None:
        assert one.raw is not None
        await one.raw.send(Subscribe(1, [Subscription(topic_filter, qos)]))
        await self.hear(one, SubAck)
        one.granted[topic_filter] = qos

    async def unsubscribe(self, one: Subscriber) -> None:
        assert one.raw is not None
        if not one.granted:
            return
        topic_filter = self.random.choice(sorted(one.granted))
        await one.raw.send(Unsubscribe(2, [topic_filter]))
        await self.hear(one)
        del one.granted[topic_filter]
        for topic in TOPICS:
            if not self.qos(one, topic):
                # Nothing is promised any more but what is in flight.
                one.owed = [owed for owed in one.owed if owed[0] != topic]

    async def wait_for_expiry(self) -> None:
        """Let time pass until the sessions of those who are away have ended."""
        await trio.sleep(EXPIRY + 1)
        for one in self.subscribers:
            if one.raw is None and one.expires:
                one.granted.clear()
                one.owed.clear()
                one.accepted.clear()

    def qos(self, one: Subscriber, topic: str) -> int:
        """The highest QoS granted for a topic; 0 if there is none."""
        matching = {"t/#", "t/+", "#", topic}
        return max((q for f, q in one.granted.items() if f in matching), default=0)

    async def publish(self) -> None:
        assert self.publisher is not None
        topic, qos = self.random.choice(TOPICS), self.random.randrange(3)
        self.published += 1
        await self.publisher.publish(topic, b"%d" % self.published, qos)
        if qos:
            self.shared[self.published] = qos
        for one in self.subscribers:
            granted = min(qos, self.qos(one, topic))
            if granted:
                one.owed.append((topic, granted, self.published))

    async def hear(self, one: Subscriber, until: type[SubAck] | None = None) -> bool:
        """Take what comes; whether anything did."""
        assert one.raw is not None
        await trio.testing.wait_all_tasks_blocked()
        packets = await one.raw.drain(0.001)
        for packet in packets:
            if isinstance(packet, Publish):
                if packet.qos == 1:
                    one.received.append(packet)
                    one.unanswered.append(PubAck(packet.packet_id))
                elif packet.qos == 2:
                    if packet.packet_id not in one.accepted:
                        one.accepted.add(packet.packet_id)
                        one.received.append(packet)
                    one.unanswered.append(PubRec(packet.packet_id))
                else:
                    one.received.append(packet)
            elif isinstance(packet, PubRel):
                one.accepted.discard(packet.packet_id)
                one.unanswered.append(PubComp(packet.packet_id))
        assert until is None or any(isinstance(packet, until) for packet in packets)
        return bool(packets)

    async def answer(self, one: Subscriber, count: int) -> None:
        assert one.raw is not None
        for _ in range(min(count, len(one.unanswered))):
            await one.raw.send(one.unanswered.pop(0))

    def check(self) -> None:
        """Everybody got what was promised."""
        for one in self.subscribers:
            self.check_subscriber(one)
        got = [int(m.payload) for one in self.members for m in one.received if m.qos]
        assert set(got) == set(self.shared)
        for number, qos in self.shared.items():
            assert qos == 1 or got.count(number) == 1  # exactly once, whoever it went to

    def check_subscriber(self, one: Subscriber) -> None:
        seen: dict[tuple[str, int], list[int]] = {}
        for message in one.received:
            seen.setdefault((message.topic, message.qos), []).append(int(message.payload))
        for (_, qos), numbers in seen.items():
            first: list[int] = list(dict.fromkeys(numbers))
            assert first == sorted(first)  # in order, but for repetitions
            if qos != 1:
                assert len(first) == len(numbers)  # at most, or exactly, once
        got = {(m.topic, int(m.payload)): m.qos for m in one.received}
        for topic, _, number in one.owed:
            assert (topic, number) in got  # at least once
