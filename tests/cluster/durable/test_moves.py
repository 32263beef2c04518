"""Durable sessions that go on at another node: what waits for them comes there, each once."""

from __future__ import annotations

import pytest

from tests.cluster.durable.clients import durable_client
from tests.cluster.nodes import nodes
from trio_mqtt import Cluster, open_client


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
