"""A read of many messages does what the same messages do that come one by one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.broker.conftest import in_virtual_time
from tests.broker.raw import V5, V311, Raw
from tests.inside import mounted_stream
from trio_mqtt import Security
from trio_mqtt.access import ClientInfo
from trio_mqtt.events import (
    BrokerEvent,
    MessageAcknowledged,
    MessageDelivered,
    MessagePublished,
    MessageRefused,
)
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, Publish, PubRec, PubRel, Subscription
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.testing import MemoryBroker, open_memory_broker

MOUNT_POINT = "m/"
TOPICS = ["a", "a/b", "a/c", "b", "x/secret", "x/hidden", "$own", "long/" + "ü" * 70]
FILTERS = ["#", "a/#", "+", "a/b", "x/+", "long/#", "a", "b", "$own"]
PROPERTIES: list[Properties] = [
    NO_PROPERTIES,
    {"message_expiry_interval": 60},
    {"user_property": [("a", "b")], "response_topic": "a/b"},
    {"topic_alias": 1},
]


class Rules:
    """Nobody may publish to one topic, and nobody receive another."""

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return not topic.endswith("x/secret")

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return True

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return not topic.endswith("x/hidden")


@dataclass(frozen=True)
class Subscriber:
    """A client with its subscriptions, and what it accepts."""

    version: ProtocolVersion
    subscriptions: tuple[Subscription, ...]
    identifier: int | None
    properties: Properties = field(default_factory=lambda: NO_PROPERTIES)
    is_mounted: bool = False
    is_away: bool = False
    # Shared subscriptions: which member gets a message may be another one, so all are alike.
    shared: bool = False


@dataclass(frozen=True)
class Case:
    """Who is there, and what is published."""

    publisher: ProtocolVersion
    is_mounted: bool
    own: Subscription | None
    subscribers: tuple[Subscriber, ...]
    messages: tuple[Publish, ...]
    has_rules: bool
    is_followed: bool


@dataclass
class Outcome:
    """What came of it."""

    received: dict[int, dict[tuple[str, int], list[object]]] = field(default_factory=dict)
    shared: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    answers: dict[type, list[object]] = field(default_factory=lambda: defaultdict(list))
    events: Counter[BrokerEvent] = field(default_factory=Counter)
    counted: dict[str, int] = field(default_factory=dict)


COUNTED = (
    "messages_received",
    "messages_sent",
    "messages_dropped",
    "payload_bytes_received",
    "payload_bytes_sent",
    "topics_refused",
    "deliveries_refused",
    "packets_received",
    "queued_bytes",
)

VERSIONS = st.sampled_from([V311, V5])
SUBSCRIPTIONS = st.builds(
    Subscription,
    st.sampled_from(FILTERS),
    st.integers(0, 2),
    no_local=st.booleans(),
    retain_as_published=st.booleans(),
)
MEMBERS = st.builds(
    lambda version, filters: Subscriber(
        version, tuple(Subscription(one, 1) for one in filters), None, shared=True
    ),
    VERSIONS,
    st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3, unique=True),
)
SUBSCRIBERS = st.builds(
    Subscriber,
    VERSIONS,
    st.lists(SUBSCRIPTIONS, min_size=1, max_size=3, unique_by=lambda one: one.topic_filter).map(
        tuple
    ),
    st.none() | st.integers(1, 3),
    st.sampled_from(
        [
            NO_PROPERTIES,
            {"receive_maximum": 2},
            {"maximum_packet_size": 120},
            {"topic_alias_maximum": 2},
        ]
    ),
    st.booleans(),
    st.booleans(),
)
PAYLOADS = st.builds(
    lambda one, size: one * size, st.sampled_from([b"\0", b"x"]), st.integers(0, 140)
)
MESSAGES = st.lists(
    st.builds(
        Publish,
        st.sampled_from(TOPICS),
        PAYLOADS,
        st.sampled_from([0, 0, 0, 1, 1, 2]),
        st.sampled_from([False, False, False, True]),
        properties=st.sampled_from([NO_PROPERTIES, NO_PROPERTIES, *PROPERTIES]),
    ),
    min_size=1,
    max_size=25,
)
# What travels in runs: of many topics, or of few, at one QoS or both.
PLAIN = st.tuples(
    st.lists(st.sampled_from(TOPICS), min_size=1, max_size=4),
    st.sampled_from([[0], [1], [2], [0, 1], [1, 2]]),
).flatmap(
    lambda chosen: st.lists(
        st.builds(Publish, st.sampled_from(chosen[0]), PAYLOADS, st.sampled_from(chosen[1])),
        min_size=1,
        max_size=80,
    )
)
# And what is of one length besides.
EQUAL = st.tuples(
    st.sampled_from([["a/b"], ["a", "b"], ["a/b", "a/c"], ["x/secret", "x/hidden"], ["$own"]]),
    PAYLOADS,
    st.integers(0, 2),
).flatmap(
    lambda chosen: st.lists(
        st.builds(Publish, st.sampled_from(chosen[0]), st.just(chosen[1]), st.just(chosen[2])),
        min_size=8,
        max_size=80,
    )
)
CASES = st.builds(
    Case,
    VERSIONS,
    st.booleans(),
    st.none() | SUBSCRIPTIONS,
    st.lists(SUBSCRIBERS | SUBSCRIBERS | MEMBERS, min_size=1, max_size=4).map(tuple),
    (MESSAGES | PLAIN | EQUAL).map(tuple),
    st.booleans(),
    st.booleans(),
)


def as_sent(case: Case) -> list[Publish]:
    """The messages with payloads that tell them apart, and what their version has."""
    messages = []
    alias_is_set = False
    is_on_one_topic = len({(one.topic, one.qos) for one in case.messages}) == 1
    for number, one in enumerate(case.messages):
        properties = one.properties if case.publisher == V5 else NO_PROPERTIES
        topic = one.topic
        if "topic_alias" in properties:
            topic = "" if alias_is_set and number % 2 else topic
            alias_is_set = True
        payload = b"%3d " % number + one.payload
        # A client may use one again that is in use, which is wrong: it is answered as often.
        is_again = one.qos > 0 and is_on_one_topic
        packet_id = (number // 2 if is_again else number) + 1 if one.qos else 0
        messages.append(
            Publish(
                topic,
                payload,
                one.qos,
                one.retain,
                packet_id=packet_id,
                properties=properties,
            )
        )
    return messages


def content(message: Publish) -> object:
    return message.payload, message.retain, sorted(message.properties.items(), key=str)


async def outcome_of(case: Case, *, at_once: bool) -> Outcome:
    """Publish it all, in one read or each message in a read of its own."""
    security = Security(access=Rules()) if case.has_rules else None
    kinds = (MessagePublished, MessageDelivered, MessageRefused, MessageAcknowledged)
    outcome = Outcome()
    async with open_memory_broker(security=security) as memory, trio.open_nursery() as nursery:

        def connected(version: ProtocolVersion, is_mounted: bool) -> Raw:
            if not is_mounted:
                return Raw(memory.connect(), version)
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(mounted_stream, memory.broker, theirs, MOUNT_POINT)
            return Raw(ours, version)

        if case.is_followed:
            with memory.broker.events(*kinds) as events:
                await converse(case, memory, connected, outcome, at_once=at_once)
            members = {f"s{number}" for number, one in enumerate(case.subscribers) if one.shared}
            async for event in events:
                if isinstance(event, (MessageDelivered, MessageAcknowledged)):
                    who = event.client_id
                    event = replace(event, client_id="a member" if who in members else who)
                outcome.events[event] += 1
        else:
            await converse(case, memory, connected, outcome, at_once=at_once)
        nursery.cancel_scope.cancel()
    return outcome


async def converse(
    case: Case,
    memory: MemoryBroker,
    connected: Callable[[ProtocolVersion, bool], Raw],
    outcome: Outcome,
    *,
    at_once: bool,
) -> None:
    clients: list[Raw] = []
    for number, one in enumerate(case.subscribers):
        client = connected(one.version, one.is_mounted)
        properties = one.properties if one.version == V5 else NO_PROPERTIES
        options: dict[str, Any] = {"clean_start": False, "expiry": 100} if one.is_away else {}
        await client.connect(f"s{number}", properties=properties, **options)
        await subscribe(client, one)
        if one.is_away:
            await client.drop()
        clients.append(client)
    publisher = connected(case.publisher, case.is_mounted)
    await publisher.connect("publisher")
    if case.own is not None:
        await publisher.subscribe(case.own)
    messages = as_sent(case)
    if at_once:
        await publisher.send(*messages)
    else:
        for message in messages:
            await publisher.send(message)
            await trio.testing.wait_all_tasks_blocked()
    for number, one in enumerate(case.subscribers):
        if one.is_away:
            clients[number] = connected(one.version, one.is_mounted)
            await clients[number].connect(f"s{number}", clean_start=False, expiry=100)
    await trio.testing.wait_all_tasks_blocked()
    for packet in await publisher.drain():
        if isinstance(packet, Publish):
            sent = outcome.received.setdefault(-1, defaultdict(list))
            sent[packet.topic, packet.qos].append(content(packet))
        else:
            outcome.answers[type(packet)].append(packet)
    for number, one in enumerate(case.subscribers):
        received = outcome.received.setdefault(number, defaultdict(list))
        for message in await taken(clients[number]):
            if one.shared:
                outcome.shared[message.topic, message.payload] += 1
            else:
                received[message.topic, message.qos].append(content(message))
    statistics = memory.broker.statistics
    outcome.counted = {name: getattr(statistics, name) for name in COUNTED}


async def subscribe(client: Raw, one: Subscriber) -> None:
    subscriptions = [
        Subscription(
            f"$share/g/{each.topic_filter}" if one.shared else each.topic_filter,
            each.qos,
            each.no_local and one.version == V5,
            each.retain_as_published and one.version == V5,
        )
        for each in one.subscriptions
    ]
    identifier = one.identifier if one.version == V5 else None
    await client.subscribe(*subscriptions, identifier=identifier)


async def taken(client: Raw) -> list[Publish]:
    """All messages that come, each acknowledged, with the topics that aliases stand for."""
    found = await client.take()
    topics: dict[int, str] = {}
    for message in found:
        properties = dict(message.properties)
        alias = properties.pop("topic_alias", None)
        if isinstance(alias, int):
            message.topic = topics.setdefault(alias, message.topic)
            topics[alias] = message.topic
        message.properties = properties  # type: ignore[assignment]  # a TypedDict without one key
    return found


@pytest.mark.normative("MQTT-4.6.0-5", "MQTT-4.6.0-6")
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=CASES)
def test_one_read_is_as_many_as_it_has_messages(case: Case) -> None:
    in_virtual_time(compare, case)


async def compare(case: Case) -> None:
    together = await outcome_of(case, at_once=True)
    apart = await outcome_of(case, at_once=False)
    assert together.received == apart.received
    assert together.shared == apart.shared
    assert together.events == apart.events
    assert together.counted == apart.counted
    for kind in (PubAck, PubRec, PubRel):
        assert together.answers[kind] == apart.answers[kind]
