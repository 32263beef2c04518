"""Who is alive, dead for ever, or may come back, as the engine keeps it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from trio_mqtt import Cluster
from trio_mqtt.cluster import leases
from trio_mqtt.cluster.engine.engine import Engine, open_engine

LEASE = 1200  # milliseconds


class LeasesOfTests:
    """What nodes say of themselves, and ask."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._keys = [engine.keys.nodes, engine.keys.seen]

    async def join(self, node: str, former: str = "") -> None:
        keys = [*self._keys, self._engine.keys.of_node(node, "node")]
        await self._engine.run(leases.JOIN, keys, LEASE, node, former, "name", node)

    async def renews(self, node: str) -> bool:
        keys = [*self._keys, self._engine.keys.of_node(node, "node")]
        return await self._engine.run(leases.RENEW, keys, LEASE, node) is not None

    async def is_alive(self, node: str) -> bool:
        return bool(await self._engine.run(leases.IS_ALIVE, self._keys, LEASE, node) == 1)

    async def pass_by(self, part: float) -> None:
        """So large a part of a lease goes by."""
        await trio.sleep(part * LEASE / 1000)


@pytest.fixture
async def nodes(cluster: Cluster) -> AsyncIterator[LeasesOfTests]:
    async with open_engine(cluster) as engine:
        yield LeasesOfTests(engine)


async def test_whoever_is_seen_past_its_lease_is_dead_for_ever(nodes: LeasesOfTests) -> None:
    await nodes.join("a")
    await nodes.join("b")
    for _ in range(4):
        await nodes.pass_by(0.3)
        assert await nodes.renews("b")
    assert not await nodes.is_alive("a")
    assert not await nodes.renews("a")
    assert await nodes.is_alive("b")


async def test_a_node_that_nobody_has_missed_yet_renews(nodes: LeasesOfTests) -> None:
    await nodes.join("a")
    await nodes.pass_by(1.2)
    assert await nodes.renews("a")


async def test_where_nobody_was_here_all_have_time_to_come_back(nodes: LeasesOfTests) -> None:
    for node in "abc":
        await nodes.join(node)
    await nodes.pass_by(1.5)
    # Whoever is first, another or one of them, finds them alive.
    await nodes.join("d", former="c")
    assert await nodes.is_alive("a")
    assert await nodes.renews("a")
    assert not await nodes.is_alive("c"), "it said that it is no more"
    # But not for long.
    await nodes.pass_by(0.3)
    assert await nodes.renews("a")
    await nodes.pass_by(0.3)
    assert not await nodes.renews("b")
    assert await nodes.renews("a")


async def test_who_was_dead_before_is_so_when_all_come_back(nodes: LeasesOfTests) -> None:
    await nodes.join("a")
    await nodes.join("b")
    for _ in range(3):
        await nodes.pass_by(0.4)
        assert await nodes.renews("b")
    await nodes.pass_by(1.5)
    assert await nodes.renews("b")
    assert not await nodes.renews("a")
