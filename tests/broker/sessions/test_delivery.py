"""How messages travel: QoS, order, wildcards, properties (MQTT 5.0 §3.3, §4.3, §4.6, §4.7)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, V31, V311
from tests.inside import core_of, has_filters, links_of
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel, Subscription
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import topic_matches_filter


@pytest.fixture
def options() -> BrokerOptions:
    """Topics below $SYS are the tests' own."""
    return BrokerOptions(system_topics_interval=0)


@pytest.mark.normative(
    "MQTT-3.8.4-8", "MQTT-3.3.4-1", "MQTT-4.3.1-1", "MQTT-4.3.2-4", "MQTT-3.8.4-7"
)
@pytest.mark.normative_v311("MQTT-3.8.4-6", "MQTT-3.3.1-2", "MQTT-4.3.3-2")
@pytest.mark.parametrize("sender", [V31, V311, V5])
@pytest.mark.parametrize("receiver", [V31, V311, V5])
async def test_a_message_arrives_at_the_lower_of_its_qos_and_the_granted(
    join: Join, sender: ProtocolVersion, receiver: ProtocolVersion
) -> None:
    for granted in (0, 1, 2):
        for topic_filter in ("t/x", "t/+", "#"):
            subscriber = await join("s", receiver)
            assert await subscriber.subscribe(topic_filter, qos=granted) == [granted]
            publisher = await join("p", sender)
            for qos in (0, 1, 2):
                await publisher.publish("t/x", b"%d" % qos, qos)
            found = await subscriber.take()
            assert [(m.payload, m.qos) for m in found] == [
                (b"%d" % qos, min(qos, granted)) for qos in (0, 1, 2)
            ]
            assert not any(m.dup or m.retain for m in found)


@pytest.mark.normative(
    "MQTT-4.3.3-10", "MQTT-4.3.3-12", "MQTT-4.3.3-8", "MQTT-4.3.3-11", "MQTT-3.3.1-3"
)
@pytest.mark.normative_v311("MQTT-4.3.3-2", "MQTT-3.3.1-3")
async def test_qos_2_arrives_once_however_often_it_is_sent(
    join: Join, version: ProtocolVersion
) -> None:
    subscriber = await join("s")
    await subscriber.subscribe("t", qos=2)
    publisher = await join("p", version, clean_start=False, expiry=100)
    await publisher.send(Publish("t", b"1", 2, packet_id=7))
    assert await publisher.expect(PubRec) == PubRec(7)
    await publisher.send(Publish("t", b"1", 2, dup=True, packet_id=7))
    assert await publisher.expect(PubRec) == PubRec(7)
    await publisher.drop()
    publisher = await join("p", version, clean_start=False, expiry=100)
    await publisher.send(Publish("t", b"1", 2, dup=True, packet_id=7))
    assert await publisher.expect(PubRec) == PubRec(7)
    for _ in range(2):
        await publisher.send(PubRel(7))
        assert (await publisher.expect(PubComp)).packet_id == 7
    await publisher.send(Publish("t", b"2", 2, dup=True, packet_id=7))
    assert await publisher.expect(PubRec) == PubRec(7)
    found = await subscriber.take()
    assert [(m.payload, m.dup) for m in found] == [(b"1", False), (b"2", False)]


@pytest.mark.normative("MQTT-4.3.2-5")
async def test_qos_1_is_a_new_message_each_time_whatever_dup_says(
    join: Join, version: ProtocolVersion
) -> None:
    subscriber = await join("s")
    await subscriber.subscribe("t", qos=1)
    publisher = await join("p", version)
    for _ in range(2):
        await publisher.send(Publish("t", b"1", 1, dup=True, packet_id=7))
        assert await publisher.expect(PubAck) == PubAck(7)
    assert [(m.payload, m.dup) for m in await subscriber.take()] == [(b"1", False)] * 2


