"""`$SYS` tells of each node, and of the cluster."""

from __future__ import annotations

from dataclasses import replace

import trio

from tests.cluster.nodes import nodes
from trio_mqtt import BrokerOptions, Cluster, open_client


async def test_each_node_tells_of_itself_and_all_of_the_cluster(cluster: Cluster) -> None:
    cluster = replace(cluster, lease=1.0, timeout=0.5)
    options = BrokerOptions(system_topics_interval=0.1)
    told: dict[str, str] = {}
    wanted = {
        "clients/connected": "2",
        "cluster/name": cluster.name,
        "cluster/node": "n1",
        "cluster/nodes/count": "2",
        "cluster/clients/connected": "3",
        "cluster/sessions/count": "3",
    }
    async with (
        nodes(cluster, 2, options=options) as (one, two),
        open_client(one.url) as first,
        open_client(one.url),
        open_client(two.url),
        first.subscribe("$SYS/broker/#") as messages,
    ):
        with trio.fail_after(60):
            async for message in messages:
                told[message.topic.removeprefix("$SYS/broker/")] = message.text
                if wanted.items() <= told.items():
                    break
        assert {"cluster/publish/received", "cluster/publish/sent"} <= told.keys()
