"""Who is banned at one node of a cluster may connect to none, and is disconnected from all."""

from __future__ import annotations

import pytest

from tests.broker.opened import joined
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from tests.inside import core_of
from trio_mqtt import Cluster, ConnectionRefusedByBrokerError, ReasonCode, StoreError, open_client
from trio_mqtt.administration import BanName, NewBan
from trio_mqtt.broker.clustering.cluster_node import ClusterNode


async def is_let_in(url: str) -> bool:
    try:
        async with open_client(url, client_id="c"):
            return True
    except ConnectionRefusedByBrokerError as error:
        return error.reason_code != ReasonCode.BANNED


async def test_a_ban_holds_at_all_nodes_until_it_is_lifted_at_any(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "d") as other_client,
        joined(other.url, "c") as client,
    ):
        await one.administration.ban(NewBan(kind="client", value="c", reason="floods"))
        await client.expect_disconnect(ReasonCode.ADMINISTRATIVE_ACTION)
        assert not await is_let_in(other.url)
        (ban,) = (await other.administration.bans()).items
        assert ban.reason == "floods"
        await other.administration.unban(BanName(kind="client", value="c"))
        await until(lambda: not len(core_of(one).bans))
        assert await is_let_in(one.url)
        await other_client.ping()


async def test_who_stays_connected_at_one_node_does_at_all(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), joined(other.url, "c") as client:
        await one.administration.ban(NewBan(kind="client", value="c", disconnect=False))
        await until(lambda: len(core_of(other).bans) == 1)
        await client.ping()


async def test_bans_outlive_all_nodes_and_those_that_are_over_go(
    cluster: Cluster, redis: RedisServer
) -> None:
    key = f"{{{cluster.name}}}:bans"
    async with nodes(cluster, 1) as (one,):
        elsewhere = core_of(one).elsewhere
        assert isinstance(elsewhere, ClusterNode)
        elsewhere.following.handlers = {}  # it hears late of what it has said itself
        await one.administration.ban(NewBan(kind="user", value="soon", seconds=0.001))
        assert redis.command("HLEN", key) == b":1\r\n"
        await until(lambda: not core_of(one).bans.all())
        await one.administration.ban(NewBan(kind="client", value="c"))
    async with nodes(cluster, 1) as (later,):
        assert not await is_let_in(later.url)
    assert redis.command("HKEYS", key) == b"*1\r\n$8\r\nclient/c\r\n"


async def test_what_a_node_has_missed_it_reads_as_it_joins_anew(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other):
        await one.administration.ban(NewBan(kind="client", value="c"))
        elsewhere = core_of(other).elsewhere
        assert isinstance(elsewhere, ClusterNode)
        await until(lambda: len(core_of(other).bans) == 1)
        core_of(other).bans.remove("client", "c")
        core_of(other).bans.add((await one.administration.bans()).items[0])
        handlers = elsewhere.following.handlers
        missed = {kind: handlers[kind] for kind in handlers}
        elsewhere.following.handlers = {}
        await one.administration.unban(BanName(kind="client", value="c"))
        await one.administration.ban(NewBan(kind="client", value="d"))
        await elsewhere.changes.read(count=1, block=0.01)
        elsewhere.following.handlers = missed
        await elsewhere._bans.load()
        assert [ban.value for ban in core_of(other).bans.all()] == ["d"]


async def test_who_bans_hears_that_it_holds_here_alone(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with nodes(cluster, 1) as (one,):
        key = f"{{{cluster.name}}}:bans"
        redis.command("SET", key, "x")
        with pytest.raises(StoreError, match="at this broker alone"):
            await one.administration.ban(NewBan(kind="client", value="c"))
        assert not await is_let_in(one.url)
        redis.command("DEL", key)
