"""Shared subscriptions whose members are clients of several nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from tests.cluster.nodes import nodes
from tests.cluster.waiting import known, until
from tests.inside import core_of, has_filters
from trio_mqtt import Broker, BrokerOptions, Cluster, SharedStrategy, open_client

FILTER = "$share/g/t/#"


class Members:
    """Clients that share a filter, and what each has got."""

    def __init__(self) -> None:
        self.got: dict[str, list[str]] = {}

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(texts) for name, texts in self.got.items()}

    @property
    def texts(self) -> list[str]:
        return sorted((text for texts in self.got.values() for text in texts), key=int)


@asynccontextmanager
async def members(*brokers: Broker, first: int = 0) -> AsyncIterator[Members]:
    """One member at each of these, with names from `m0`, or a later one, on."""
    found = Members()

    async def take(name: str, url: str, task_status: trio.TaskStatus[None]) -> None:
        async with (
            open_client(url, client_id=name) as client,
            client.subscribe(FILTER, qos=2) as messages,
        ):
            found.got[name] = []
            task_status.started()
            async for message in messages:
                found.got[name].append(message.text)

    async with trio.open_nursery() as nursery:
        for number, broker in enumerate(brokers, first):
            await nursery.start(take, f"m{number}", broker.url)
        yield found
        nursery.cancel_scope.cancel()


async def publish(broker: Broker, numbers: Sequence[int], *, qos: int = 1) -> None:
    async with open_client(broker.url, client_id="publisher") as client:
        await client.publish_many(((f"t/{n % 3}", str(n)) for n in numbers), qos=qos)


def all_of(numbers: range) -> list[str]:
    return [str(number) for number in numbers]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_each_message_reaches_one_member_wherever_it_is(cluster: Cluster, qos: int) -> None:
    numbers = range(60)
    async with nodes(cluster, 3) as (one, two, three), members(two, three) as found:
        await publish(one, numbers, qos=qos)
        await until(lambda: found.texts == all_of(numbers))


async def test_members_where_it_is_published_come_first(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, two), members(one, two) as found:
        await publish(one, range(20))
        await until(lambda: found.counts == {"m0": 20, "m1": 0})
        await publish(two, range(20, 40))
        await until(lambda: found.counts == {"m0": 20, "m1": 20})


@pytest.mark.parametrize("strategy", list(SharedStrategy))
async def test_strategies_hold_over_all_nodes_if_none_is_preferred(
    cluster: Cluster, strategy: SharedStrategy
) -> None:
    cluster = replace(cluster, prefer_local=False)
    numbers = range(90)
    async with (
        nodes(cluster, 2, options=BrokerOptions(shared_strategy=strategy)) as (one, two),
        members(one, two, two) as found,
    ):
        await known(one, two)
        await publish(one, numbers)
        await until(lambda: found.texts == all_of(numbers))
        counts = Counter(found.counts.values())
        if strategy in (SharedStrategy.HASH, SharedStrategy.STICKY):
            assert counts == {90: 1, 0: 2}
        else:
            assert counts == {30: 3}
        if strategy is SharedStrategy.STICKY:
            # The same one, wherever it is published.
            await publish(two, range(90, 100))
            await until(lambda: sorted(found.counts.values()) == [0, 0, 100])


async def test_who_leaves_gets_nothing_more_and_nothing_is_lost(cluster: Cluster) -> None:
    numbers = range(300)
    async with nodes(cluster, 2) as (one, two), members(two) as stays:
        async with members(one, first=1) as goes:
            await publish(one, range(10))
            await until(lambda: len(goes.texts) == 10)
        await publish(one, numbers)
        await until(lambda: stays.texts == all_of(numbers))
    assert not has_filters(one)
    assert not has_filters(two)


async def test_what_finds_nobody_at_a_node_goes_on_to_another(cluster: Cluster) -> None:
    async with nodes(cluster, 3) as (one, two, three), members(three) as found:
        # The first node thinks that the second one has members, too.
        others = core_of(one).elsewhere.others  # type: ignore[union-attr]
        for other in others.all():
            if other.node.startswith("n2"):
                others.want(other, {FILTER: 5})
        await publish(one, range(30))
        await until(lambda: found.texts == all_of(range(30)))
        assert core_of(two).statistics.messages_sent == 0
