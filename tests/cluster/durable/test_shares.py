"""Shared subscriptions of durable sessions, whose members are at several nodes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio

from tests.broker.opened import joined
from tests.cluster.durable.processes import processes
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from tests.inside import core_of
from trio_mqtt import Cluster
from trio_mqtt.broker.clustering.cluster_node import ClusterNode
from trio_mqtt.cluster.changes import Changes
from trio_mqtt.cluster.durable_filters import DurableFilters
from trio_mqtt.cluster.engine.calls import EngineGoneError
from trio_mqtt.cluster.engine.engine import open_engine
from trio_mqtt.cluster.given import Giving
from trio_mqtt.cluster.logs import Entry, Logs
from trio_mqtt.cluster.storage import ClusterChanges, ClusterStorage
from trio_mqtt.protocol.packets import Publish

GROUP = "$share/g/a/#"


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_each_message_goes_to_one_member_wherever(cluster: Cluster, qos: int) -> None:
    async with nodes(cluster, 3) as brokers, AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(joined(broker.url, f"m{number}", expiry=600))
            for number, broker in enumerate(brokers)
        ]
        for member in members:
            await member.subscribe(GROUP, qos=2)
        publisher = await stack.enter_async_context(joined(brokers[0].url, "p"))
        for number in range(30):
            await publisher.publish(f"a/{number}", b"%d" % number, qos)
        got = [message.payload for member in members for message in await member.take(0.3)]
        assert sorted(got) == sorted(b"%d" % number for number in range(30))


async def test_what_comes_while_all_are_away_waits_for_any(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with nodes(cluster, 2) as (one, other), joined(one.url, "p") as publisher:
        for name in ("m1", "m2"):
            async with joined(one.url, name, expiry=600) as member:
                await member.subscribe(GROUP, qos=1)
        await publisher.publish("a", b"before", 1)
        with trio.fail_after(60):
            async with joined(other.url, "m2", expiry=600, clean_start=False) as member:
                assert (await member.expect_any()).payload == b"before"
                for number in range(10):
                    await publisher.publish("a", b"%d" % number, 1)
                got = sorted([(await member.expect_any()).payload for _ in range(10)])
                assert got == sorted(b"%d" % number for number in range(10))
                await member.ping()
                await publisher.expect_nothing(0.3)
        length = redis.command("XLEN", f"{{{cluster.name}/f/{GROUP}}}:log")
        assert length == b":0\r\n"


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "not first"])
async def test_a_member_gets_nothing_before_what_is_for_its_group_waits_in_a_log(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    """Else a publisher whose node dies would send it again, to the log: it would come twice."""
    is_asked, may_be_said = trio.Event(), trio.Event()
    say = DurableFilters.say

    async def say_later(filters: DurableFilters, topic_filter: str) -> tuple[int, set[str]]:
        is_asked.set()
        await may_be_said.wait()
        return await say(filters, topic_filter)

    monkeypatch.setattr(DurableFilters, "say", say_later)
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p1") as here,
        joined(other.url, "p2") as there,
        joined(one.url, "m", expiry=600) as member,
        joined(one.url, "q") as first,
        trio.open_nursery() as nursery,
    ):
        if not is_first:
            await first.subscribe(GROUP, qos=2)
        nursery.start_soon(partial(member.subscribe, GROUP, qos=2))
        await is_asked.wait()
        for publisher in (here, there):
            for _ in range(2):  # one for each member, if both were
                await publisher.publish("a", b"before", 2)
        if not is_first:
            for _ in range(4):
                assert (await first.expect_any()).payload == b"before"
            await first.unsubscribe(GROUP)
        may_be_said.set()
        await until(lambda: not nursery.child_tasks)
        await member.ping()  # nothing has come before its answer
        for publisher in (here, there):
            await publisher.publish("a", b"after", 1)
            assert (await member.expect_any()).payload == b"after"


async def test_what_a_killed_node_had_not_handed_on_goes_to_others(cluster: Cluster) -> None:
    async with processes(cluster, 2) as (one, other), joined(other.url, "p") as publisher:
        async with joined(one.url, "m1", expiry=600) as member:
            await member.subscribe(GROUP, qos=1)
            await one.kill()
        for number in range(20):
            await publisher.publish("a", b"%d" % number, 1)
        async with joined(other.url, "m2", expiry=600) as member:
            await member.subscribe(GROUP, qos=1)
            got = sorted([(await member.expect_any()).payload for _ in range(20)])
            assert got == sorted(b"%d" % number for number in range(20))


async def test_once_nobody_of_it_is_durable_it_is_shared_as_ever(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        joined(other.url, "clean") as clean,
        joined(one.url, "durable", expiry=600) as durable,
    ):
        await clean.subscribe(GROUP, qos=1)
        await durable.subscribe(GROUP, qos=1)
        await durable.unsubscribe(GROUP)
        for number in range(20):
            await publisher.publish("a", b"%d" % number, 1)
        got = sorted([(await clean.expect_any()).payload for _ in range(20)])
        assert got == sorted(b"%d" % number for number in range(20))


async def test_what_a_session_was_to_have_that_is_lost_waits_for_others(
    cluster: Cluster,
) -> None:
    """A node took something for a session that is another's by the time that it is written."""
    async with open_engine(cluster) as engine:
        engine.deadline_ms = 1 << 45
        storage = ClusterStorage(engine, Changes(engine))
        changes = ClusterChanges()
        changes.fields[7] = {b"m/1": b"a message"}
        changes.fields[8] = {}
        await storage.append(changes)
        assert storage.is_lost(7)
        assert not storage.is_lost(8)


