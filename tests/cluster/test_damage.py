"""What others have written where nodes read is left out, and counted: it ends no node."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from trio_mqtt import Broker, Cluster, open_client

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.cluster_node import ClusterNode

# An item that says that a node is gone, and one that copies were missed: of no UTF-8.
GONE = r'"\x01\x03\x00\x00\x00\x01\xff"'
MISSED = r'"\x01\x21\x00\x00\x00\x01\xff"'


def node_of(broker: Broker) -> ClusterNode:
    return cast("ClusterNode", broker._core.elsewhere)


async def follow(one: Broker, other: Broker) -> None:
    """What is read after the damage is done."""
    async with (
        open_client(one.url) as publisher,
        open_client(other.url) as subscriber,
        subscriber.subscribe("a", qos=1) as messages,
    ):
        await publisher.publish("a", b"after it", qos=1)
        assert (await anext(messages)).payload == b"after it"


@pytest.mark.parametrize(("field", "value"), [("x", "y"), ("e", "none"), ("e", MISSED)])
async def test_what_is_no_entry_in_an_inbox_is_left_out(
    cluster: Cluster, redis: RedisServer, field: str, value: str
) -> None:
    async with nodes(cluster, 2) as (one, other):
        node = node_of(other)
        inbox = node.engine.keys.inbox(node.membership.node).decode()
        assert redis.command("XADD", inbox, "*", field, value).startswith(b"$")
        await follow(one, other)
        assert node.arrivals.damaged == 1


@pytest.mark.parametrize(("field", "value"), [("x", "y"), ("e", "none"), ("e", GONE)])
async def test_what_is_no_change_is_left_out(
    cluster: Cluster, redis: RedisServer, field: str, value: str
) -> None:
    async with nodes(cluster, 2) as (one, other):
        keys = node_of(one).engine.keys
        number = int(redis.command("INCR", keys.changes_number.decode())[1:])
        added = redis.command("XADD", keys.changes.decode(), f"{number}-1", field, value)
        assert added.startswith(b"$")
        await follow(one, other)
        assert [node_of(each).following.damaged for each in (one, other)] == [1, 1]
