"""A session has a filter no more: its log is told so after the session is kept without it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.broker.opened import joined
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from trio_mqtt import Broker, Cluster
from trio_mqtt.cluster.durable_filters import DurableFilters
from trio_mqtt.cluster.engine.engine import open_engine
from trio_mqtt.cluster.logs import Logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio_mqtt.cluster.positions import EntryId

YES, NO = b":1\r\n", b":0\r\n"


class Kept:
    """What the engine has of a session `s` and its filter `a`."""

    def __init__(self, redis: RedisServer, cluster: Cluster) -> None:
        self._command = redis.command
        self._session = f"{{{cluster.name}/c/s}}:session"
        self._holders = f"{{{cluster.name}/f/a}}:holders"

    def has(self, field: str) -> bool:
        return self._command("HEXISTS", self._session, field) == YES

    def is_held(self) -> bool:
        """Whether the log keeps what is for the session."""
        return self._command("ZSCORE", self._holders, "s").startswith((b"$1", b","))


@pytest.fixture
def kept(redis: RedisServer, cluster: Cluster) -> Kept:
    return Kept(redis, cluster)


@asynccontextmanager
async def left_by_a_node_that_dies(
    cluster: Cluster, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Broker]:
    """Another node, where one ends between what its session says and what it tells the log."""
    async with nodes(cluster, 2) as (one, other), joined(other.url, "holder", expiry=600) as second:
        await second.subscribe("a", qos=1)
        async with joined(one.url, "s", expiry=600) as client:
            await client.subscribe("a", qos=1)
            await until(lambda: kept.is_held() and kept.has("k/a"))
            with monkeypatch.context() as patched:
                patched.setattr(Logs, "release", never)
                await client.unsubscribe("a")
                assert not kept.has("s:a")
                assert not kept.has("k/a")
                await client.ping()
        assert kept.is_held()
        yield other


async def never(*_: object) -> int:
    await trio.sleep_forever()


async def test_a_log_lets_go_of_what_is_for_a_session_once_that_is_kept_without_it(
    cluster: Cluster, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its node dies before, it is whole wherever its client comes next."""
    release, told = Logs.release, []

    async def watched(logs: Logs, topic_filter: str, sessions: Mapping[str, int]) -> int:
        told.append((kept.has("k/a"), kept.has("s:a")))
        return await release(logs, topic_filter, sessions)

    monkeypatch.setattr(Logs, "release", watched)
    async with nodes(cluster, 1) as (one,), joined(one.url, "s", expiry=600) as client:
        for _ in range(5):
            await client.subscribe("a", qos=1)
            await until(lambda: kept.has("k/a"))
            await client.unsubscribe("a")
            await until(lambda: not kept.is_held())
        await until(lambda: not kept.has("r/a"))
    assert told == [(False, False)] * 5


async def test_what_a_dead_node_has_not_told_a_log_the_next_node_of_the_session_does(
    cluster: Cluster, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        left_by_a_node_that_dies(cluster, kept, monkeypatch) as other,
        joined(other.url, "s", expiry=600, clean_start=False) as client,
    ):
        await until(lambda: not kept.is_held() and not kept.has("r/a"))
        await client.ping()


async def test_what_a_dead_node_has_not_told_a_log_is_told_where_the_session_ends(
    cluster: Cluster, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        left_by_a_node_that_dies(cluster, kept, monkeypatch) as other,
        joined(other.url, "s") as client,
    ):
        await until(lambda: not kept.is_held())
        await client.ping()


async def test_who_subscribes_again_holds_the_log_whatever_was_still_to_be_told(
    cluster: Cluster, kept: Kept
) -> None:
    async with nodes(cluster, 1) as (one,), joined(one.url, "s", expiry=600) as client:
        for _ in range(10):
            await client.subscribe("a", qos=1)
            await client.unsubscribe("a")
        await client.subscribe("a", qos=1)
        await until(lambda: kept.is_held() and not kept.has("r/a"))


@pytest.mark.parametrize("topic_filter", ["a", "$share/g/a"])
async def test_a_log_holds_what_is_for_a_session_once_that_is_kept_with_the_filter(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, topic_filter: str
) -> None:
    """If its node dies before, no log goes on for ever for nobody."""
    kept, hold, found = Kept(redis, cluster), Logs.hold, []

    async def watched(logs: Logs, text: str, session: str, epoch: int = 0) -> tuple[EntryId, int]:
        found.append(kept.has(f"s:{text}"))
        return await hold(logs, text, session, epoch)

    monkeypatch.setattr(Logs, "hold", watched)
    async with nodes(cluster, 1) as (one,), joined(one.url, "s", expiry=600) as client:
        for _ in range(5):
            await client.subscribe(topic_filter, qos=1)
            await client.unsubscribe(topic_filter)
    assert found
    assert all(found)


async def test_who_has_a_filter_later_holds_it_though_another_is_heard_late(
    cluster: Cluster,
) -> None:
    async with open_engine(cluster) as engine:
        engine.deadline_ms = 1 << 45
        logs = Logs(engine)
        await logs.hold("a", "s", 8)
        await logs.hold("a", "s", 5)  # of a node that had the session before
        assert await logs.release("a", {"s": 5}) == 1
        assert await logs.release("a", {"s": 8}) == 0


@pytest.mark.parametrize("topic_filter", ["a/#", "$share/g/a/#"])
async def test_what_nobody_has_any_more_is_written_to_no_log_though_its_node_died(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, topic_filter: str
) -> None:
    durable, holders = f"{{{cluster.name}}}:durable", f"{{{cluster.name}/f/{topic_filter}}}:holders"
    async with nodes(cluster, 2) as (one, other), joined(other.url, "p") as publisher:
        with monkeypatch.context() as patched:
            patched.setattr(DurableFilters, "no_longer", never)
            async with joined(one.url, "s", expiry=600) as client:
                await client.subscribe(topic_filter, qos=1)
                assert redis.command("EXISTS", holders) == YES
                await client.unsubscribe(topic_filter)
                await until(lambda: redis.command("EXISTS", holders) == NO)
        assert redis.command("HEXISTS", durable, topic_filter) == YES
        await publisher.publish("a/1", b"for nobody", 1)
        await until(lambda: redis.command("HEXISTS", durable, topic_filter) == NO)
        async with joined(other.url, "s", expiry=600) as client:
            await client.subscribe(topic_filter, qos=1)
            await publisher.publish("a/2", b"for it", 1)
            assert (await client.expect_any()).payload == b"for it"