@pytest.mark.normative("MQTT-4.6.0-5", "MQTT-4.6.0-6")
@pytest.mark.normative_v311("MQTT-4.6.0-5", "MQTT-4.6.0-6")
async def test_messages_of_one_publisher_arrive_in_order(
    join: Join, version: ProtocolVersion
) -> None:
    subscriber = await join("s", version)
    await subscriber.subscribe("a/#", "a/1", "+/2", "x", qos=2)
    publisher = await join("p", version)
    sent: list[Publish] = []
    for number in range(300):
        qos = number % 3
        topic = ("a/1", "a/2", "b/2", "x", "nobody")[number % 5]
        sent.append(Publish(topic, b"%d" % number, qos, packet_id=number * bool(qos)))
    for start in range(0, 300, 7):
        await publisher.send(*sent[start : start + 7])
    found = await subscriber.take()
    for topic in ("a/1", "a/2", "b/2", "x"):
        for qos in (0, 1, 2):
            assert [int(m.payload) for m in found if (m.topic, m.qos) == (topic, qos)] == [
                int(m.payload) for m in sent if (m.topic, m.qos) == (topic, qos)
            ]
    assert len(found) == 240


@pytest.mark.normative("MQTT-2.2.1-4", "MQTT-3.3.4-7", "MQTT-4.9.0-1", "MQTT-4.9.0-2")
@pytest.mark.parametrize(("asked", "window"), [(None, 128), (1, 1), (5, 5), (1_000, 128)])
async def test_no_more_is_in_flight_than_allowed_and_no_identifier_twice(
    join: Join, broker: Broker, asked: int | None, window: int
) -> None:
    properties: Properties = {} if asked is None else {"receive_maximum": asked}
    client = await join("c", properties=properties)
    await client.subscribe("t", qos=2)
    for number in range(300):
        await broker.publish("t", str(number), qos=1 + number % 2)
    found = await client.messages()
    assert [int(m.payload) for m in found] == list(range(window))
    assert len({m.packet_id for m in found}) == window
    for message in found:
        # PUBREC does not make room, PUBCOMP does.
        if message.qos == 2:
            await client.send(PubRec(message.packet_id))
            assert await client.drain(0.001) == [PubRel(message.packet_id)]
            await client.send(PubComp(message.packet_id))
        else:
            await client.send(PubAck(message.packet_id))
        found += await client.messages(0.001)
        if len(found) >= 300:
            break
    assert [int(m.payload) for m in found] == list(range(300))


@pytest.mark.normative("MQTT-4.4.0-2")
async def test_a_refusal_of_the_client_ends_the_delivery(join: Join, broker: Broker) -> None:
    client = await join("c", expiry=100, properties={"receive_maximum": 1})
    await client.subscribe("t", qos=2)
    for number in range(3):
        await broker.publish("t", str(number), qos=1 + number % 2)
    first = await client.expect_message("t", b"0", 1)
    await client.send(PubAck(first.packet_id, ReasonCode.QUOTA_EXCEEDED))
    second = await client.expect_message("t", b"1", 2)
    await client.send(PubRec(second.packet_id, ReasonCode.QUOTA_EXCEEDED))
    third = await client.expect_message("t", b"2", 1)
    await client.send(PubAck(third.packet_id))
    await client.drop()
    client = await join("c", clean_start=False, expiry=100)
    await client.expect_nothing()


TOPICS = ["a", "a/b", "a/b/c", "/", "/a", "a/", "a//b", "$SYS", "$SYS/a", "A", "$a/b", "b"]
FILTERS = ["#", "+", "a/#", "a/+", "+/b", "a/b", "/#", "+/+", "/+", "a//b", "a/+/#", "$SYS/#",
           "$SYS", "+/a", "$SYS/+", "A", "a/+/b"]  # fmt: skip


@pytest.mark.normative("MQTT-4.7.2-1", "MQTT-4.7.3-4", "MQTT-3.3.2-3")
@pytest.mark.normative_v311("MQTT-4.7.2-1", "MQTT-4.7.3-4")
async def test_wildcards_match_what_the_standard_says(join: Join, broker: Broker) -> None:
    for topic_filter in FILTERS:
        client = await join("c")
        await client.subscribe(Subscription(topic_filter, retain_handling=2))
        for topic in TOPICS:
            await broker.publish(topic, b"x")
        expected = [topic for topic in TOPICS if topic_matches_filter(topic, topic_filter)]
        assert [m.topic for m in await client.messages()] == expected, topic_filter
        for topic in TOPICS:
            await broker.publish(topic, b"r", retain=True)
        await client.messages()
        await client.subscribe(topic_filter)
        assert sorted(m.topic for m in await client.messages()) == sorted(expected), topic_filter


