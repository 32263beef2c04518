"""Nodes are killed: nothing acknowledged is lost, and nothing of QoS 2 comes twice."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.broker.opened import joined
from tests.broker.raw import Raw
from tests.cluster.durable.places import is_over, last_entry, said
from tests.cluster.durable.processes import processes
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from trio_mqtt import Cluster
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel

DURABLE = {"expiry": 600, "clean_start": False}


async def published(client: Raw, qos: int, numbers: range) -> None:
    """Publish messages, each once the one before is acknowledged."""
    for number in numbers:
        await client.send(Publish("a", b"%d" % number, qos, packet_id=number + 1))
        if qos == 1:
            await client.expect(PubAck)
        else:
            await client.expect(PubRec)
            await client.send(PubRel(number + 1))
            await client.expect(PubComp)


async def test_what_was_not_acknowledged_comes_at_another_node(cluster: Cluster) -> None:
    async with processes(cluster, 2) as (one, other), joined(other.url, "p") as publisher:
        async with joined(one.url, "s", **DURABLE) as client:
            await client.subscribe("a", qos=1)
            await published(publisher, 1, range(30))
            for number in range(30):
                message = await client.expect(Publish)
                assert message.payload == b"%d" % number
                if number < 20:
                    await client.send(PubAck(message.packet_id))
            await client.ping()
            await one.kill()
        await published(publisher, 1, range(30, 40))
        async with joined(other.url, "s", **DURABLE) as client:
            assert client.connack is not None
            assert client.connack.session_present
            got = [int((await client.expect(Publish)).payload)]
            while got[-1] != 39:
                got.append(int((await client.expect(Publish)).payload))
            # What was acknowledged within the last 0.1 s may come again, and nothing is missing.
            assert got == list(range(got[0], 40))
            assert got[0] <= 20


async def test_who_rested_on_a_floor_goes_on_from_there(
    cluster: Cluster, redis: RedisServer
) -> None:
    """Of three that were beyond it nothing comes again, and to who was not, all comes."""
    names = ["s1", "s2", "s3", "slow"]
    async with processes(cluster, 2) as (one, other), joined(other.url, "p") as publisher:
        async with AsyncExitStack() as stack:
            clients = {}
            for name in names:
                client = await stack.enter_async_context(joined(one.url, name, **DURABLE))
                await client.subscribe("a", qos=1)
                clients[name] = client
            await published(publisher, 1, range(10))
            for name, client in clients.items():
                got = [await client.expect(Publish) for _ in range(10)]
                count = 4 if name == "slow" else 10
                await client.send(*(PubAck(message.packet_id) for message in got[:count]))
            last = last_entry(redis, cluster, "a")
            # The slow one leaves the floor for the others.
            for name in names[:3]:
                await until(lambda name=name: is_over(redis, cluster, name, "a", last))  # type: ignore[misc]
                assert said(redis, cluster, name, "a").place.entry < last
            assert not said(redis, cluster, "slow", "a").floor_of
            await one.kill()
        await published(publisher, 1, range(10, 12))
        for name in names:
            async with joined(other.url, name, **DURABLE) as client:
                assert client.connack is not None
                assert client.connack.session_present
                first = 4 if name == "slow" else 10
                for number in range(first, 12):
                    assert (await client.expect(Publish)).payload == b"%d" % number
        # Whoever buried it has had them say so themselves.
        for name in names:
            assert not said(redis, cluster, name, "a").floor_of


@pytest.mark.parametrize("answered", [False, True])
async def test_what_was_in_flight_at_qos_2_goes_on_where_it_was(
    cluster: Cluster, answered: bool
) -> None:
    async with processes(cluster, 2) as (one, other), joined(other.url, "p") as publisher:
        async with joined(one.url, "s", **DURABLE) as client:
            await client.subscribe("a", qos=2)
            await published(publisher, 2, range(2))
            first, second = await client.expect(Publish), await client.expect(Publish)
            if answered:
                await client.send(PubRec(first.packet_id))
                assert (await client.expect(PubRel)).packet_id == first.packet_id
            await one.kill()
        await published(publisher, 2, range(2, 4))
        async with joined(other.url, "s", **DURABLE) as client:
            if answered:
                assert (await client.expect(PubRel)).packet_id == first.packet_id
                await client.send(PubComp(first.packet_id))
            again = await client.expect(Publish)
            if not answered:
                assert (again.packet_id, again.payload, again.dup) == (
                    first.packet_id,
                    b"0",
                    True,
                )
                again = await client.expect(Publish)
            assert (again.packet_id, again.payload, again.dup) == (second.packet_id, b"1", True)
            assert [(await client.expect(Publish)).payload for _ in range(2)] == [b"2", b"3"]
            await client.expect_nothing(0.3)


async def test_what_is_done_at_qos_2_never_comes_again(cluster: Cluster) -> None:
    async with processes(cluster, 3) as nodes, joined(nodes[2].url, "p") as publisher:
        async with joined(nodes[0].url, "s", **DURABLE) as client:
            await client.subscribe("a", qos=2)
            await published(publisher, 2, range(20))
            released = 0
            while released < 20:
                packet = await client.receive()
                if isinstance(packet, Publish):
                    await client.send(PubRec(packet.packet_id))
                elif isinstance(packet, PubRel):
                    released += 1
                    if released % 3:
                        await client.send(PubComp(packet.packet_id))
            await client.ping()
            await nodes[0].kill()
        async with joined(nodes[1].url, "s", **DURABLE) as client:
            assert client.connack is not None
            assert client.connack.session_present
            # PUBREL may come again for each of them, PUBLISH for none.
            rest = await client.drain(1.0)
            assert rest
            assert {type(packet) for packet in rest} == {PubRel}


async def test_a_publisher_goes_on_at_qos_2_and_its_messages_are_there_once(
    cluster: Cluster,
) -> None:
    async with (
        processes(cluster, 2) as (one, other),
        joined(other.url, "s", **DURABLE) as subscriber,
    ):
        await subscriber.subscribe("a", qos=2)
        async with joined(one.url, "p", **DURABLE) as client:
            for number in range(1, 6):
                await client.send(Publish("a", b"%d" % number, 2, packet_id=number))
            for _ in range(5):
                await client.expect(PubRec)
            await client.send(Publish("a", b"6", 2, packet_id=6))
            await one.kill()
        async with joined(other.url, "p", **DURABLE) as client:
            for number in range(1, 7):
                message = Publish("a", b"%d" % number, 2, dup=True, packet_id=number)
                await client.send(message)
                await client.expect(PubRec)
                await client.send(PubRel(number))
                await client.expect(PubComp)
        got = [message.payload for message in await subscriber.take(0.5)]
        assert sorted(got) == [b"%d" % number for number in range(1, 7)]


async def test_of_what_a_publisher_has_sent_only_what_may_come_again_is_remembered(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 1) as (broker,),
        joined(broker.url, "s", **DURABLE) as subscriber,
        joined(broker.url, "p", **DURABLE) as publisher,
    ):
        await subscriber.subscribe("a", qos=2)
        await published(publisher, 2, range(30))
    kept = redis.command("HGET", f"{{{cluster.name}/f/a}}:state", "q/p")
    assert b" 30:" in kept
    assert kept.count(b":") <= 3
