"""Topics and filters that are too long or too deep are refused in words, and counted."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import Open
from trio_mqtt import Broker, Limits
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
    Will,
)
from trio_mqtt.protocol.reason_codes import ReasonCode

DEEP, LONG = "a/b/c/d", "x" * 11


@pytest.fixture
def limits() -> Limits:
    return Limits(maximum_topic_levels=3, maximum_topic_length=10)


@pytest.mark.parametrize(
    ("topic", "words"),
    [(DEEP, "takes topics of 3 levels at most"), (LONG, "takes topics of 10 characters at most")],
)
class TestBeyond:
    async def test_a_publish_is_refused(
        self, join: Join, broker: Broker, topic: str, words: str
    ) -> None:
        client = await join()
        for retain in (False, True):
            await client.send(Publish(topic, b"1", 1, retain=retain, packet_id=1))
            answer = await client.expect(PubAck)
            assert answer.reason_code == ReasonCode.NOT_AUTHORIZED
            assert words in answer.properties["reason_string"]
        await client.send(Publish(topic, b"1"), Publish(topic, b"2"), Publish("ok", b""))
        await client.ping()
        assert broker.statistics.topics_refused == 4
        await client.subscribe("#")
        assert not await client.messages()

    async def test_a_filter_is_refused(
        self, join: Join, broker: Broker, topic: str, words: str
    ) -> None:
        client = await join()
        await client.send(Subscribe(1, [Subscription(topic), Subscription("a/b/c")]))
        answer = await client.expect(SubAck)
        assert answer.reason_codes == [ReasonCode.TOPIC_FILTER_INVALID, ReasonCode.SUCCESS]
        assert words in answer.properties["reason_string"]
        assert broker.statistics.subscriptions_refused == 1

    async def test_a_will_is_refused(self, opened: Open, topic: str, words: str) -> None:
        client = opened()
        await client.send(Connect("c", will=Will(topic, b"gone")))
        answer = await client.expect(ConnAck)
        assert answer.reason_code == ReasonCode.TOPIC_NAME_INVALID
        assert words in answer.properties["reason_string"]


async def test_what_fits_is_taken(join: Join, broker: Broker) -> None:
    client = await join()
    await client.subscribe("a/b/c", "x" * 10)
    await client.send(Publish("a/b/c", b"1"), Publish("x" * 10, b"2"))
    assert sorted(await client.payloads()) == [b"1", b"2"]
    assert broker.statistics.topics_refused == broker.statistics.subscriptions_refused == 0