async def test_what_a_member_leaves_behind_waits_for_the_next(cluster: Cluster) -> None:
    """There is another member, at another node, and it has just gone as well."""
    async with nodes(cluster, 2) as (one, other), joined(one.url, "p") as publisher:
        async with joined(other.url, "m2", expiry=600) as second:
            await second.subscribe(GROUP, qos=1)
            async with joined(
                one.url, "m1", expiry=600, properties={"receive_maximum": 1}
            ) as first:
                await first.subscribe(GROUP, qos=1)
                for number in range(10):
                    await publisher.publish("a", b"%d" % number, 1)
                got = [(await first.expect_any()).payload]
        with trio.fail_after(60):
            while len(set(got)) < 10:
                for name in ("m1", "m2"):
                    async with joined(other.url, name, expiry=600, clean_start=False) as member:
                        got += [message.payload for message in await member.take(0.3)]


@pytest.mark.parametrize("other_filter", ["$share/h/a/#", "a/#"])
async def test_a_group_goes_on_when_another_of_the_same_filter_ends(
    cluster: Cluster, other_filter: str
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        joined(other.url, "m", expiry=600) as member,
        joined(other.url, "n", expiry=600) as neighbour,
    ):
        await member.subscribe(GROUP, qos=1)
        await neighbour.subscribe(other_filter, qos=1)
        await publisher.publish("a", b"both", 1)
        assert (await neighbour.expect_any()).payload == b"both"
        assert (await member.expect_any()).payload == b"both"
        await neighbour.unsubscribe(other_filter)
        # Once the publisher's node knows that the filter is durable no more.
        elsewhere = core_of(one).elsewhere
        assert isinstance(elsewhere, ClusterNode)
        await until(lambda: other_filter not in elsewhere.durable.writer)
        for number in range(5):
            await publisher.publish("a", b"%d" % number, 1)
            assert (await member.expect_any()).payload == b"%d" % number


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_the_last_member_leaves_behind_waits_once(cluster: Cluster, qos: int) -> None:
    """It waits in the log, and not with its session as well."""
    async with nodes(cluster, 2) as (one, other), joined(one.url, "p") as publisher:
        async with joined(one.url, "m", expiry=600, properties={"receive_maximum": 1}) as member:
            await member.subscribe(GROUP, qos=qos)
            for number in range(10):
                await publisher.publish("a", b"%d" % number, qos)
            first = await member.expect(Publish)
            await publisher.expect_nothing(0.3)  # by then the others wait for it
        async with joined(other.url, "m", expiry=600, clean_start=False) as member:
            with trio.fail_after(60):
                got = [await member.expect_any() for _ in range(10)]
            assert sorted(one.payload for one in got) == [b"%d" % number for number in range(10)]
            if qos == 2:
                assert got[0].packet_id == first.packet_id
            assert await member.take(1.0) == []


