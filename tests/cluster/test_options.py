"""What a subscription asks for holds for messages of other nodes as for those of its own."""

from __future__ import annotations

import pytest
import trio

from tests.broker.opened import joined
from tests.cluster.nodes import nodes
from tests.inside import core_of
from trio_mqtt import (
    Cluster,
    Message,
    Messages,
    ProtocolVersion,
    Subscription,
    Will,
    open_client,
)


async def take(messages: Messages, count: int) -> list[Message]:
    with trio.fail_after(60):
        return [await anext(messages) for _ in range(count)]


async def test_properties_travel_and_its_time_counts_on(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url) as publisher,
        open_client(other.url) as subscriber,
        subscriber.subscribe("t", qos=2, subscription_identifier=7) as messages,
    ):
        for qos in (0, 1, 2):
            await publisher.publish(
                "t",
                "x",
                qos=qos,
                properties={
                    "user_property": [("a", "b"), ("a", "c")],
                    "content_type": "text/plain",
                    "payload_format_indicator": 1,
                    "response_topic": "answer",
                    "correlation_data": b"\0\1",
                    "message_expiry_interval": 100,
                },
            )
        # Order holds for each QoS.
        got = sorted(await take(messages, 3), key=lambda message: message.qos)
        assert [message.qos for message in got] == [0, 1, 2]
        for message in got:
            properties = message.properties
            assert properties["user_property"] == [("a", "b"), ("a", "c")]
            assert properties["content_type"] == "text/plain"
            assert properties["payload_format_indicator"] == 1
            assert properties["response_topic"] == "answer"
            assert properties["correlation_data"] == b"\0\1"
            assert properties["message_expiry_interval"] in (99, 100)
            assert properties["subscription_identifier"] == [7]


async def test_what_expires_on_its_way_is_not_delivered(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url) as publisher,
        open_client(other.url) as subscriber,
        subscriber.subscribe("t", qos=1) as messages,
    ):
        # As if all of it had been published a while ago, by the engine's clock.
        core_of(one).elsewhere.clock.epoch -= 50  # type: ignore[union-attr]
        await publisher.publish("t", "gone", qos=1, properties={"message_expiry_interval": 40})
        await publisher.publish("t", "there", qos=1, properties={"message_expiry_interval": 100})
        (message,) = await take(messages, 1)
        assert message.text == "there"
        assert message.properties["message_expiry_interval"] in (49, 50)


async def test_retain_as_published_and_the_highest_qos_hold(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url) as publisher,
        open_client(other.url) as as_published,
        open_client(other.url) as plain,
        as_published.subscribe("t", qos=1, retain_as_published=True) as first,
        plain.subscribe(Subscription("t", 0), Subscription("#", 2)) as second,
    ):
        await publisher.publish("t", "1", qos=2, retain=True)
        (message,) = await take(first, 1)
        assert (message.retain, message.qos) == (True, 1)
        (message,) = await take(second, 1)
        assert (message.retain, message.qos) == (False, 2)


async def test_of_several_subscriptions_of_a_client_one_copy_comes(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url) as publisher,
        open_client(other.url) as subscriber,
        subscriber.subscribe("a/#", subscription_identifier=1, qos=1) as messages,
        subscriber.subscribe("a/+", subscription_identifier=2, qos=1),
    ):
        for number in range(10):
            await publisher.publish(f"a/{number}", str(number), qos=1)
        got = await take(messages, 10)
        assert [message.text for message in got] == [str(number) for number in range(10)]
        assert {tuple(one.properties["subscription_identifier"]) for one in got} == {(1, 2)}
        assert core_of(other).statistics.messages_sent == 10


async def test_no_local_is_about_the_client_not_its_node(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url, client_id="a") as at_one,
        open_client(other.url, client_id="b") as at_other,
        at_one.subscribe("t", no_local=True) as first,
        at_other.subscribe("t", no_local=True) as second,
    ):
        await at_one.publish("t", "from a", qos=1)
        await at_other.publish("t", "from b", qos=1)
        assert [message.text for message in await take(first, 1)] == ["from b"]
        assert [message.text for message in await take(second, 1)] == ["from a"]
        assert core_of(one).statistics.messages_sent == 1
        assert core_of(other).statistics.messages_sent == 1


@pytest.mark.parametrize("version", [ProtocolVersion.V311, ProtocolVersion.V5])
async def test_versions_of_publisher_and_subscriber_may_differ(
    cluster: Cluster, version: ProtocolVersion
) -> None:
    v5, v311 = ProtocolVersion.V5, ProtocolVersion.V311
    other_version = v311 if version is v5 else v5
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url, protocol_version=version) as publisher,
        open_client(other.url, protocol_version=other_version) as subscriber,
        subscriber.subscribe("t/#", qos=2) as messages,
    ):
        for number in range(30):
            await publisher.publish(f"t/{number % 2}", str(number), qos=number % 3)
        got = sorted(await take(messages, 30), key=lambda message: int(message.text))
        assert [(one.topic, one.qos) for one in got] == [(f"t/{n % 2}", n % 3) for n in range(30)]


async def test_wills_reach_other_nodes(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(other.url) as subscriber,
        subscriber.subscribe("will", qos=1) as messages,
    ):
        async with joined(one.url, "dies", will=Will("will", b"last words", 1)):
            pass
        assert [message.text for message in await take(messages, 1)] == ["last words"]


async def test_what_a_program_publishes_reaches_other_nodes(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(other.url) as subscriber,
        subscriber.subscribe("$mine/#", "t", qos=2) as messages,
    ):
        await one.publish("$mine/a", "1")
        await one.publish("t", "2", qos=2, properties={"content_type": "x"})
        got = await take(messages, 2)
        assert {(message.topic, message.text) for message in got} == {("$mine/a", "1"), ("t", "2")}
