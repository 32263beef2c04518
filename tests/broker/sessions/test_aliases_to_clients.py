"""Topic aliases that the broker sets for its clients (MQTT 5.0 §3.3.2.3.4)."""

from __future__ import annotations

import random

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import V311, Raw
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.properties import Properties

MAXIMUM = 4
TOPIC = "a topic that is long"


class Resolver:
    """Resolves aliases as a client does."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.topics: dict[int, str] = {}
        self.saved = 0

    def resolve(self, message: Publish) -> tuple[str, bytes]:
        alias = message.properties.get("topic_alias")
        if alias is not None:
            assert 1 <= alias <= self.maximum
            if message.topic:
                self.topics[alias] = message.topic
            else:
                self.saved += 1
        return message.topic or self.topics[alias or 0], message.payload


@pytest.fixture
def limits() -> Limits:
    return Limits(client_topic_alias_maximum=MAXIMUM)


async def subscriber(join: Join, maximum: int = 100, qos: int = 2, **more: int) -> Raw:
    properties: Properties = {"topic_alias_maximum": maximum, **more}  # type: ignore[typeddict-item]  # by name
    client = await join("c", properties=properties, expiry=100, clean_start=False)
    await client.subscribe("#", qos=qos)
    return client


@pytest.mark.normative("MQTT-3.1.2-26", "MQTT-3.3.2-11", "MQTT-3.3.2-8")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_topic_that_recurs_goes_by_its_alias(join: Join, broker: Broker, qos: int) -> None:
    client = await subscriber(join, maximum=1)
    for number in range(5):
        await broker.publish(TOPIC, str(number), qos=qos, properties={"content_type": "x"})
    found = await client.take()
    assert [m.topic for m in found] == [TOPIC, TOPIC, TOPIC, "", ""]
    assert [m.properties.get("topic_alias") for m in found] == [None, None, 1, 1, 1]
    assert [m.payload for m in found] == [b"0", b"1", b"2", b"3", b"4"]
    assert all(m.properties["content_type"] == "x" for m in found)


@pytest.mark.normative("MQTT-3.1.2-27")
async def test_who_takes_none_gets_none(join: Join, broker: Broker) -> None:
    client = await subscriber(join, maximum=0)
    old = await join("old", V311)
    await old.subscribe("#")
    for _ in range(5):
        await broker.publish(TOPIC, b"x", qos=1)
    for one in (client, old):
        assert [(m.topic, m.properties) for m in await one.take()] == [(TOPIC, {})] * 5


@pytest.mark.normative("MQTT-3.3.2-12")
@pytest.mark.parametrize("seed", range(10))
async def test_every_message_means_its_topic_whatever_recurs(join: Join, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test
    client = await subscriber(join)
    publisher = await join("p")
    resolver = Resolver(MAXIMUM)
    sent: list[tuple[str, bytes]] = []
    got: list[tuple[str, bytes]] = []
    for _ in range(40):
        burst = []
        for _ in range(chance.randrange(1, 8)):
            topic = f"some/topic/{int(chance.expovariate(0.2))}"
            payload = b"%d" % len(sent)
            sent.append((topic, payload))
            properties: Properties = {"content_type": "y" * chance.choice([0, 1, 126, 300])}
            burst.append(Publish(topic, payload, chance.randrange(2), properties=properties))
        for packet in burst:
            packet.packet_id = publisher.packet_id() if packet.qos else 0
        await publisher.send(*burst)
        got += [resolver.resolve(message) for message in await client.take(0.01)]
    assert got == sent
    assert resolver.saved > 20


async def test_topics_that_come_once_push_nobody_out(join: Join, broker: Broker) -> None:
    client = await subscriber(join)
    for _ in range(3):
        await broker.publish(TOPIC, b"x", qos=1)
    for number in range(100):
        await broker.publish(f"another topic {number}", b"x", qos=1)
    await broker.publish(TOPIC, b"x", qos=1)
    assert [m.properties.get("topic_alias") for m in await client.take()][-1] == 1


async def test_short_topics_gain_nothing(join: Join, broker: Broker) -> None:
    client = await subscriber(join)
    for _ in range(5):
        await broker.publish("abcd", b"x", qos=1)
    assert {m.topic for m in await client.take()} == {"abcd"}


@pytest.mark.normative("MQTT-3.3.2-10")
async def test_a_new_connection_starts_without_any(join: Join, broker: Broker) -> None:
    client = await subscriber(join)
    for _ in range(4):
        await broker.publish(TOPIC, b"x", qos=1)
    assert (await client.messages())[-1].topic == ""
    await client.drop()
    taking: Properties = {"topic_alias_maximum": 100}
    client = await join("c", properties=taking, expiry=100, clean_start=False)
    await broker.publish(TOPIC, b"x", qos=1)
    found = await client.take()  # four of them are sent again
    assert [(m.topic, "topic_alias" in m.properties) for m in found] == [(TOPIC, False)] * 5


@pytest.mark.parametrize("qos", [0, 1])
async def test_an_alias_makes_no_message_too_large(join: Join, broker: Broker, qos: int) -> None:
    fits = 2 + 2 + len(TOPIC) + 2 * qos + 1 + 10
    client = await subscriber(join, maximum_packet_size=fits)
    for size in (10, 10, 10, 10, 5, 5, 11):
        await broker.publish(TOPIC, b"x" * size, qos=qos)
    found = await client.take()
    assert [len(m.payload) for m in found] == [10, 10, 10, 10, 5, 5]
    assert [m.topic for m in found] == [TOPIC] * 5 + [""]


async def test_what_goes_on_as_it_came_keeps_its_topic(join: Join) -> None:
    client = await subscriber(join)
    publisher = await join("p")
    for _ in range(5):
        await publisher.send(Publish(TOPIC, b"x"), Publish(TOPIC, b"y"))
    assert {m.topic for m in await client.take()} == {TOPIC}
