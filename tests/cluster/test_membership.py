"""Nodes join, renew, leave and die; what a dead one leaves is done once, and it stays dead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio

from trio_mqtt import Cluster
from trio_mqtt.cluster.engine.calls import EngineFencedError, EngineGoneError, Script
from trio_mqtt.cluster.engine.engine import Engine, open_engine
from trio_mqtt.cluster.members import number_in, read_members
from trio_mqtt.cluster.membership import Membership, Part
from trio_mqtt.nurseries import tasks_beside

WRITE = Script("return redis.call('INCR', KEYS[1])", fenced=True)


class Told(Part):
    """What it was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def joined(self, node: str) -> None:
        self.told.append(("joined", node))

    async def lost(self, node: str) -> None:
        self.told.append(("lost", node))

    async def died(self, node: str) -> None:
        self.told.append(("died", node))

    async def left(self, node: str) -> None:
        self.told.append(("left", node))


class NodeOfTests:
    def __init__(self, engine: Engine, part: Part) -> None:
        self.engine = engine
        self.membership = Membership(engine, [part], version="1", figures=lambda: {"clients": 7})
        self.scope = trio.CancelScope()

    @property
    def node(self) -> str:
        return self.membership.node

    def kill(self) -> None:
        """It renews no more, and leaves nothing in order."""
        self.scope.cancel()

    async def keep(self, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            await self.membership.keep(task_status=task_status)


@asynccontextmanager
async def a_node(cluster: Cluster, part: Part | None = None) -> AsyncIterator[NodeOfTests]:
    async with open_engine(cluster) as engine, tasks_beside() as nursery:
        one = NodeOfTests(engine, part or Part())
        await nursery.start(one.keep)
        yield one


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds that no event tells of."""
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


@pytest.fixture
def quick(cluster: Cluster) -> Cluster:
    return replace(cluster, lease=1.2, timeout=0.6)


async def test_nodes_see_each_other(cluster: Cluster) -> None:
    quick = replace(cluster, lease=2, timeout=1)
    async with (
        a_node(replace(quick, node="a", server_reference="a:1883")) as a,
        a_node(replace(quick, node="b")) as b,
    ):
        assert a.node.startswith("a-")
        assert {*b.membership.alive} == {a.node, b.node}
        await until(lambda: {*a.membership.alive} == {a.node, b.node})
        first, second = await read_members(a.engine)
        assert (first.node, first.name, first.server_reference) == (a.node, "a", "a:1883")
        assert (second.name, second.version, second.figures) == ("b", "1", {"clients": "7"})
        assert first.since <= second.since < second.lease_end


async def test_figures_that_are_none_are_passed_over(cluster: Cluster) -> None:
    async with a_node(replace(cluster, node="a")) as a:
        key = a.engine.keys.of_node(a.node, "node")
        await a.engine.call("HSET", key, "since", "x", "clients", "many", "sessions", "3")
        (member,) = await read_members(a.engine)
        assert member.since == 0
        assert [number_in(member.figures, name) for name in ("clients", "sessions")] == [0, 3]


async def test_a_node_that_renews_stays(quick: Cluster) -> None:
    told = Told()
    async with a_node(quick, told) as a:
        node = a.node
        before = a.engine.deadline_ms
        await until(lambda: a.engine.deadline_ms > before + 2000)
        assert a.node == node
        assert await a.engine.run(WRITE, [a.engine.keys.shared("x")]) == 1
    assert told.told == [("joined", node)]


async def test_the_end_of_a_lease_is_not_told_too_late(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Membership._run

    async def slowly(self: Membership, script: Script, *arguments: Any) -> Any:  # noqa: ANN401
        reply = await run(self, script, *arguments)
        await trio.sleep(0.3)
        return reply

    monkeypatch.setattr(Membership, "_run", slowly)
    async with a_node(replace(cluster, node="a")) as a, a_node(replace(cluster, node="b")) as b:
        found = next(one for one in await read_members(b.engine) if one.node == a.node)
        seconds, microseconds = await b.engine.call("TIME")
        # The engine goes by whole milliseconds: within that of its end, a lease has not ended yet.
        left = found.lease_end + 0.001 - int(seconds) - int(microseconds) / 1e6
        assert 0 < b.membership.alive[a.node] <= trio.current_time() + left


async def test_what_a_dead_node_leaves_is_done_by_one_other(quick: Cluster) -> None:
    parts = [Told(), Told(), Told()]
    async with (
        a_node(quick, parts[0]) as a,
        a_node(quick, parts[1]) as b,
        a_node(quick, parts[2]) as c,
    ):
        dead = a.node
        a.kill()
        keys = b.engine.keys
        with trio.fail_after(60):
            while True:
                await trio.sleep(0.01)
                if await b.engine.call("ZSCORE", keys.nodes, dead) is None:
                    break
        told = [one for part in parts for one in part.told if one[0] == "died"]
        assert told == [("died", dead)]
        assert await b.engine.call("EXISTS", keys.of_node(dead, "node")) == 0
        assert await b.engine.call("EXISTS", keys.of_node(dead, "help")) == 0
        await until(lambda: {*b.membership.alive} == {b.node, c.node} == {*c.membership.alive})


async def test_another_goes_on_where_a_helper_dies(quick: Cluster) -> None:
    class Stuck(Part):
        def __init__(self) -> None:
            self.begun = trio.Event()

        async def died(self, node: str) -> None:
            self.begun.set()
            await trio.sleep_forever()

    stuck, told = Stuck(), Told()
    async with a_node(quick) as a, a_node(quick, stuck) as helper:
        dead = a.node
        a.kill()
        await stuck.begun.wait()
        async with a_node(quick, told):
            # Longer than a lease: its lock is renewed with it.
            await trio.sleep(1.5)
            assert ("died", dead) not in told.told
            second = helper.node
            helper.kill()
            await until(lambda: {("died", dead), ("died", second)} <= {*told.told})


async def test_a_node_without_a_lease_is_fenced_and_joins_as_another(quick: Cluster) -> None:
    told = Told()
    async with a_node(quick, told) as a, open_engine(quick) as other:
        first, key, lease_end = a.node, a.engine.keys.shared("x"), a.engine.deadline_ms
        await other.call("ZREM", other.keys.nodes, first)
        await until(lambda: bool(a.node) and a.node != first)
        second = a.node
        await until(lambda: ("joined", second) in told.told)
        assert told.told == [("joined", first), ("lost", first), ("joined", second)]
        await trio.sleep(1.3)
        other.deadline_ms = lease_end
        with pytest.raises(EngineFencedError):
            await other.run(WRITE, [key])


async def test_a_refusal_makes_a_node_look_at_once(cluster: Cluster) -> None:
    told = Told()
    async with a_node(
        replace(cluster, lease=600), told
    ) as a:  # else it looks at each third of that
        first = a.node
        await a.engine.call("ZREM", a.engine.keys.nodes, first)
        a.membership.doubt()
        await until(lambda: ("lost", first) in told.told)


async def test_a_node_leaves_in_order(quick: Cluster) -> None:
    parts = [Told(), Told()]
    async with a_node(quick, parts[0]) as a, a_node(quick, parts[1]) as b:
        gone = a.node
        await a.membership.leave()
        assert a.engine.deadline_ms == 0
        await until(lambda: {*b.membership.alive} == {b.node})
        assert [one.node for one in await read_members(b.engine)] == [b.node]
        assert parts[0].told == [("joined", gone), ("left", gone)]
        assert parts[1].told == [("joined", b.node)]


async def test_what_cannot_be_given_up_in_order_others_do(quick: Cluster) -> None:
    class Unable(Part):
        async def left(self, node: str) -> None:
            raise EngineGoneError("as it were")

    told = Told()
    async with a_node(quick, Unable()) as a, a_node(quick, told):
        gone = a.node
        await a.membership.leave()
        await until(lambda: ("died", gone) in told.told)


async def test_a_part_joins_again_where_the_engine_goes_meanwhile(cluster: Cluster) -> None:
    class Second(Told):
        async def joined(self, node: str) -> None:
            await super().joined(node)
            if len(self.told) == 1:
                raise EngineGoneError("as it were")

    told = Second()
    async with a_node(cluster, told) as a:
        assert told.told == [("joined", a.node)] * 2


async def test_a_part_joins_again_where_it_is_refused_as_the_lease_is_renewed(
    cluster: Cluster,
) -> None:
    class Refused(Told):
        async def joined(self, node: str) -> None:
            await super().joined(node)
            if len(self.told) == 1:
                raise EngineFencedError("as it were")

    told = Refused()
    with trio.fail_after(60):
        async with a_node(cluster, told) as a:
            assert told.told == [("joined", a.node)] * 2
