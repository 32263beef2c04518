"""Filters with options of their own, and identifiers that the program gives."""

from __future__ import annotations

import pytest

from tests.client.fake_broker import FakeBroker
from trio_mqtt import LocalProtocolError, Subscription
from trio_mqtt.protocol.packets import Subscribe

pytestmark = pytest.mark.anyio


async def test_each_filter_may_have_options_of_its_own(broker: FakeBroker) -> None:
    one = Subscription("a/#", 2, no_local=True, retain_as_published=True, retain_handling=1)
    async with broker.client() as client, client.subscribe(one, "a/b", "c", qos=1):
        sent = [one for packet in broker.peer.all(Subscribe) for one in packet.subscriptions]
        assert sent == [one, Subscription("a/b", 1), Subscription("c", 1)]


async def test_filters_of_one_subscription_need_no_identifiers(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a/#", "a/b") as messages:
        assert [packet.properties for packet in broker.peer.all(Subscribe)] == [{}]
        for _ in range(2):  # a broker may send a copy for each of them
            broker.peer.publish("a/b", b"x")
        assert [(await anext(messages)).payload for _ in range(2)] == [b"x", b"x"]


async def test_an_identifier_that_the_program_gives_is_sent_and_seen(broker: FakeBroker) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a/#", "b", subscription_identifier=1) as messages,
        client.subscribe("a/b") as others,  # gets an identifier of the client's own
    ):
        sent = [packet.properties.get("subscription_identifier") for packet in
                broker.peer.all(Subscribe)]  # fmt: skip
        assert sent[:1] == [[1]]
        assert [1] not in sent[1:]
        broker.peer.publish("b", b"x", properties={"subscription_identifier": [1]})
        message = await anext(messages)
        assert message.properties == {"subscription_identifier": [1]}
        assert len(others) == 0


async def test_an_identifier_is_sent_again_after_a_reconnection(broker: FakeBroker) -> None:
    async with (
        broker.client() as client,
        client.subscribe("a/#", "a/b", subscription_identifier=7),
    ):
        broker.peer.end()
        peer = await broker.connection(2)
        again = await peer.expect(Subscribe)
        assert [one.topic_filter for one in again.subscriptions] == ["a/#", "a/b"]
        assert again.properties == {"subscription_identifier": [7]}


@pytest.mark.parametrize("identifier", [0, 268_435_456])
async def test_identifiers_that_mqtt_does_not_have_are_refused(
    broker: FakeBroker, identifier: int
) -> None:
    async with broker.client() as client:
        with pytest.raises(LocalProtocolError, match="no subscription identifier"):
            async with client.subscribe("a", subscription_identifier=identifier):
                raise AssertionError("it was accepted")


async def test_a_broker_without_identifiers_is_not_asked_for_one(broker: FakeBroker) -> None:
    async with broker.client(protocol_version=4) as client:
        with pytest.raises(LocalProtocolError, match="has no subscription identifiers"):
            async with client.subscribe("a", subscription_identifier=7):
                raise AssertionError("it was accepted")


async def test_a_message_tells_its_packet_identifier(broker: FakeBroker) -> None:
    async with broker.client() as client, client.subscribe("a", qos=1) as messages:
        broker.peer.publish("a", b"x", qos=1, packet_id=77)
        broker.peer.publish("a", b"y")
        assert [(await anext(messages)).packet_id for _ in range(2)] == [77, 0]
