"""What logs keep for sessions that do not have their filter, is kept no longer."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.broker.opened import joined
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from tests.inside import core_of
from trio_mqtt import Broker, Cluster
from trio_mqtt.broker.clustering.cluster_node import ClusterNode
from trio_mqtt.broker.clustering.durable.sweeping import Sweeping


def sweeping_of(broker: Broker) -> Sweeping:
    node = core_of(broker).elsewhere
    assert isinstance(node, ClusterNode)
    return node.durable.sweeping


def holders(redis: RedisServer, cluster: Cluster, topic_filter: str) -> set[bytes]:
    key = f"{{{cluster.name}/f/{topic_filter}}}:holders"
    return {*redis.command("ZRANGE", key, "0", "-1").split(b"\r\n")[2::2]}


def lose(redis: RedisServer, cluster: Cluster, client: str, *fields: str) -> None:
    """What an engine loses of a session, and not of its logs."""
    key = f"{{{cluster.name}/c/{client}}}:session"
    assert redis.command("HDEL", key, *fields) == b":%d\r\n" % len(fields)


async def test_who_does_not_have_a_filter_holds_back_nothing(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with nodes(cluster, 1) as (one,), AsyncExitStack() as stack:
        for name in ("away", "ended", "other"):
            async with joined(one.url, name, expiry=600) as client:
                for topic_filter in ("a", "$share/g/a"):
                    await client.subscribe(topic_filter, qos=1)
        stays = await stack.enter_async_context(joined(one.url, "stays", expiry=600))
        await stays.subscribe("a", qos=1)
        await stays.subscribe("b", qos=1)
        for name in ("away", "ended", "other"):
            key = f"{{{cluster.name}/c/{name}}}:session"
            await until(lambda key=key: redis.command("HEXISTS", key, "node") == b":0\r\n")  # type: ignore[misc]
        redis.command("DEL", f"{{{cluster.name}/c/ended}}:session")
        # Another has begun under its name, elsewhere, and not come to its filters yet.
        lose(redis, cluster, "other", "s:a", "s:$share/g/a")
        redis.command("HINCRBY", f"{{{cluster.name}/c/other}}:session", "epoch", "1")
        # One that its node has still under the epoch of the log may be about to have it.
        lose(redis, cluster, "stays", "s:b")
        await sweeping_of(one).sweep()
        assert holders(redis, cluster, "a") == {b"away", b"stays"}
        assert holders(redis, cluster, "$share/g/a") == {b"away"}
        assert holders(redis, cluster, "b") == {b"stays"}


async def test_what_somebody_has_written_over_stops_nothing_else(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with nodes(cluster, 1) as (one,), AsyncExitStack() as stack:
        stays = await stack.enter_async_context(joined(one.url, "stays", expiry=600))
        for topic_filter in ("a", "b", "c", "d"):
            await stays.subscribe(topic_filter, qos=1)
        async with joined(one.url, "ended", expiry=600) as client:
            await client.subscribe("d", qos=1)
        key = f"{{{cluster.name}/c/ended}}:session"
        await until(lambda: redis.command("HEXISTS", key, "node") == b":0\r\n")
        redis.command("DEL", key)
        lose(redis, cluster, "stays", "s:a", "s:b")
        for topic_filter, word in (("a", "epochs"), ("c", "holders")):
            redis.command("SET", f"{{{cluster.name}/f/{topic_filter}}}:{word}", "x")
        await sweeping_of(one).sweep()
        for topic_filter in ("a", "b", "d"):
            assert holders(redis, cluster, topic_filter) == {b"stays"}


async def test_one_node_looks_within_the_time(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_mqtt.broker.clustering.durable.sweeping._EVERY", 0.05)
    async with nodes(cluster, 2) as brokers, joined(brokers[0].url, "stays", expiry=600) as client:
        await client.subscribe("a", qos=1)
        async with joined(brokers[1].url, "s", expiry=600) as other:
            await other.subscribe("a", qos=1)
        await until(
            lambda: redis.command("HEXISTS", f"{{{cluster.name}/c/s}}:session", "node") == b":0\r\n"
        )
        redis.command("DEL", f"{{{cluster.name}/c/s}}:session")
        await until(lambda: holders(redis, cluster, "a") == {b"stays"})
        redis.command("SET", f"{{{cluster.name}}}:swept", "x")
        assert not [one for one in brokers if await sweeping_of(one)._is_mine()]
