"""The engine goes and comes back: nothing that was not acknowledged is lost, or there twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import trio

from tests.broker.opened import joined
from tests.cluster.durable.clients import durable_client
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer, redis_server
from trio_mqtt import Cluster, open_client
from trio_mqtt.protocol.packets import PubAck, Publish

OPTIONS = "--appendonly", "yes", "--appendfsync", "always"


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """An engine of the test's own, which keeps everything."""
    with redis_server(*OPTIONS) as server:
        yield server


async def test_what_was_not_acknowledged_goes_on_when_the_engine_is_back(
    cluster: Cluster, own: RedisServer
) -> None:
    cluster = replace(cluster, url=own.url, timeout=2.0)
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        durable_client(other.url, "s") as subscriber,
        subscriber.subscribe("a", qos=1) as messages,
    ):
        await publisher.send(Publish("a", b"0", 1, packet_id=1))
        await publisher.expect(PubAck)
        own.stop()
        await publisher.send(Publish("a", b"1", 1, packet_id=2))
        await publisher.expect_nothing(0.3)
        own.start()
        assert (await publisher.expect(PubAck)).packet_id == 2
        await publisher.send(Publish("a", b"2", 1, packet_id=3))
        await publisher.expect(PubAck)
        got = [(await anext(messages)).payload for _ in range(3)]
        assert got == [b"0", b"1", b"2"]
        with trio.move_on_after(0.3):
            raise AssertionError(await anext(messages))


async def test_a_log_that_is_cut_off_ends_the_session_of_who_was_away(cluster: Cluster) -> None:
    async with (
        nodes(replace(cluster, log_messages=64), 2) as (one, other),
        open_client(one.url, client_id="p") as publisher,
    ):
        async with joined(one.url, "s", expiry=600) as client:
            await client.subscribe("a", qos=1)
            await client.disconnect()
        async with joined(other.url, "t", expiry=600) as client:
            await client.subscribe("a", qos=1)
            for number in range(40):
                await publisher.publish("a", str(number), qos=1)
        for number in range(40, 200):
            await publisher.publish("a", str(number), qos=1)
        for name in ("s", "t"):
            async with joined(other.url, name, expiry=600, clean_start=False) as client:
                assert client.connack is not None
                assert not client.connack.session_present
                await client.expect_nothing()
                await client.subscribe("a", qos=1)
                await publisher.publish("a", "new", qos=1)
                assert (await client.expect_any()).payload == b"new"
                await client.disconnect()
