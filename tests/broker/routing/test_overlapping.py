"""Several subscriptions of one client that match the same topic (MQTT 5.0 §3.3.4)."""

from __future__ import annotations

import pytest
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311
from tests.inside import core_of, has_filters
from trio_mqtt import Broker
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, Publish, Subscription


@pytest.mark.normative("MQTT-3.3.4-2", "MQTT-3.3.4-3", "MQTT-3.3.4-4")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_one_copy_at_the_highest_qos_with_all_identifiers(
    join: Join, broker: Broker, order: tuple[int, ...]
) -> None:
    client = await join()
    filters = ["a/#", "a/+", "a/b"]
    for index in order:
        await client.subscribe(filters[index], qos=index, identifier=index + 1)
    await client.subscribe("other", qos=2, identifier=9)
    for qos in (0, 1, 2):
        await broker.publish("a/b", b"x", qos=qos)
        message = await client.expect_message("a/b", b"x", qos)
        assert sorted(message.properties["subscription_identifier"]) == [1, 2, 3]
    await client.expect_nothing()


@pytest.mark.normative("MQTT-3.8.4-8")
@pytest.mark.normative_v311("MQTT-3.8.4-6")
async def test_one_copy_in_version_3_too(join: Join, broker: Broker) -> None:
    client = await join("c", V311)
    await client.subscribe("#", qos=0)
    await client.subscribe("+", qos=1)
    await broker.publish("t", b"x", qos=2)
    await client.expect_message("t", b"x", 1)
    await client.expect_nothing()


@pytest.mark.normative("MQTT-3.3.1-13")
async def test_retain_as_published_holds_if_any_asks_for_it(join: Join, broker: Broker) -> None:
    client = await join()
    await client.subscribe(
        Subscription("#", 0, retain_as_published=True), Subscription("t", 1), qos=0
    )
    await broker.publish("t", b"x", qos=1, retain=True)
    assert (await client.expect_message("t", b"x", 1)).retain


@pytest.mark.normative("MQTT-4.6.0-5", "MQTT-4.6.0-6")
@pytest.mark.normative_v311("MQTT-4.6.0-6")
@pytest.mark.parametrize("later", ["t", "+", "t/#"])
async def test_a_new_subscription_does_not_overtake_what_waits(
    join: Join, broker: Broker, later: str
) -> None:
    for _ in range(5):  # Trio wakes tasks in random order
        client = await join("c", properties={"receive_maximum": 1})
        await client.subscribe("#", qos=1)
        for number in range(5):
            await broker.publish("t", str(number), qos=1)
        await client.expect_message("t", b"0", 1)
        await client.subscribe(later, qos=2)
        for number in range(5, 10):
            await broker.publish("t", str(number), qos=1)
        await client.send(PubAck(1))
        assert [m.payload for m in await client.take()] == [b"%d" % n for n in range(1, 10)]


@pytest.mark.normative("MQTT-3.10.4-1", "MQTT-4.5.0-1")
@pytest.mark.normative_v311("MQTT-4.5.0-1")
@pytest.mark.parametrize("first", ["t", "#"])
async def test_what_waits_for_a_subscription_that_ends_is_left_to_the_other(
    join: Join, broker: Broker, version: ProtocolVersion, first: str
) -> None:
    client = await join("c", version, clean_start=False, expiry=100)
    await client.subscribe(first, qos=1)
    await client.subscribe("+", qos=1)
    for number in range(300):
        await broker.publish("t", str(number), qos=2)
    assert len(await client.messages()) == 128
    await client.unsubscribe(first)
    await broker.publish("t", "300", qos=1)
    for packet_id in range(1, 129):
        await client.send(PubAck(packet_id))
    found = await client.take()
    assert [m.payload for m in found] == [b"%d" % n for n in range(128, 301)]
    session = core_of(broker).sessions.all()[0]
    assert (session.queued_messages, session.queued_bytes) == (0, 0)


@pytest.mark.normative("MQTT-3.10.4-1")
async def test_what_waits_for_the_only_subscription_ends_with_it(
    join: Join, broker: Broker
) -> None:
    client = await join("c", properties={"receive_maximum": 1})
    await client.subscribe("t", "$share/g/t", qos=1)
    for number in range(9):
        await broker.publish("t", str(number), qos=1)
    await client.expect_message("t", b"0", 1)
    await client.unsubscribe("t", "$share/g/t")
    assert await client.take() == []
    await client.send(PubAck(1))
    assert await client.take() == []
    session = core_of(broker).sessions.all()[0]
    assert (session.queued_messages, session.queued_bytes) == (0, 0)
    await trio.testing.wait_all_tasks_blocked()
    assert not has_filters(broker)


async def test_no_local_keeps_only_the_own_messages_away(join: Join) -> None:
    client = await join("c")
    other = await join("o")
    await client.subscribe(Subscription("t", 1, no_local=True))
    await client.publish("t", b"own", 1)
    await other.publish("t", b"other", 1)
    await client.expect_message("t", b"other", 1)
    await client.subscribe("#", qos=0, identifier=5)
    await client.send(PubAck(1))
    await client.publish("u", b"own")
    await client.expect_message("u", b"own")
    await client.publish("t", b"own")
    assert (await client.expect_message("t", b"own")).properties == {"subscription_identifier": [5]}
    await other.publish("t", b"both", 1)
    await client.expect_message("t", b"both", 1)
    await client.expect_nothing()


async def test_identifiers_of_version_5_do_not_reach_version_3(join: Join, broker: Broker) -> None:
    client = await join("c", V5, expiry=100)
    await client.subscribe("t", qos=1, identifier=7)
    await client.drop()
    await broker.publish("t", b"x", qos=1)
    client = await join("c", V311, clean_start=False)
    assert (await client.expect_message("t", b"x", 1)).properties == {}


async def test_long_topics_are_routed_and_not_remembered(join: Join, broker: Broker) -> None:
    client = await join("c")
    await client.subscribe("#", "long/+", qos=1)
    topic = "long/" + "x" * 60_000
    for payload in (b"1", b"2"):
        await client.send(Publish(topic, payload), Publish("short", payload))
    seen = [(m.topic, m.payload) for m in [await client.expect(Publish) for _ in range(4)]]
    assert sorted(seen) == sorted((t, p) for t in (topic, "short") for p in (b"1", b"2"))
    assert [p for t, p in seen if t == topic] == [b"1", b"2"]
    assert list(core_of(broker).router.index.remembered) == ["short"]
