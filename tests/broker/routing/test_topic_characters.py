"""Topics for which receivers may leave reach nobody, unless that is wanted (MQTT 5.0 §1.5.4)."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import V311, Open
from trio_mqtt import Broker
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.protocol.packets import ConnAck, Connect, PubAck, Publish, PubRec, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

BAD = ["a\x01", "\x1f/b", "a/\x7f", "\x80", "a\x9f", "\ufdd0", "\ufdef", "\ufffe", "\U0010ffff"]
FINE = ["a b", "\xa0", "\ufeff", "\ufdcf", "\ufdf0", "\ufffd", "\u200b", "\U0001f4a1", "\U00010000"]
WORDS = "this broker takes no topics with control characters or what is no character"
INVALID = ReasonCode.TOPIC_NAME_INVALID


@pytest.mark.parametrize("retain", [False, True], ids=["plain", "retained"])
@pytest.mark.parametrize("topic", BAD, ids=ascii)
async def test_nobody_gets_what_is_published_to_such_a_topic(
    join: Join, broker: Broker, topic: str, retain: bool
) -> None:
    reader = await join("reader")
    await reader.subscribe("#", qos=2)
    client = await join()
    for _ in range(2):  # of the second one, the topic is known
        await client.send(Publish(topic, b"1", 1, retain=retain, packet_id=1))
        answer = await client.expect(PubAck)
        assert answer.reason_code == INVALID
        assert answer.properties["reason_string"] == WORDS
    await client.send(Publish(topic, b"1", 2, retain=retain, packet_id=2))
    received = await client.expect(PubRec)
    assert received.reason_code in (INVALID, ReasonCode.SUCCESS)
    # Alone, with others of its topic, and among others.
    await client.send(Publish(topic, b"1", retain=retain))
    await client.send(*[Publish(topic, b"1", retain=retain)] * 5)
    await client.send(Publish("x", b"1"), Publish(topic, b"1", retain=retain), Publish("y", b"1"))
    await client.ping()
    assert [message.topic for message in await reader.messages()] == ["x", "y"]
    assert broker.statistics.topics_refused == 10
    late = await join("late")
    await late.subscribe("#")
    assert not await late.messages()


@pytest.mark.parametrize("topic", FINE, ids=ascii)
async def test_all_others_are_taken(join: Join, topic: str) -> None:
    reader = await join("reader")
    await reader.subscribe("#")
    client = await join()
    await client.send(Publish(topic, b"1", 1, packet_id=1))
    assert (await client.expect(PubAck)).reason_code == ReasonCode.SUCCESS
    assert [message.topic for message in await reader.messages()] == [topic]


async def test_mqtt_3_is_told_nothing(join: Join, broker: Broker) -> None:
    client = await join("c", V311)
    await client.send(Publish("a\x01", b"1", 1, packet_id=1))
    await client.expect(PubAck)
    assert broker.statistics.topics_refused == 1


async def test_a_will_with_such_a_topic_is_refused(opened: Open) -> None:
    client = opened()
    await client.send(Connect("c", will=Will("a\x01", b"gone")))
    answer = await client.expect(ConnAck)
    assert answer.reason_code == INVALID
    assert WORDS in answer.properties["reason_string"]


class TestWhereTheyAreWanted:
    @pytest.fixture
    def options(self) -> BrokerOptions:
        return BrokerOptions(control_characters_in_topics=True)

    async def test_they_go_to_who_subscribes(self, join: Join, broker: Broker) -> None:
        reader = await join("reader")
        await reader.subscribe("#")
        client = await join(will=Will("\x01will", b"gone"))
        for topic in BAD:
            await client.send(Publish(topic, b"1", 1, packet_id=1))
            assert (await client.expect(PubAck)).reason_code == ReasonCode.SUCCESS
        await client.drop()
        assert [message.topic for message in await reader.messages()] == [*BAD, "\x01will"]
        assert broker.statistics.topics_refused == 0


async def test_what_is_known_of_a_topic_holds_no_longer_than_the_option(
    join: Join, broker: Broker
) -> None:
    client = await join()
    for wanted, code in ((False, INVALID), (True, ReasonCode.NO_MATCHING_SUBSCRIBERS)) * 2:
        await broker.reconfigure(options=BrokerOptions(control_characters_in_topics=wanted))
        await client.send(Publish("a\x01", b"1", 1, packet_id=1))
        assert (await client.expect(PubAck)).reason_code == code
