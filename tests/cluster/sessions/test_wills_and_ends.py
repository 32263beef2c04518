"""Wills, and ends of sessions whose clients are away, are the whole cluster's (MQTT 5.0 §3.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from tests.broker.opened import joined
from tests.broker.raw import Raw
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from tests.inside import core_of
from trio_mqtt import Broker, Cluster, ReasonCode
from trio_mqtt.broker.clustering.cluster_node import ClusterNode
from trio_mqtt.broker.clustering.due_sessions import DueSessions
from trio_mqtt.broker.clustering.kept_wills import KeptWills
from trio_mqtt.broker.sessions.kept_rows import will_bytes
from trio_mqtt.cluster.kept_session import KeptSession
from trio_mqtt.events import SessionEnded
from trio_mqtt.protocol.packets import Publish, Will

OVER = ReasonCode.SESSION_TAKEN_OVER


def will(payload: bytes = b"gone", *, delay: int = 0, qos: int = 1) -> Will:
    return Will("w", payload, qos, properties={"will_delay_interval": delay} if delay else {})


@asynccontextmanager
async def watched(*brokers: Broker) -> AsyncIterator[Raw]:
    """A client at the first of them that is sent wills, wherever they are published."""
    async with joined(brokers[0].url, "watcher") as watcher:
        await watcher.subscribe("w", qos=1)
        yield watcher


async def wills(watcher: Raw, broker: Broker) -> list[bytes]:
    """The wills that have come by the time that another message has, from this node."""
    async with joined(broker.url, "marker") as marker:
        await marker.publish("w", b"-", 1)
    found = []
    while (message := await watcher.expect_any()).payload != b"-":
        found.append(message.payload)
    return found


async def test_a_client_that_is_lost_leaves_its_will_to_all_nodes(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with joined(other.url, will=will()) as client:
            await client.drop()
        await watcher.expect_message("w", b"gone", 1)
        async with joined(other.url, will=will(), expiry=60) as client:
            await client.drop()
        await watcher.expect_message("w", b"gone", 1)
        assert await wills(watcher, other) == []


async def test_of_many_that_are_lost_at_once_none_waits_for_long(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with AsyncExitStack() as stack:
            for number in range(100):
                said = will(b"%d" % number)
                opening = joined(other.url, f"c{number}", will=said, expiry=60 * (number % 2))
                await stack.enter_async_context(opening)
        began = trio.current_time()
        found = [(await watcher.expect_any()).payload for _ in range(100)]
        assert trio.current_time() - began < cluster.lease
        assert sorted(found, key=int) == [b"%d" % number for number in range(100)]


async def test_who_says_goodbye_leaves_none(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        for expiry in (None, 60):
            async with joined(other.url, will=will(), expiry=expiry) as client:
                await client.disconnect()
        async with joined(one.url, expiry=60, clean_start=False):
            assert await wills(watcher, other) == []


@pytest.mark.parametrize("expiry", [None, 60])
async def test_who_is_taken_over_leaves_it_once(cluster: Cluster, expiry: int | None) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        watched(one) as watcher,
        joined(one.url, will=will(b"first"), expiry=expiry) as first,
        joined(other.url, will=will(b"second"), expiry=expiry, clean_start=False) as second,
    ):
        await first.expect_disconnect(OVER)
        await watcher.expect_message("w", b"first", 1)
        await second.disconnect()
        assert await wills(watcher, other) == []


async def test_a_will_is_delayed_wherever_its_client_was(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with joined(other.url, will=will(delay=1), expiry=60) as client:
            began = trio.current_time()
            await client.drop()
        await watcher.expect_message("w", b"gone", 1)
        assert 0.9 < trio.current_time() - began < 4
        async with joined(one.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
        assert await wills(watcher, other) == []


async def test_a_client_that_is_back_in_time_leaves_none(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with joined(other.url, will=will(delay=1), expiry=60) as client:
            await client.drop()
        async with joined(one.url, expiry=60, clean_start=False):
            with trio.move_on_after(1.5):
                await watcher.receive()
                raise AssertionError("its will was published")


async def test_who_starts_clean_ends_the_session_and_leaves_its_will(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with joined(other.url, will=will(delay=100), expiry=600) as client:
            await client.drop()
        async with joined(one.url, expiry=60):
            await watcher.expect_message("w", b"gone", 1)
        assert await wills(watcher, other) == []


async def test_a_session_ends_in_time_at_one_node(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as both, AsyncExitStack() as stack:
        ended = [stack.enter_context(broker.events(SessionEnded)) for broker in both]
        async with joined(both[0].url, expiry=1) as client:
            await client.subscribe("a")
            await client.disconnect()
        await until(lambda: sum(b.statistics.sessions_expired for b in both) == 1)
        assert sum(one.statistics.sessions_expired for one in both) == 1
        (number,) = [n for n, broker in enumerate(both) if broker.statistics.sessions_expired]
        async for event in ended[number]:
            assert isinstance(event, SessionEnded)
            assert event.client_id == "c"
            break
        async with joined(both[1].url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert not client.connack.session_present


async def test_with_its_session_a_will_is_due(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with joined(other.url, will=will(delay=100), expiry=1) as client:
            await client.drop()
        await watcher.expect_message("w", b"gone", 1)
        assert await wills(watcher, other) == []
        assert one.statistics.sessions_expired + other.statistics.sessions_expired == 1


async def never(_: DueSessions) -> None:
    await trio.sleep_forever()


async def test_who_comes_when_it_is_over_and_nobody_has_seen_finds_none(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DueSessions, "run", never)
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with joined(other.url, will=will(delay=100), expiry=1) as client:
            await client.drop()
        await trio.sleep(1.1)
        async with joined(one.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert not client.connack.session_present
            await watcher.expect_message("w", b"gone", 1)
        assert await wills(watcher, other) == []


async def test_goodbye_may_have_the_session_end_at_once(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other):
        async with joined(one.url, expiry=60) as client:
            await client.disconnect(properties={"session_expiry_interval": 0})
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert not client.connack.session_present


async def test_a_node_that_ends_leaves_wills_and_sessions(cluster: Cluster) -> None:
    async with nodes(cluster, 1) as (one,), watched(one) as watcher, AsyncExitStack() as stack:
        async with nodes(cluster, 1) as (other,):
            await stack.enter_async_context(joined(other.url, "a", will=will(b"a")))
            await stack.enter_async_context(joined(other.url, "b", will=will(b"b"), expiry=60))
            later = will(b"c", delay=1)
            await stack.enter_async_context(joined(other.url, "c", will=later, expiry=60))
        found = [(await watcher.expect_any()).payload for _ in range(3)]
        assert sorted(found) == [b"a", b"b", b"c"]
        for client_id in ("b", "c"):
            async with joined(one.url, client_id, expiry=60, clean_start=False) as client:
                assert client.connack is not None
                assert client.connack.session_present


def wills_of(broker: Broker) -> KeptWills:
    """Who publishes at a node what clients of others have left."""
    elsewhere = core_of(broker).elsewhere
    assert isinstance(elsewhere, ClusterNode)
    return elsewhere.sessions._wills


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_will_waits_for_a_session_once_whoever_publishes_it(
    cluster: Cluster, qos: int
) -> None:
    """A node has published it, and died before it said so; or was cut off, and goes on."""
    async with nodes(cluster, 2) as brokers, joined(brokers[0].url, "s", expiry=60) as watcher:
        await watcher.subscribe("w", qos=2)
        one, other = map(wills_of, brokers)
        said = will_bytes(will(qos=qos))
        for connection in (5, 8):  # the next may say the same
            kept = KeptSession("c", expiry_interval=60, will=said, will_of=connection)
            for wills_there, epoch in ((one, 1), (other, 2), (other, 2), (one, 1)):
                await wills_there.publish(kept, b"%d" % (connection + epoch))
        async with joined(brokers[0].url, "marker") as marker:
            await marker.publish("w", b"-", 1)
        got = [(await watcher.expect(Publish)).payload for _ in range(3)]
        assert got == [b"gone", b"gone", b"-"]


@pytest.mark.parametrize("expiry", [None, 60])
async def test_the_will_of_who_is_taken_over_waits_once_though_its_node_dies(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, expiry: int | None
) -> None:
    """Both connections are at that node, which has published it and not come to say so."""
    async with (
        nodes(cluster, 2) as (one, other),
        joined(other.url, "s", expiry=60) as watcher,
        joined(one.url, expiry=expiry, will=will(qos=2)) as first,
    ):
        await watcher.subscribe("w", qos=2)
        elsewhere = core_of(one).elsewhere
        assert isinstance(elsewhere, ClusterNode)
        monkeypatch.setattr(elsewhere.sessions.holds, "begun", lambda _session: None)
        async with joined(one.url, expiry=expiry, clean_start=False):
            await first.expect_disconnect(OVER)
            await watcher.expect_message("w", b"gone", 2)
            redis.command("ZADD", f"{{{cluster.name}}}:nodes", "0", elsewhere.membership.node)
            async with joined(other.url, expiry=60, clean_start=False):
                pass  # whoever has the session next publishes what stands there
        assert await wills(watcher, other) == []


async def test_a_will_like_one_that_was_taken_over_is_another(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(other.url, "s", expiry=60) as watcher,
        joined(one.url, expiry=60, will=will(qos=2)),
        AsyncExitStack() as stack,
    ):
        await watcher.subscribe("w", qos=2)
        for _ in range(2):
            await stack.enter_async_context(
                joined(one.url, expiry=60, will=will(qos=2), clean_start=False)
            )
            await watcher.expect_message("w", b"gone", 2)
        async with joined(other.url, expiry=60, clean_start=False):
            await watcher.expect_message("w", b"gone", 2)
        assert await wills(watcher, other) == []


async def test_each_connection_of_a_client_has_a_will_of_its_own(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as brokers, joined(brokers[0].url, "s", expiry=60) as watcher:
        await watcher.subscribe("w", qos=2)
        for number in range(4):
            url = brokers[number // 2].url
            async with joined(url, will=will(qos=2), expiry=60, clean_start=False) as client:
                await client.drop()
            await watcher.expect_message("w", b"gone", 2)
