"""What becomes of sessions while a node cannot reach the engine, and once it can again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from tests.broker.opened import joined
from tests.broker.raw import Raw
from tests.cluster.nodes import nodes
from tests.cluster.proxy import Proxy, open_proxy
from tests.cluster.redis import RedisServer
from tests.cluster.sessions.test_wills_and_ends import watched, will, wills
from tests.cluster.waiting import until
from tests.inside import core_of
from tests.transport.dialing import dial
from trio_mqtt import Broker, Cluster, ReasonCode
from trio_mqtt.protocol.packets import ConnAck, Connect


@asynccontextmanager
async def cut_off(
    cluster: Cluster, redis: RedisServer, lease: float = 60, keep_clients: float = 0
) -> AsyncIterator[tuple[Broker, Proxy]]:
    """A node, and what lies between it and the engine."""
    async with open_proxy(redis) as between:
        far = replace(
            cluster, url=between.url, lease=lease, timeout=lease / 2, keep_clients=keep_clients
        )
        async with nodes(far, 1) as (broker,):
            yield broker, between


def cut(between: Proxy) -> None:
    between.refuses = True
    between.cut()


async def refused(broker: Broker, connect: Connect) -> ReasonCode:
    async with await dial(broker.url) as stream:
        client = Raw(stream)
        await client.send(connect)
        answer = await client.expect(ConnAck)
        await client.expect_closed()
        return answer.reason_code


async def test_who_is_there_stays_and_nobody_is_promised_a_session(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        cut_off(cluster, redis) as (broker, between),
        joined(broker.url, "clean") as clean,
        joined(broker.url, "durable", expiry=60) as durable,
    ):
        await clean.subscribe("a")
        cut(between)
        for connect in (
            Connect("x", True, 0),
            Connect("x", False, 0),
            Connect("", True, 0, properties={"session_expiry_interval": 5}),
        ):
            assert await refused(broker, connect) == ReasonCode.SERVER_UNAVAILABLE
        await durable.publish("a", b"1")
        await clean.expect_message("a", b"1")
        async with joined(broker.url, "") as unknown:
            await unknown.publish("a", b"2")
            await clean.expect_message("a", b"2")
        between.refuses = False  # so that it may leave in order


async def test_once_it_is_back_they_are_connected_in_all_of_the_cluster(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 1) as (other,),
        cut_off(cluster, redis) as (broker, between),
        joined(broker.url, "clean") as clean,
    ):
        cut(between)
        async with joined(broker.url, "") as unknown:
            assert unknown.connack is not None
            client_id = unknown.connack.properties["assigned_client_identifier"]
            between.refuses = False
            elsewhere = core_of(broker).sessions.elsewhere
            await until(lambda: elsewhere.holds.has(client_id))  # type: ignore[union-attr]
            async with joined(other.url, client_id):
                await unknown.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
            async with joined(other.url, "clean"):
                await clean.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)


async def test_who_went_meanwhile_has_left_once_it_is_back(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with nodes(cluster, 1) as (other,), cut_off(cluster, redis) as (broker, between):
        async with joined(broker.url, expiry=60) as client:
            await client.subscribe("a")
            cut(between)
            await client.disconnect()
        between.refuses = False
        began = trio.current_time()
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            assert trio.current_time() - began < 20  # it did not wait for the lease to end


async def test_past_its_lease_a_node_lets_durable_sessions_go(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 1) as (other,),
        cut_off(cluster, redis, lease=1.5) as (broker, between),
        joined(broker.url, "clean") as clean,
        joined(broker.url, "durable", expiry=60) as durable,
    ):
        await durable.subscribe("a")
        between.stop()
        await durable.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
        await clean.ping()
        async with joined(other.url, "durable", expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
        between.cut()
        between.go_on()
        elsewhere = core_of(broker).sessions.elsewhere
        await until(lambda: elsewhere.holds.has("clean"))  # type: ignore[union-attr]
        async with joined(other.url, "clean"):
            await clean.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
        async with joined(broker.url, "durable", expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present


async def test_clients_that_stay_past_the_lease_are_not_served_where_another_node_has_them(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 1) as (other,),
        cut_off(cluster, redis, lease=1.5, keep_clients=60) as (broker, between),
        joined(broker.url, "taken", expiry=60) as taken,
        joined(broker.url, "left", expiry=60) as left,
    ):
        await taken.subscribe("a")
        between.stop()
        # Taken from a node that is dead by then, though its clients are there.
        async with joined(other.url, "taken", expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            await taken.ping()
            await left.ping()
            between.cut()
            between.go_on()
            for one in (taken, left):
                await one.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
            await client.publish("a", b"1")
            await client.expect_message("a", b"1")


async def test_a_will_that_is_due_meanwhile_is_published_once(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 1) as (other,),
        watched(other) as watcher,
        cut_off(cluster, redis, lease=1.5) as (broker, between),
        joined(broker.url, "here") as here,
    ):
        async with joined(broker.url, will=will()) as client:
            between.stop()
            await client.drop()
        await watcher.expect_message("w", b"gone", 1)
        between.cut()
        between.go_on()
        elsewhere = core_of(broker).sessions.elsewhere
        await until(lambda: elsewhere.holds.has("here"))  # type: ignore[union-attr]
        await here.ping()
        assert await wills(watcher, broker) == []


async def test_a_session_that_has_begun_elsewhere_meanwhile_is_not_taken_back(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 1) as (other,),
        cut_off(cluster, redis, lease=1.5) as (broker, between),
        joined(broker.url) as before,
        joined(broker.url, "durable", expiry=60) as durable,
    ):
        between.stop()
        await durable.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)  # its lease is lost
        async with joined(other.url, expiry=60) as client:
            await client.subscribe("a")
            await client.disconnect()
        between.cut()
        between.go_on()
        await before.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            await client.publish("a", b"1")
            await client.expect_message("a", b"1")