async def test_what_clients_publish_to_the_brokers_topics_reaches_nobody(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("$SYS/#", "$x", "$share/g/$SYS/#", "#")
    client = await join("c", version)
    for topic in ("$SYS/x", "$x", "/".join("x" * 129)):
        for qos in (0, 1, 2):
            code = await client.publish(topic, b"x", qos, retain=True)
            assert code == (ReasonCode.NOT_AUTHORIZED if qos and version == V5 else 0)
    await watcher.expect_nothing()
    assert len(core_of(broker).retained) == 0
    await broker.publish("$SYS/x", "y")
    assert len(await watcher.messages()) == 2


async def test_sixty_five_thousand_levels_are_refused(join: Join, version: ProtocolVersion) -> None:
    client = await join("c", version)
    for depth, granted in ((127, True), (128, False), (65_535, False)):
        code = (await client.subscribe("/" * depth))[0]
        assert code == (0 if granted else (0x8F if version == V5 else 0x80))
    await client.publish("/" * 65_535, b"x", 1)
    await client.ping()


@pytest.mark.normative("MQTT-3.4.2-1", "MQTT-3.5.2-1")
async def test_a_publisher_is_told_that_nobody_listens(join: Join) -> None:
    client = await join("c")
    for qos in (1, 2):
        assert await client.publish("t", b"x", qos) == ReasonCode.NO_MATCHING_SUBSCRIBERS
    await (await join("s")).subscribe("t")
    for qos in (1, 2):
        assert await client.publish("t", b"x", qos) == ReasonCode.SUCCESS


@pytest.mark.normative(
    "MQTT-3.3.2-4",
    "MQTT-3.3.2-15",
    "MQTT-3.3.2-16",
    "MQTT-3.3.2-17",
    "MQTT-3.3.2-18",
    "MQTT-3.3.2-20",
)
async def test_properties_travel_unchanged_and_only_to_version_5(join: Join) -> None:
    properties: Properties = {
        "payload_format_indicator": 1,
        "content_type": "text",
        "response_topic": "answer",
        "correlation_data": b"\x00\xff",
        "user_property": [("b", "2"), ("a", "1"), ("b", "2")],
    }
    five, three = await join("five", V5), await join("three", V311)
    await five.subscribe("#", qos=2, identifier=1)
    await three.subscribe("#", qos=2)
    plain = await join("plain", V5)
    await plain.subscribe("#", qos=1)
    publisher = await join("p")
    for qos in (0, 1, 2):
        await publisher.publish("t", b"x", qos, properties=properties)
        assert (await five.expect_message("t", b"x", qos)).properties == {
            **properties,
            "subscription_identifier": [1],
        }
        assert (await three.expect_message("t", b"x", qos)).properties == {}
        assert (await plain.expect_message("t", b"x", min(qos, 1))).properties == properties


@pytest.mark.normative("MQTT-3.3.2-5", "MQTT-3.3.2-6")
async def test_a_message_expires_while_it_waits(join: Join, broker: Broker) -> None:
    clients = {}
    for name in ("a", "b", "c"):
        clients[name] = await join(name, expiry=1_000)
        await clients[name].subscribe("t", qos=1, identifier=ord(name))
        await clients[name].drop()
    publisher = await join("p")
    for seconds in (5, 20, 0xFFFF_FFFF):
        await publisher.publish("t", b"%d" % seconds, 1,
                                properties={"message_expiry_interval": seconds})  # fmt: skip
    for name, waited, left in (("a", 3.5, [2, 17]), ("b", 7.5, [13]), ("c", 21.5, [])):
        await trio.sleep(waited - (trio.current_time() - publisher_time(broker)))
        client = await join(name, clean_start=False, expiry=1_000)
        found = await client.take()
        assert [m.properties["message_expiry_interval"] for m in found[:-1]] == left
        assert all(m.properties["subscription_identifier"] == [ord(name)] for m in found)
    assert broker.statistics.messages_dropped == broker.statistics.messages_expired == 3


def publisher_time(broker: Broker) -> float:
    """When the publisher was heard of last."""
    heard: list[float] = [c.last_received for c in links_of(broker) if c.client_id == "p"]
    return max(heard)


@pytest.mark.normative("MQTT-3.1.2-24", "MQTT-3.1.2-25")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_too_large_for_a_client_is_left_out(
    join: Join, broker: Broker, qos: int
) -> None:
    client = await join("c", properties={"maximum_packet_size": 100})
    await client.subscribe("t", qos=qos)
    publisher = await join("p")
    for payload in (b"1", b"x" * 97, b"2", b"x" * 1_000, b"3"):
        await publisher.publish("t", payload, qos)
    await publisher.send(Publish("t", b"4"), Publish("t", b"x" * 99), Publish("t", b"5"))
    assert [m.payload for m in await client.take()] == [b"1", b"2", b"3", b"4", b"5"]
    assert broker.statistics.messages_dropped == 3
    assert core_of(broker).sessions.all()[0].queued_messages == 0


@pytest.mark.normative("MQTT-4.8.2-3")
async def test_shared_subscriptions_take_turns(join: Join, broker: Broker) -> None:
    members = [await join(f"m{n}", expiry=100) for n in range(3)]
    for index, member in enumerate(members):
        await member.subscribe("$share/g/t/#", qos=min(index, 1), identifier=index + 1)
    alone = await join("alone")
    await alone.subscribe("$share/h/t/#", "t/x", qos=0)
    for number in range(9):
        await broker.publish("t/x", str(number), qos=2)
    found = [await member.take() for member in members]
    assert [len(one) for one in found] == [3, 3, 3]
    assert [one[0].qos for one in found] == [0, 1, 1]
    assert sorted(m.payload for one in found for m in one) == [b"%d" % n for n in range(9)]
    assert len(await alone.messages()) == 18  # shared and not shared are two
    await members[0].drop()
    for number in range(4):
        await broker.publish("t/x", str(number), qos=1)
    assert [len(await member.take()) for member in members[1:]] == [2, 2]
    await members[1].unsubscribe("$share/g/t/#")
    await broker.publish("t/x", "last", qos=1)
    assert [m.payload for m in await members[2].take()] == [b"last"]


@pytest.mark.normative(
    "MQTT-3.8.4-3", "MQTT-3.8.4-5", "MQTT-3.9.3-1", "MQTT-3.11.3-1", "MQTT-3.10.4-5"
)
@pytest.mark.normative_v311("MQTT-3.8.4-3", "MQTT-3.8.4-4", "MQTT-3.9.3-1", "MQTT-3.10.4-5")
async def test_subscriptions_are_replaced_and_answered_one_by_one(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    client = await join("c", version)
    subscriptions = [Subscription("a", 0), Subscription("a", 2), Subscription("b", 1)]
    assert await client.subscribe(*subscriptions) == [0, 2, 1]
    assert broker.statistics.subscriptions == 2
    await broker.publish("a", b"x", qos=2)
    await client.expect_message("a", b"x", 2)
    codes = await client.unsubscribe("a", "never", "a", "b")
    assert codes == ([0, 0x11, 0x11, 0] if version == V5 else [])
    await broker.publish("a", b"x", qos=2)
    await client.expect_nothing()
    assert not has_filters(broker)


class TestWithFewSubscriptions:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_subscriptions=2)

    async def test_a_session_may_have_only_so_many(
        self, join: Join, version: ProtocolVersion
    ) -> None:
        client = await join("c", version)
        too_many = ReasonCode.QUOTA_EXCEEDED if version == V5 else 0x80
        assert await client.subscribe("a", "b", "c", "a") == [0, 0, too_many, 0]
        await client.unsubscribe("a")
        assert await client.subscribe("c") == [0]
        await trio.testing.wait_all_tasks_blocked()
