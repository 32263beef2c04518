"""The engine is away for longer than a lease, for all nodes: they go on as who they were."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio

from tests.broker.opened import joined
from tests.broker.raw import Raw
from tests.cluster.nodes import nodes
from tests.cluster.processes import node_process
from tests.cluster.redis import RedisServer, redis_server
from tests.cluster.waiting import until
from tests.inside import core_of
from trio_mqtt import Broker, Cluster, ReasonCode
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel

LEASE = 1.5


@pytest.fixture
def own() -> Iterator[RedisServer]:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def quick(own: RedisServer) -> Cluster:
    return Cluster(url=own.url, lease=LEASE, timeout=LEASE / 2)


def inside(broker: Broker) -> Any:  # noqa: ANN401 # a node of a cluster
    return core_of(broker).elsewhere


@asynccontextmanager
async def killed(own: RedisServer, *brokers: Broker) -> AsyncIterator[None]:
    """In the block the engine is dead, and the leases of all nodes have ended."""
    own.stop()
    for broker in brokers:
        await until(lambda broker=broker: inside(broker).engine.is_held_back)  # type: ignore[misc]
    yield
    own.start()
    for broker in brokers:
        await until(lambda broker=broker: not inside(broker).engine.is_gone)  # type: ignore[misc]


async def take(client: Raw, payload: bytes, qos: int) -> None:
    """The next message is this one; it is acknowledged with the whole handshake."""
    message = await client.expect_message("t", payload, qos)
    if qos == 1:
        await client.send(PubAck(message.packet_id))
    elif qos == 2:
        await client.send(PubRec(message.packet_id))
        await client.expect(PubRel)
        await client.send(PubComp(message.packet_id))


async def test_clients_stay_and_nothing_is_lost_or_comes_twice(
    quick: Cluster, own: RedisServer
) -> None:
    async with (
        nodes(quick, 2) as (one, two),
        joined(one.url, "publisher", expiry=60) as publisher,
        joined(one.url, "early", expiry=60) as early,
        joined(two.url, "subscriber", expiry=60) as subscriber,
        joined(two.url, "clean") as clean,
    ):
        await subscriber.subscribe("t", qos=2)
        await clean.subscribe("near")
        await publisher.publish("t", b"before", 1)
        await take(subscriber, b"before", 1)
        were = [inside(one).membership.node, inside(two).membership.node]
        own.stop()
        for qos in (1, 2):
            await early.send(Publish("t", b"%d" % qos, qos, packet_id=qos))
        async with killed(own, one, two):
            # Nothing is promised, and everybody stays.
            assert await publisher.publish("t", b"refused", 1) == ReasonCode.QUOTA_EXCEEDED
            await publisher.ping()
            await subscriber.publish("near", b"0")
            await clean.expect_message("near", b"0")
        # What was on its way goes on.
        assert await early.expect(PubAck) == PubAck(1)
        assert await early.expect(PubRec) == PubRec(2)
        for qos in (1, 2):
            await take(subscriber, b"%d" % qos, qos)
        await publisher.publish("t", b"after", 2)
        await take(subscriber, b"after", 2)
        assert [inside(one).membership.node, inside(two).membership.node] == were
        await subscriber.ping()
        # What they have is theirs: it is kept, and goes on elsewhere.
        await subscriber.disconnect()
        await publisher.publish("t", b"later", 1)
        async with joined(one.url, "subscriber", expiry=60, clean_start=False) as moved:
            assert moved.connack is not None
            assert moved.connack.session_present
            await take(moved, b"later", 1)


async def test_who_died_meanwhile_is_missed_soon_and_what_it_had_goes_on(
    quick: Cluster, own: RedisServer
) -> None:
    async with nodes(quick, 1) as (one,), node_process(replace(quick, node="two")) as other:
        async with (
            joined(other.url, "durable", expiry=60) as client,
            joined(one.url, "publisher") as publisher,
        ):
            await client.subscribe("t", qos=1)
            async with killed(own, one):
                await other.kill()
            await publisher.publish("t", b"meanwhile", 1)
        async with joined(one.url, "durable", expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            await take(client, b"meanwhile", 1)


async def test_after_a_while_clients_are_let_go(quick: Cluster, own: RedisServer) -> None:
    async with (
        nodes(replace(quick, keep_clients=0.5), 1) as (one,),
        joined(one.url, "durable", expiry=60) as durable,
        joined(one.url, "clean") as clean,
    ):
        await durable.subscribe("t", qos=1)
        before = inside(one).membership.node
        own.stop()
        await durable.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
        await clean.ping()
        own.start()
        journal = core_of(one).journal
        await until(lambda: inside(one).membership.node not in ("", before))
        await until(lambda: journal.failure is None)  # type: ignore[union-attr]
        # What it had as another node is free at once.
        began = trio.current_time()
        async with joined(one.url, "durable", expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
        assert trio.current_time() - began < 20
