"""How far sessions are is kept soon, and at little cost."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.broker.opened import joined
from tests.cluster.durable.places import is_over, last_entry, position
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from trio_mqtt import Cluster
from trio_mqtt.broker.clustering.done import Done
from trio_mqtt.broker.clustering.durable.floors import Floors
from trio_mqtt.cluster.floors import FloorStore
from trio_mqtt.cluster.positions import EntryId
from trio_mqtt.cluster.storage import ClusterChanges, ClusterStorage
from trio_mqtt.protocol.packets import PubAck, Publish


async def test_an_acknowledgement_moves_what_is_kept(cluster: Cluster, redis: RedisServer) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        joined(other.url, "s", expiry=600) as client,
    ):
        await client.subscribe("a", qos=1)
        for number in range(3):
            await publisher.publish("a", b"%d" % number, 1)
        for message in [await client.expect(Publish) for _ in range(3)]:
            await client.send(PubAck(message.packet_id))
        last = last_entry(redis, cluster, "a")
        await until(lambda: is_over(redis, cluster, "s", "a", last))
        assert position(redis, cluster, "s", "a").floor_of


async def test_what_a_log_may_let_go_of_is_told_once_that_is_kept(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_mqtt.broker.clustering.durable.cursor_writing._DONE", 0.01)
    last: EntryId = (1 << 60, 0)
    told: list[bool] = []
    take = Done.take

    def watched(of_node: Done) -> dict[str, dict[str, EntryId]]:
        done = take(of_node)
        if done.get("a", {}).get("s", (0, 0)) >= last:
            told.append(is_over(redis, cluster, "s", "a", last))
        return done

    monkeypatch.setattr(Done, "take", watched)
    async with nodes(cluster, 1) as (one,), joined(one.url, "s", expiry=600) as client:
        await client.subscribe("a", qos=1)
        async with joined(one.url, "p") as publisher:
            await publisher.publish("a", b"1", 1)
        message = await client.expect(Publish)
        last = last_entry(redis, cluster, "a")
        await client.send(PubAck(message.packet_id))
        await until(lambda: bool(told))
    assert all(told)


async def test_what_is_said_of_all_who_keep_up_is_one_write(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, own = 0, 0
    tell, save = FloorStore.tell, ClusterStorage._save_sessions

    async def telling(store: FloorStore, node: str, *what: object) -> None:
        nonlocal written
        written += 1
        await tell(store, node, *what)  # type: ignore[arg-type]

    async def saving(storage: ClusterStorage, changes: ClusterChanges) -> None:
        nonlocal own
        own += len(changes.fields)
        await save(storage, changes)

    async with nodes(cluster, 2) as (one, other), AsyncExitStack() as stack:
        clients = []
        for number in range(20):
            client = await stack.enter_async_context(joined(other.url, f"s{number}", expiry=600))
            await client.subscribe("a", qos=1)
            clients.append(client)
        publisher = await stack.enter_async_context(joined(one.url, "p"))
        monkeypatch.setattr(FloorStore, "tell", telling)
        monkeypatch.setattr(ClusterStorage, "_save_sessions", saving)
        for number in range(10):
            await publisher.publish("a", b"%d" % number, 1)
        for client in clients:
            got = [await client.expect(Publish) for _ in range(10)]
            await client.send(*(PubAck(message.packet_id) for message in got))
        last = last_entry(redis, cluster, "a")
        await until(lambda: all(is_over(redis, cluster, f"s{n}", "a", last) for n in range(20)))
        assert written
        assert not own


async def test_of_many_sessions_on_their_own_some_are_written_at_a_time(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_mqtt.broker.clustering.durable.cursor_writing.OWN_AT_ONCE", 2)
    monkeypatch.setattr(Floors, "rest", lambda *_: False)
    most = 0
    save = ClusterStorage._save_sessions

    async def watched(storage: ClusterStorage, changes: ClusterChanges) -> None:
        nonlocal most
        await save(storage, changes)
        most = max(most, len(changes.fields))

    async with nodes(cluster, 1) as (one,), AsyncExitStack() as stack:
        clients = []
        for number in range(5):
            client = await stack.enter_async_context(joined(one.url, f"s{number}", expiry=600))
            await client.subscribe("a", qos=1)
            clients.append(client)
        monkeypatch.setattr(ClusterStorage, "_save_sessions", watched)
        async with joined(one.url, "p") as publisher:
            await publisher.publish("a", b"1", 1)
        last = last_entry(redis, cluster, "a")
        for client in clients:
            await client.send(PubAck((await client.expect(Publish)).packet_id))
        await until(lambda: all(is_over(redis, cluster, f"s{n}", "a", last) for n in range(5)))
    assert most == 2
