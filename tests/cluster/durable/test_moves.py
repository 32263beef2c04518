"""Durable sessions that go on at another node: what waits for them comes there, each once."""

from __future__ import annotations

import pytest

from tests.broker.opened import joined
from tests.cluster.durable.clients import durable_client
from tests.cluster.nodes import nodes
from trio_mqtt import Cluster, Limits, open_client
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel


async def held(url: str, client_id: str, topic_filter: str, qos: int = 2) -> None:
    """Have a session with a subscription, and go."""
    async with (
        durable_client(url, client_id) as client,
        client.subscribe(topic_filter, qos=qos, unsubscribe=False),
    ):
        pass


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_waits_comes_wherever_its_client_connects(cluster: Cluster, qos: int) -> None:
    async with (
        nodes(cluster, 3) as (one, other, third),
        open_client(third.url, client_id="publisher") as publisher,
    ):
        await held(one.url, "c", "a/#")
        for number in range(50):
            await publisher.publish(f"a/{number % 3}", str(number), qos=qos)
        async with (
            durable_client(other.url, "c") as client,
            client.subscribe("a/#", qos=2) as messages,
        ):
            for number in range(50, 60):
                await publisher.publish(f"a/{number % 3}", str(number), qos=qos)
            got = [(await anext(messages)).payload for _ in range(60)]
            assert got == [b"%d" % number for number in range(60)]


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_was_in_flight_is_sent_again_by_the_same_identifier(
    cluster: Cluster, qos: int
) -> None:
    async with nodes(cluster, 2) as (one, other), joined(other.url, "p") as publisher:
        async with joined(one.url, "s", expiry=600) as client:
            await client.subscribe("a", qos=2)
            for number in range(4):
                await publisher.publish("a", b"%d" % number, qos)
            sent = [await client.expect(Publish) for _ in range(4)]
            await client.send((PubAck if qos == 1 else PubRec)(sent[2].packet_id))
            await client.ping() if qos == 1 else await client.expect(PubRel)
        async with joined(other.url, "s", expiry=600, clean_start=False) as client:
            if qos == 2:
                assert (await client.expect(PubRel)).packet_id == sent[2].packet_id
                await client.send(PubComp(sent[2].packet_id))
            again = [await client.expect(Publish) for _ in range(3)]
            assert [(one.packet_id, one.payload, one.dup) for one in again] == [
                (one.packet_id, one.payload, True) for one in sent if one is not sent[2]
            ]
            await publisher.publish("a", b"new", qos)
            assert (await client.expect(Publish)).payload == b"new"


async def test_what_was_sent_goes_on_without_its_subscription(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), joined(other.url, "p") as publisher:
        async with joined(one.url, "s", expiry=600) as client:
            await client.subscribe("a", qos=2)
            for qos in (1, 2):
                await publisher.publish("a", b"%d" % qos, qos)
            sent = [await client.expect(Publish) for _ in range(2)]
            await client.unsubscribe("a")
        async with joined(other.url, "s", expiry=600, clean_start=False) as client:
            again = [await client.expect(Publish) for _ in range(2)]
            assert [(one.packet_id, one.payload, one.dup) for one in again] == [
                (one.packet_id, one.payload, True) for one in sent
            ]


async def test_retained_messages_wait_with_their_session(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), joined(other.url, "p") as publisher:
        for number in range(10):
            await publisher.publish(f"r/{number}", b"%d" % number, 1, retain=True)
        async with joined(one.url, "s", expiry=600, properties={"receive_maximum": 4}) as client:
            await client.subscribe("r/+", qos=1)
            sent = [await client.expect(Publish) for _ in range(4)]
            assert all(message.retain for message in sent)
        async with joined(other.url, "s", expiry=600, clean_start=False) as client:
            got = await client.take(0.5)
            assert sorted(message.payload for message in got) == [b"%d" % n for n in range(10)]
            assert all(message.retain for message in got)


async def test_what_does_not_fit_waits_where_it_is(cluster: Cluster) -> None:
    """A client that is away loses nothing, however little may wait in a node's memory."""
    limits = Limits(maximum_queued_messages=20)
    async with nodes(cluster, 2, limits=limits) as (one, other):
        await held(one.url, "s", "a", qos=1)
        async with open_client(one.url) as publisher:
            for number in range(300):
                await publisher.publish("a", str(number), qos=1)
        async with (
            durable_client(other.url, "s") as client,
            client.subscribe("a", qos=1) as messages,
        ):
            got = [(await anext(messages)).payload for _ in range(300)]
            assert got == [b"%d" % number for number in range(300)]
