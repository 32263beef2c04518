"""Retained messages (MQTT 5.0 §3.3.1.3)."""

from __future__ import annotations

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.routing.retained import RetainedMessages
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish, Subscription


@pytest.mark.normative(
    "MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-7", "MQTT-3.3.1-8", "MQTT-3.3.1-12"
)
@pytest.mark.normative_v311("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-8", "MQTT-3.3.1-9",
                            "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.3.1-12")  # fmt: skip
async def test_a_retained_message_is_kept_replaced_and_removed(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    client = await join("c", version)
    live = await join("live", version)
    await live.subscribe("t")
    for payload in (b"1", b"2"):
        await client.publish("t", payload, 1, retain=True)
        assert not (await live.expect_message("t", payload)).retain
    await client.publish("t", b"not kept")
    await live.messages()
    await client.subscribe("t", qos=2)
    assert (await client.expect_message("t", b"2", 1)).retain
    await client.publish("t", b"", retain=True)
    assert not (await live.expect_message("t", b"")).retain
    assert not (await client.expect_message("t", b"")).retain
    await client.subscribe("t")
    await client.expect_nothing()
    assert len(core_of(broker).retained) == 0
    assert not core_of(broker).retained._root.children


@pytest.mark.normative("MQTT-3.8.4-4", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.3.1-9")
async def test_retain_handling_says_when_retained_messages_come(join: Join, broker: Broker) -> None:
    await broker.publish("t", b"x", retain=True)
    client = await join("c", expiry=100)
    for handling, first, again in ((0, 1, 1), (1, 1, 0), (2, 0, 0)):
        subscription = Subscription("t", retain_handling=handling)
        await client.subscribe(subscription)
        assert len(await client.messages()) == first
        await client.subscribe(subscription)
        assert len(await client.messages()) == again
        await client.unsubscribe("t")
    await client.subscribe(Subscription("t", retain_handling=1))
    assert len(await client.messages()) == 1
    await client.drop()
    client = await join("c", clean_start=False, expiry=100)
    await client.subscribe(Subscription("t", retain_handling=1))
    assert await client.messages() == []


@pytest.mark.normative("MQTT-3.3.1-12", "MQTT-3.3.1-13")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_the_retain_flag_stays_only_where_it_is_asked_for(
    join: Join, qos: int, version: ProtocolVersion
) -> None:
    clients = {keep: await join(f"s{keep}") for keep in (False, True)}
    for keep, client in clients.items():
        await client.subscribe(Subscription("t", 2, retain_as_published=keep))
    publisher = await join("p", version)
    for retain in (False, True):
        await publisher.publish("t", b"x", qos, retain=retain)
        for keep, client in clients.items():
            assert (await client.expect_message("t", b"x", qos)).retain is (keep and retain)


@pytest.mark.normative("MQTT-3.8.4-8")
@pytest.mark.normative_v311("MQTT-3.8.4-6", "MQTT-3.3.1-7")
async def test_retained_messages_come_at_the_lower_qos_and_after_suback(
    join: Join, version: ProtocolVersion
) -> None:
    publisher = await join("p", version)
    for qos in (0, 1, 2):
        await publisher.publish(f"r/{qos}", b"x", qos, retain=True)
    for granted in (0, 1, 2):
        client = await join("c", version)
        await client.subscribe("r/+", qos=granted)  # takes SUBACK as the first packet
        found = {m.topic: m for m in await client.take()}
        assert {t: m.qos for t, m in found.items()} == {
            f"r/{q}": min(q, granted) for q in (0, 1, 2)
        }
        assert all(m.retain for m in found.values())


async def test_retained_messages_bear_the_identifiers_and_none_for_shared(
    join: Join, broker: Broker
) -> None:
    await broker.publish("t", b"x", retain=True, properties={"content_type": "text"})
    client = await join("c")
    await client.subscribe("$share/g/t")
    await client.expect_nothing()
    await client.subscribe("t", "#", identifier=4)
    assert [m.properties for m in await client.messages()] == [
        {"content_type": "text", "subscription_identifier": [4]}
    ] * 2


@pytest.mark.normative("MQTT-3.3.2-5", "MQTT-3.3.2-6")
async def test_retained_messages_expire(join: Join, broker: Broker) -> None:
    await broker.publish("t", b"x", retain=True, properties={"message_expiry_interval": 10})
    await broker.publish("u", b"x", retain=True, properties={"message_expiry_interval": 100})
    await broker.publish("u", b"stays", retain=True)
    client = await join("c")
    await trio.sleep(4.5)
    await client.subscribe("t")
    message = await client.expect_message("t", b"x")
    assert message.properties == {"message_expiry_interval": 6}
    await trio.sleep(6)
    await client.subscribe("t")
    await client.expect_nothing()
    await trio.sleep(200)
    assert len(core_of(broker).retained) == 1
    assert not core_of(broker).retained._expiring


async def test_retained_messages_that_come_while_a_session_resumes_come_after_it(
    join: Join, broker: Broker
) -> None:
    await broker.publish("r", b"retained", qos=1, retain=True)
    client = await join("c", expiry=100)
    await client.subscribe("t", qos=1)
    for number in range(3):
        await broker.publish("t", str(number), qos=1)
    await client.messages()
    await client.drop()
    client = await join("c", clean_start=False, expiry=100, properties={"receive_maximum": 1})
    await client.expect_message("t", b"0", 1)
    await client.subscribe("r", qos=1)
    await client.send(b"\x40\x02\x00\x01")
    assert [m.payload for m in await client.take()] == [b"1", b"2", b"retained"]


async def test_an_unsubscribe_takes_back_retained_messages_that_wait(
    join: Join, broker: Broker
) -> None:
    for number in range(5):
        await broker.publish(f"r/{number}", b"x", qos=1, retain=True)
    client = await join("c", properties={"receive_maximum": 2})
    await client.subscribe("#", "r/#", qos=1)
    assert len(await client.messages()) == 2
    await client.unsubscribe("#", "r/#")
    assert await client.take() == []
    assert core_of(broker).sessions.all()[0].retained_waiting == 0


class TestWithFewRetained:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_retained_messages=2)

    async def test_there_is_a_bound_and_what_goes_beyond_is_counted(
        self, join: Join, broker: Broker, version: ProtocolVersion
    ) -> None:
        client = await join("c", version)
        for topic in ("a", "b", "c", "a"):
            await client.publish(topic, b"x", 1, retain=True)
        await client.subscribe("#")
        assert sorted(m.topic for m in await client.messages()) == ["a", "b"]
        assert broker.statistics.messages_dropped == 1


def test_the_tree_leaves_nothing_behind() -> None:
    retained = RetainedMessages(
        Limits(maximum_retained_messages=100, maximum_retained_bytes=10_000)
    )
    topics = ["a", "a/b", "a/b/c", "/", "//", "x/y"]
    for topic in topics:
        assert retained.store(Publish(topic, b"1"), 0)
    assert {m.topic for m, *_ in retained.matching("a/#")} == {"a", "a/b", "a/b/c"}
    assert len(retained) == 6
    for topic in topics:
        assert retained.store(Publish(topic, b""), 0)
        assert retained.store(Publish(topic, b""), 0)
    assert (len(retained), retained._bytes) == (0, 0)
    assert not retained._root.children


def test_the_bytes_of_all_messages_have_a_bound() -> None:
    retained = RetainedMessages(Limits(maximum_retained_messages=100, maximum_retained_bytes=1_500))
    assert retained.store(Publish("a", b"x" * 700), 0)
    assert not retained.store(Publish("b", b"x" * 700), 0)
    assert retained.store(Publish("a", b"x" * 800), 0)
    # What was to be replaced is out of date, and goes.
    assert not retained.store(Publish("a", b"x" * 1_200), 0)
    assert (len(retained), retained._bytes) == (0, 0)
    assert not retained.store(Publish("c", b"x", properties={"content_type": "x" * 1_200}), 0)
    assert not retained._root.children


@pytest.mark.parametrize(("publisher", "subscriber"), [(V5, V311), (V311, V5)])
async def test_retained_messages_cross_versions(
    join: Join, publisher: ProtocolVersion, subscriber: ProtocolVersion
) -> None:
    await (await join("p", publisher)).publish("t", b"x", 1, retain=True)
    client = await join("c", subscriber)
    await client.subscribe("t", qos=1)
    await client.expect_message("t", b"x", 1)
