"""Matching costs no more than the limits say, whatever filters clients ask for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker.conftest import Join
from tests.inside import core_of, sessions_of
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.routing.filters import FilterPaths, TopicFilter
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import topic_filter_problem, topic_matches_filter

LEVELS = 10


def attack() -> Iterator[str]:
    """All filters of `+` and `a`, each of which matches the topic of `a` alone."""
    return map("/".join, itertools.product(("+", "a"), repeat=LEVELS))


def visited(broker: Broker, topic: str) -> int:
    """How many nodes of the tree the look-up of a topic comes by."""
    nodes = [core_of(broker).router.index._tree.root]
    count = 0
    for level in topic.split("/"):
        nodes = [
            child
            for node in nodes
            for name, child in node.children.items()
            if name in (level, "+", "#")
        ]
        count += len(nodes)
    return count


class TestAttack:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_wildcard_paths_per_session=100, maximum_wildcard_paths=150)

    async def test_one_session_and_all_have_a_bound(self, join: Join, broker: Broker) -> None:
        topic = "/".join("a" * LEVELS)
        reached: list[int] = []
        for name in ("c", "d", "e"):
            client = await join(name)
            codes = []
            filters = list(attack())
            for at in range(0, len(filters), 100):
                codes += await client.subscribe(*filters[at : at + 100])
            assert codes[0] == ReasonCode.SUCCESS or reached
            assert ReasonCode.QUOTA_EXCEEDED in codes
            assert len(sessions_of(broker)[name].paths) <= 100
            reached.append(codes.count(ReasonCode.SUCCESS))
            assert visited(broker, topic) <= 150 + LEVELS
        assert reached[0] > 20
        # What gives way makes room, for whoever comes next.
        await client.disconnect()
        other = await join("f")
        await other.unsubscribe("t")
        assert await other.subscribe("home/kitchen", "#") == [ReasonCode.SUCCESS] * 2

    async def test_what_honest_clients_ask_for_counts_little(
        self, join: Join, broker: Broker
    ) -> None:
        client = await join("c")
        for room in range(300):
            filters = (f"home/{room}/+/state", f"home/{room}/#", f"home/{room}/lamp")
            assert await client.subscribe(*filters) == [ReasonCode.SUCCESS] * 3
        session = sessions_of(broker)["c"]
        assert len(session.paths) == 3  # LL+, LL+L and LL#

    async def test_all_is_given_back(self, join: Join, broker: Broker) -> None:
        client = await join("c", expiry=100)
        filters = ("a/+/b", "a/#", "$share/g/+/x", "plain")
        await client.subscribe(*filters)
        await client.subscribe(*filters, qos=1)  # again, which counts nothing
        session = sessions_of(broker)["c"]
        assert len(session.paths) == len(core_of(broker).subscriptions._paths) == 5
        await client.unsubscribe(*filters[:2])
        assert len(session.paths) == 2
        await client.unsubscribe(*filters)
        assert (
            len(session.paths)
            == len(core_of(broker).subscriptions._paths)
            == session.filter_bytes
            == 0
        )
        await client.subscribe(*filters)
        client = await join("c", clean_start=True)
        assert len(core_of(broker).subscriptions._paths) == 0


class TestBytes:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_subscription_bytes=100_000)

    async def test_the_filters_of_a_session_have_a_bound_in_bytes(self, join: Join) -> None:
        client = await join("c")
        codes = await client.subscribe(*(f"{number}/{'x' * 10_000}" for number in range(20)))
        granted = codes.count(ReasonCode.SUCCESS)
        assert 5 <= granted <= 10
        assert codes[granted:] == [ReasonCode.QUOTA_EXCEEDED] * (20 - granted)


async def test_what_is_remembered_has_a_bound_in_bytes(join: Join, broker: Broker) -> None:
    router = core_of(broker).router
    router.index._remembered_at_most = 50_000
    client = await join("c")
    await client.subscribe("nobody/+")
    for number in range(2_000):
        await client.publish(f"{number}/{'x' * 400}", b"")
    await client.ping()
    assert 0 < len(router.index.remembered) <= 100
    assert router.index._remembered_bytes < 52_000


LEVEL = st.sampled_from(["+", "a", "b"])
FILTERS = st.lists(
    st.tuples(st.lists(LEVEL, min_size=1, max_size=5), st.booleans()).map(
        lambda one: "/".join([*one[0], "#"] if one[1] else one[0])
    ),
    max_size=30,
)


@given(FILTERS, st.lists(st.sampled_from("ab"), min_size=1, max_size=6).map("/".join))
def test_no_topic_matches_more_filters_than_there_are_places(
    filters: list[str], topic: str
) -> None:
    paths = FilterPaths()
    for one in filters:
        assert topic_filter_problem(one) is None
        paths.add(TopicFilter(one).places)
    matching = {one for one in filters if topic_matches_filter(topic, one)}
    assert len(matching) <= len(paths) + 1  # and the one without wildcards
    for one in filters:
        assert paths.more_with(TopicFilter(one).places) == len(paths)
        paths.discard(TopicFilter(one).places)
    assert len(paths) == 0
