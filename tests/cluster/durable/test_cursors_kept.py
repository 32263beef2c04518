"""How far sessions are is kept soon, and at little cost."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.broker.opened import joined
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from trio_mqtt import Cluster
from trio_mqtt.broker.clustering.journal import ClusterJournal
from trio_mqtt.cluster.storage import ClusterChanges, ClusterStorage
from trio_mqtt.protocol.packets import PubAck, Publish


async def kept(redis: RedisServer, cluster: Cluster, client_id: str, end: str) -> None:
    """Wait until the cursor of a session in the log of `a` is one that ends so."""
    key = f"{{{cluster.name}/c/{client_id}}}:session"

    def is_kept() -> bool:
        return redis.command("HGET", key, "k/a").decode().rstrip().endswith(end)

    await until(is_kept)


async def test_an_acknowledgement_moves_the_cursor_that_is_kept(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        joined(other.url, "s", expiry=600) as client,
    ):
        await client.subscribe("a", qos=1)
        for number in range(3):
            await publisher.publish("a", b"%d" % number, 1)
        sent = [await client.expect(Publish) for _ in range(3)]
        last = redis.command("HGET", f"{{{cluster.name}/f/a}}:state", "last").decode().split()[1]
        # Out of order: the first is missing still.
        await client.send(PubAck(sent[1].packet_id), PubAck(sent[2].packet_id))
        await kept(redis, cluster, "s", f"~{last}")
        await client.send(PubAck(sent[0].packet_id))
        await kept(redis, cluster, "s", f"\n{last}")


async def test_what_a_log_may_let_go_of_is_told_once_the_cursor_is_kept(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_mqtt.broker.clustering.durable.durable._DONE", 1_000)
    journals: list[ClusterJournal] = []
    write = ClusterJournal.write_cursors
    save = ClusterStorage._save_sessions
    told_before: list[object] = []

    def noted(journal: ClusterJournal) -> None:
        journals.append(journal)
        write(journal)

    async def watched(storage: ClusterStorage, changes: ClusterChanges) -> None:
        told_before.extend(one.take_done() for one in journals)
        await save(storage, changes)

    monkeypatch.setattr(ClusterJournal, "write_cursors", noted)
    monkeypatch.setattr(ClusterStorage, "_save_sessions", watched)
    async with nodes(cluster, 1) as (one,), joined(one.url, "s", expiry=600) as client:
        await client.subscribe("a", qos=1)
        async with joined(one.url, "p") as publisher:
            await publisher.publish("a", b"1", 1)
        await client.send(PubAck((await client.expect(Publish)).packet_id))
        last = redis.command("HGET", f"{{{cluster.name}/f/a}}:state", "last").decode().split()[1]
        await kept(redis, cluster, "s", last)
        done: dict[str, object] = {}

        def is_told() -> bool:
            done.update(journals[0].take_done())
            return bool(done)

        await until(is_told)
    assert list(done) == ["a"]
    assert told_before
    assert not any(told_before)


async def test_of_many_sessions_some_are_written_at_a_time(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_mqtt.broker.clustering.journal.CURSORS_AT_ONCE", 2)
    most = 0
    write = ClusterJournal.write_cursors

    def watched(journal: ClusterJournal) -> None:
        nonlocal most
        write(journal)
        most = max(most, len(journal._changes.fields))

    monkeypatch.setattr(ClusterJournal, "write_cursors", watched)
    async with nodes(cluster, 1) as (one,), AsyncExitStack() as stack:
        clients = []
        for number in range(5):
            client = await stack.enter_async_context(joined(one.url, f"s{number}", expiry=600))
            await client.subscribe("a", qos=1)
            clients.append(client)
        async with joined(one.url, "p") as publisher:
            await publisher.publish("a", b"1", 1)
        last = redis.command("HGET", f"{{{cluster.name}/f/a}}:state", "last").decode().split()[1]
        for client in clients:
            await client.send(PubAck((await client.expect(Publish)).packet_id))
        for number in range(5):
            await kept(redis, cluster, f"s{number}", last)
    assert most == 2
