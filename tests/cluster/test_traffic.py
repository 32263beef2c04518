"""Messages between the nodes of a cluster."""

from __future__ import annotations

import pytest

from tests.cluster.nodes import nodes
from trio_mqtt import Cluster, open_client


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_is_published_at_one_node_reaches_who_wants_it_at_another(
    cluster: Cluster, qos: int
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url, client_id="publisher") as publisher,
        open_client(other.url, client_id="subscriber") as subscriber,
        subscriber.subscribe("a/+", qos=2) as messages,
    ):
        for number in range(100):
            await publisher.publish(f"a/{number % 3}", str(number), qos=qos)
            await publisher.publish("b", "nobody wants this", qos=qos)
        got = [await anext(messages) for _ in range(100)]
        assert [message.payload for message in got] == [str(n).encode() for n in range(100)]
        assert {message.qos for message in got} == {qos}
        assert [message.topic for message in got] == [f"a/{n % 3}" for n in range(100)]