async def test_what_was_given_to_a_session_is_told_to_the_log_however_late(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine goes between the two: else another node would give it to somebody else, too."""
    async with (
        nodes(replace(cluster, lease=60.0), 1) as (broker,),
        joined(broker.url, "p") as publisher,
        joined(broker.url, "m", expiry=600) as member,
    ):
        await member.subscribe(GROUP, qos=1)
        elsewhere = core_of(broker).elsewhere
        assert isinstance(elsewhere, ClusterNode)
        logs = elsewhere.durable.logs
        taken, refused = logs.taken, 0

        async def gone(shared_filter: str, entries: Sequence[Entry]) -> None:
            nonlocal refused
            refused += 1
            if refused < 3:
                raise EngineGoneError("It is gone.")
            await taken(shared_filter, entries)

        monkeypatch.setattr(logs, "taken", gone)
        for number in range(3):
            await publisher.publish("a", b"%d" % number, 1)
        assert sorted([(await member.expect_any()).payload for _ in range(3)]) == [b"0", b"1", b"2"]
        log = f"{{{cluster.name}/f/{GROUP}}}:log"
        await until(lambda: redis.command("XLEN", log) == b":0\r\n", 10)
        assert refused >= 3
        assert await member.take(0.3) == []


async def test_who_serves_a_log_anew_waits_for_what_is_taken_to_be_handed_on(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last member here goes just as something is taken for it, and another comes."""
    take, is_taken, may_go_on = Logs.take, trio.Event(), trio.Event()

    async def slow(*arguments: Any, **options: Any) -> tuple[Sequence[Entry], list[str]]:
        entries, others = await take(*arguments, **options)
        if entries and not is_taken.is_set():
            is_taken.set()
            await may_go_on.wait()
        return entries, others

    async with nodes(cluster, 1) as (one,), joined(one.url, "p") as publisher:
        async with joined(one.url, "m1", expiry=600) as first:
            await first.subscribe(GROUP, qos=2)
            monkeypatch.setattr(Logs, "take", slow)
            await publisher.publish("a", b"1", 2)
            await is_taken.wait()
        async with joined(one.url, "m2", expiry=600) as second:
            await second.subscribe(GROUP, qos=2)
            try:
                await second.expect_nothing(0.2)
            finally:
                may_go_on.set()
            assert (await second.expect_any()).payload == b"1"
            await publisher.publish("a", b"2", 2)
            assert (await second.expect_any()).payload == b"2"
            assert await second.take(0.2) == []


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_is_with_a_session_already_is_given_to_nobody_else(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, qos: int
) -> None:
    """A node has died before the log knew that it had written messages with a session."""
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        joined(other.url, "m2", expiry=600) as second,
    ):
        elsewhere = core_of(one).elsewhere
        assert isinstance(elsewhere, ClusterNode)

        async def gone(_shared_filter: str, _entries: Sequence[Entry]) -> None:
            await trio.sleep(0.05)
            raise EngineGoneError("It is gone.")

        monkeypatch.setattr(elsewhere.durable.logs, "taken", gone)
        async with joined(one.url, "m1", expiry=600) as first:
            await first.subscribe(GROUP, qos=qos)
            for number in range(5):
                await publisher.publish("a", b"%d" % number, qos)
            got = {message.payload for message in await first.take(0.3)}
            assert got
            await second.subscribe(GROUP, qos=qos)
            others = [message.payload for message in await second.take(0.3)]
            assert got.isdisjoint(others)  # it is the first node's, while that lives
            # Others see that its lease has ended, for good.
            redis.command("ZADD", f"{{{cluster.name}}}:nodes", "0", elsewhere.membership.node)
            log = f"{{{cluster.name}/f/{GROUP}}}:log"
            await until(lambda: redis.command("XLEN", log) == b":0\r\n")
        # Then the mark at the session goes too.
        key = f"{{{cluster.name}/c/m1}}:session"
        await until(lambda: b"h/" not in redis.command("HKEYS", key))
        others += [message.payload for message in await second.take(0.3)]
        async with joined(other.url, "m1", expiry=600, clean_start=False) as first:
            got |= {message.payload for message in await first.take(0.3)}
        assert sorted([*got, *others]) == [b"%d" % number for number in range(5)]


async def test_what_a_node_gives_that_is_dead_is_not_with_its_session_any_more(
    cluster: Cluster,
) -> None:
    """It took an entry and stood still; another has taken that, and it goes on as another node."""
    async with open_engine(cluster) as engine:
        engine.deadline_ms = 1 << 45
        logs, storage = Logs(engine), ClusterStorage(engine, Changes(engine))
        await logs.hold(GROUP, "m1")
        await logs.share(GROUP)
        await engine.all([logs.append("p", GROUP, 1, b"x", 1)])
        (entry,), _ = await logs.take(GROUP, "n", count=1)
        await logs.take(GROUP, "m", count=1, dead=["n"])
        await engine.call("HSET", engine.keys.of_client("m1", "session"), "epoch", 5)
        storage.sessions.owns(7, "m1", b"5")
        lost: list[int] = []
        storage.lost = lost.append
        changes = ClusterChanges()
        changes.fields[7] = {b"m/1": b"a message"}
        changes.given = [Giving(GROUP, entry.entry, "n", {7: ("m1", 5)})]
        await storage.append(changes)
        assert lost == [7]
        assert storage.is_lost(7)
        assert not await engine.call("HEXISTS", engine.keys.of_client("m1", "session"), "m/1")


@pytest.mark.parametrize("ends", [False, True])
async def test_what_a_member_has_given_back_is_not_with_its_session_as_well(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    """Its node dies once the log has that, and before the session is written without it."""
    is_dead, may_end = trio.Event(), trio.Event()
    log = f"{{{cluster.name}/f/{GROUP}}}:log"
    async with (
        nodes(cluster, 2) as (one, other),
        joined(other.url, "p") as publisher,
        joined(other.url, "m2", expiry=600) as second,
    ):
        elsewhere = core_of(one).elsewhere
        assert isinstance(elsewhere, ClusterNode)
        storage = elsewhere.storage
        save = storage._save_sessions

        async def die(changes: ClusterChanges) -> None:
            if changes.left_behind and not is_dead.is_set():
                redis.command("ZADD", f"{{{cluster.name}}}:nodes", "0", elsewhere.membership.node)
                is_dead.set()
                await may_end.wait()
            await save(changes)

        monkeypatch.setattr(storage, "_save_sessions", die)
        try:
            async with joined(
                one.url, "m1", expiry=600, properties={"receive_maximum": 1}
            ) as first:
                await first.subscribe(GROUP, qos=2)
                for number in range(5):
                    await publisher.publish("a", b"%d" % number, 2)
                got = [(await first.expect(Publish)).payload]
                await until(lambda: redis.command("XLEN", log) == b":0\r\n")
                await second.subscribe(GROUP, qos=2)
                if ends:
                    sessions = core_of(one).sessions
                    (session,) = (session for session in sessions.all() if session.key == "m1")
                    sessions.end(session, "as an operator wants it")
            await is_dead.wait()
            others = [(await second.expect_any()).payload for _ in range(4)]
            async with joined(other.url, "m1", expiry=600, clean_start=False) as first:
                got += [message.payload for message in await first.take(0.5)]
            others += [message.payload for message in await second.take(0.2)]
        finally:
            may_end.set()
    assert sorted(others) == [b"1", b"2", b"3", b"4"]
    assert set(got) == {b"0"}
    # What the log says of that goes once the session says it.
    state = f"{{{cluster.name}/f/{GROUP}}}:state"
    assert b"b/m1" not in redis.command("HKEYS", state)
