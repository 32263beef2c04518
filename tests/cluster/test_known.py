"""SUBACK means that whatever is published from then on, at any node, reaches the subscription."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import trio_mqtt
from tests.broker.opened import joined
from tests.cluster.durable.clients import durable_client
from tests.cluster.nodes import LOCAL, nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from tests.inside import core_of, has_filters
from trio_mqtt import Broker, Client, Cluster, open_client
from trio_mqtt.administration import GiveSubscription
from trio_mqtt.broker.clustering.durable.registering import over
from trio_mqtt.broker.clustering.interests import Interests
from trio_mqtt.broker.clustering.traffic import Traffic
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.cluster.changes import Changes
from trio_mqtt.cluster.engine.engine import open_engine
from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.protocol.packets import SubAck, Subscribe, Subscription
from trio_mqtt.protocol.properties import Properties


def node_of(broker: Broker):  # type: ignore[no-untyped-def]  # noqa: ANN201 # what no program sees
    return core_of(broker).elsewhere


class Pair(NamedTuple):
    """Two nodes, and a client at each."""

    one: Broker
    two: Broker
    subscriber: Client
    publisher: Client


@pytest.fixture
async def pair(cluster: Cluster) -> AsyncIterator[Pair]:
    async with (
        nodes(cluster, 2) as (one, two),
        open_client(one.url) as subscriber,
        open_client(two.url) as publisher,
    ):
        yield Pair(one, two, subscriber, publisher)


async def test_what_is_published_right_after_suback_arrives(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 3) as brokers,
        open_client(brokers[0].url) as subscriber,
        open_client(brokers[1].url) as second,
        open_client(brokers[2].url) as third,
    ):
        for number in range(40):
            topic = f"t/{number}"
            async with subscriber.subscribe(topic) as messages:
                for client in (second, third):
                    await client.publish(topic, topic)
                with trio.fail_after(60):
                    assert [(await anext(messages)).text for _ in range(2)] == [topic, topic]


async def test_a_node_that_starts_knows_what_all_others_want(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 1) as (one,),
        open_client(one.url) as subscriber,
        subscriber.subscribe("a/#", "$share/g/b") as messages,
    ):
        later = replace(cluster, node="later")
        async with (
            trio_mqtt.open_broker(LOCAL, cluster=later) as other,
            open_client(other.url) as publisher,
        ):
            await publisher.publish("a/1", "1")
            await publisher.publish("b", "2")
            got = {(await anext(messages)).text, (await anext(messages)).text}
            assert got == {"1", "2"}


async def test_suback_waits_for_a_node_that_is_silent_until_its_lease_ends(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = replace(cluster, lease=2.0, timeout=1.0)
    async with nodes(cluster, 2) as (one, two), open_client(one.url) as subscriber:
        other = node_of(two)
        monkeypatch.setattr(other.following, "_take", lambda entry: None)  # it does nothing of it
        monkeypatch.setattr(other.following, "_askers", set())
        with trio.move_on_after(0.7):
            async with subscriber.subscribe("t"):
                pytest.fail("nobody has said that it knows")
        # It dies: its lease is not renewed any more.
        monkeypatch.setattr(other.engine, "first", never)
        with trio.fail_after(60):
            async with subscriber.subscribe("u"):
                pass
        monkeypatch.undo()


async def test_the_time_until_suback_comes_counts_for_what_expires(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        nodes(cluster, 2) as (one, two),
        joined(one.url, "subscriber") as subscriber,
        joined(one.url, "publisher") as publisher,
    ):
        await subscriber.subscribe("t")
        silent = node_of(two).following
        left: list[bytes] = []
        monkeypatch.setattr(silent, "_take", left.append)
        await subscriber.send(Subscribe(7, [Subscription("u")]))
        properties: Properties = {"message_expiry_interval": 30}
        await subscriber.expect_nothing()
        await publisher.publish("t", b"1", properties=properties)
        await publisher.ping()
        await trio.sleep(1.1)
        monkeypatch.undo()
        for entry in left:
            silent._take(entry)
        silent._answer()
        await subscriber.expect(SubAck)
        message = await subscriber.expect_message("t", b"1")
        assert int(message.properties["message_expiry_interval"]) < 30


async def never(*_: object) -> None:
    await trio.sleep_forever()


async def test_what_nobody_wants_any_more_is_forgotten_everywhere(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, two):
        async with (
            open_client(one.url) as subscriber,
            subscriber.subscribe("a/+/b", "$share/g/c", "d"),
        ):
            assert has_filters(two)
        await until(lambda: not has_filters(two))


async def test_a_node_that_ends_is_forgotten_at_once(cluster: Cluster) -> None:
    cluster = replace(cluster, lease=600)
    async with nodes(cluster, 1) as (one,):
        async with (
            trio_mqtt.open_broker(LOCAL, cluster=replace(cluster, node="n2")) as two,
            open_client(two.url) as subscriber,
            subscriber.subscribe("t"),
        ):
            assert has_filters(one)
        await until(lambda: not has_filters(one))
        assert not node_of(one).others.all()


async def test_a_node_that_missed_changes_reads_all_anew(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    _, two, subscriber, publisher = pair
    async with subscriber.subscribe("a"):
        await publisher.publish("kept", "1", qos=1, retain=True)
        # As if the next change were one that it has never seen.
        node_of(two).changes.number -= 3
        await node_of(two).engine.call(b"XTRIM", node_of(two).engine.keys.changes, b"MAXLEN", 0)
        async with subscriber.subscribe("b") as messages:
            await publisher.publish("b", "x")
            assert (await anext(messages)).text == "x"
        assert "missed changes" in caplog.text
        assert [one.message.topic for one in core_of(two).retained.all()] == ["kept"]


async def test_own_topics_of_each_node_stay_there(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, two),
        open_client(one.url) as subscriber,
        subscriber.subscribe("$SYS/broker/version", "$share/g/$SYS/#") as messages,
    ):
        assert "trio-mqtt" in (await anext(messages)).text
        with suppress(trio.TooSlowError):
            await until(lambda: has_filters(two), seconds=0.2)
        assert not has_filters(two)


async def test_a_node_that_joins_knows_of_all_who_joined_before_it_reads_on(
    pair: Pair,
) -> None:
    _, two, subscriber, publisher = pair
    async with subscriber.subscribe("t") as messages:
        # As if the first one had joined, and told this, while the second one was about to: it has
        # not seen it when it looked who is there.
        node = node_of(two)
        (first,) = node.others.all()
        node.others.want(first, {"t": 0})
        del node.others._nodes[first.node]
        del node.membership.alive[first.node]
        await node.following.load(node.membership.node)
        await publisher.publish("t", "x")
        with trio.fail_after(60):
            assert (await anext(messages)).text == "x"


async def test_who_died_before_it_said_anything_is_not_waited_for(cluster: Cluster) -> None:
    cluster = replace(cluster, lease=1.0, timeout=0.5)
    async with nodes(cluster, 1) as (one,), open_client(one.url) as subscriber:
        engine = node_of(one).engine
        seconds, _ = await engine.call(b"TIME")
        soon = (int(seconds) + 1) * 1000
        await engine.call(b"ZADD", engine.keys.nodes, soon, "n2-0123456789abcdef")
        with trio.fail_after(60):
            async with subscriber.subscribe("t"):
                pass


async def test_changes_that_an_engine_has_lost_are_noticed(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    _, two, subscriber, publisher = pair
    async with subscriber.subscribe("a") as messages:
        node = node_of(two)
        keys = node.engine.keys
        number = node.changes.number
        assert await node.changes.goes_on()
        # As if the last change had been lost, and another one made in its place.
        await node.engine.call(b"XTRIM", keys.changes, b"MAXLEN", 0)
        await node.engine.call(b"DEL", keys.changes)
        await node.engine.call(b"XADD", keys.changes, f"{number}-1", "e", "?", "t", "1")
        assert not await node.changes.goes_on()
        node.others.want(node.others.all()[0], {"a": 0})
        await node.following._see_whether_it_goes_on()
        node.following._reading.cancel()
        await until(lambda: node.following._loading is None)
        await publisher.publish("a", "x")
        assert (await anext(messages)).text == "x"
        assert "has lost changes" in caplog.text


async def test_what_an_engine_has_lost_of_what_is_wanted_is_told_again(
    pair: Pair, redis: RedisServer
) -> None:
    one, two, subscriber, publisher = pair
    async with (
        durable_client(one.url, "durable") as durable,
        subscriber.subscribe("a", qos=1) as messages,
        durable.subscribe("d", qos=1) as logged,
    ):
        before = {node_of(broker).membership.node for broker in (one, two)}
        keys, count = node_of(one).engine.keys, node_of(one).changes.number
        # As if it had failed, and come back without what it had not written to its disk yet.
        interests = keys.of_node(node_of(one).membership.node, "interest").decode()
        redis.command("DEL", interests, keys.durable.decode(), keys.changes.decode())
        redis.command("SET", keys.changes_number.decode(), str(count - 2))
        redis.command("CLIENT", "KILL", "TYPE", "normal")
        await until(
            lambda: not before & {node_of(one).membership.node, node_of(two).membership.node, ""}
        )
        await until(lambda: {"a", "\0d"} <= told_by(one, two))
        # They have told the others, and take what clients publish once all of it is read.
        journals = [node_of(broker).journal for broker in (one, two)]
        await until(lambda: all(each.known_until > trio.current_time() for each in journals))
        await publisher.publish("a", "x", qos=1)
        await publisher.publish("d", "y", qos=1)
        with trio.fail_after(60):
            assert (await anext(messages)).text == "x"
            assert (await anext(logged)).text == "y"


async def test_a_loss_is_noticed_by_what_was_made_and_not_read_yet(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with open_engine(cluster) as engine:
        engine.deadline_ms = 1 << 50
        changes = Changes(engine)
        number, _ = await changes.make(engine.keys.of_node("n", "interest"), {b"a": b"1"}, [])
        assert await changes.goes_on()
        redis.command("SET", engine.keys.changes_number.decode(), str(number - 1))
        assert not await changes.goes_on()
        await changes.find_end()
        assert await changes.goes_on()


async def test_what_is_made_while_the_others_are_counted_is_no_loss(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_engine(cluster) as engine:
        engine.deadline_ms = 1 << 50
        changes = Changes(engine)
        key, count = engine.keys.of_node("n", "interest"), changes.count
        await changes.make(key, {b"a": b"1"}, [])

        async def count_first() -> int:
            number = await count()
            await changes.make(key, {b"b": b"1"}, [])
            return number

        monkeypatch.setattr(changes, "count", count_first)
        assert await changes.goes_on()


async def test_a_loss_is_noticed_while_all_is_to_be_read_anyway(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with nodes(cluster, 1) as (one,), open_client(one.url) as client, client.subscribe("a"):
        node = node_of(one)
        before = node.membership.node
        redis.command("SET", node.engine.keys.changes_number.decode(), "0")
        node.following._loading = trio.Event()
        await node.following._see_whether_it_goes_on()
        await until(lambda: node.membership.node not in (before, ""))


def told_by(broker: Broker, other: Broker) -> set[str]:
    """What a node has told another that it wants."""
    found = node_of(other).others.get(node_of(broker).membership.node)
    return set() if found is None else {*found.filters, *(f"\0{text}" for text in found.logged)}


async def test_a_node_that_was_taken_for_dead_is_known_again_once_all_is_read(
    pair: Pair,
) -> None:
    one, two, subscriber, publisher = pair
    async with subscriber.subscribe("a") as messages:
        other = node_of(two)
        other.traffic.forget(node_of(one).membership.node)
        await other.following.load(other.membership.node)
        await publisher.publish("a", "x")
        with trio.fail_after(60):
            assert (await anext(messages)).text == "x"
            async with subscriber.subscribe("b"):
                pass


class LookOfTests:
    """Who is alive, as a node has seen it; and who was forgotten for that."""

    engine = SimpleNamespace(settings=SimpleNamespace(lease=3.0))
    node, alive = "n", ("n",)

    def __init__(self, lease_end: float) -> None:
        self.lease_end = lease_end
        self.forgotten: list[str] = []

    async def wait_changed(self) -> None:
        await trio.sleep_forever()

    def not_among(self, alive: Collection[str]) -> list[str]:
        return sorted({"n", "another"} - {*alive, *self.forgotten})

    def forget(self, node: str) -> None:
        self.forgotten.append(node)

    def forget_who_is_not(self, alive: Collection[str], lease: float) -> None:
        """Nobody is waited for."""


@pytest.mark.parametrize(("lease_end", "forgotten"), [(100.0, ["another"]), (0.5, [])])
async def test_nobody_is_taken_for_dead_by_an_old_look(
    lease_end: float, forgotten: list[str], nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    look: Any = LookOfTests(trio.current_time() + lease_end)
    nothing: Any = None
    traffic = Traffic(look.engine, nothing, nothing, nothing, look, nothing, look, nothing)
    nursery.start_soon(traffic.watch, look)
    await trio.sleep(2)
    assert look.forgotten == [one for one in forgotten for _ in range(2)]


@asynccontextmanager
async def telling(cluster: Cluster) -> AsyncIterator[Interests]:
    """What is wanted at a process that is no node yet."""
    async with open_engine(cluster) as engine, tasks_beside() as nursery:
        engine.deadline_ms = 1 << 50
        interests = Interests(engine, Changes(engine), lambda: None)
        nursery.start_soon(interests.run)
        yield interests


async def is_known(interests: Interests) -> None:
    with trio.fail_after(60):
        await over(interests.known())


async def test_what_changes_between_two_leases_is_told_by_the_next_node(cluster: Cluster) -> None:
    async with telling(cluster) as interests:
        interests.be("n-1")
        interests.add(TopicFilter("a"))
        await is_known(interests)
        interests.be_none()
        interests.add(TopicFilter("b"))
        await trio.testing.wait_all_tasks_blocked()
        interests.be("n-2")
        await is_known(interests)
        interests.add(TopicFilter("c"))
        await is_known(interests)


async def test_nobody_waits_for_what_is_wanted_no_more_between_two_leases(
    cluster: Cluster,
) -> None:
    async with telling(cluster) as interests:
        interests.be("n-1")
        interests.add(TopicFilter("a"))
        await is_known(interests)
        interests.be_none()
        interests.discard(TopicFilter("a"))
        awaited = interests.known()
        await trio.testing.wait_all_tasks_blocked()
        interests.be("n-2")
        with trio.fail_after(60):
            await over(awaited)


async def test_a_session_does_not_wait_for_what_another_one_waits_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        nodes(cluster, 2) as (one, _),
        durable_client(one.url, "slow") as slow,
        durable_client(one.url, "quick") as quick,
        open_client(one.url) as plain,
        trio.open_nursery() as nursery,
    ):
        registering = node_of(one).durable.registering
        hold = registering.hold
        waiting, goes_on = trio.Event(), trio.Event()

        async def hold_some(topic_filter: str, *others: object) -> object:
            if topic_filter == "slow":
                waiting.set()
                await goes_on.wait()
            return await hold(topic_filter, *others)

        monkeypatch.setattr(registering, "hold", hold_some)

        async def wait_in_vain() -> None:
            async with slow.subscribe("slow", qos=1):
                pytest.fail("its session has no log yet")

        nursery.start_soon(wait_in_vain)
        with trio.fail_after(60):
            await waiting.wait()
            async with quick.subscribe("t", qos=1), plain.subscribe("t", qos=1):
                nursery.cancel_scope.cancel()
                goes_on.set()


@pytest.mark.parametrize("expiry", [None, 600])
async def test_who_gives_a_subscription_is_told_so_once_all_nodes_know(
    cluster: Cluster, expiry: int | None
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "c", expiry=expiry) as client,
        joined(other.url, "p") as publisher,
    ):
        for number in range(20):
            topic = f"t/{number}"
            asked = GiveSubscription(client_id="c", topic_filter=topic, qos=1)
            await one.administration.give_subscription(asked)
            await publisher.publish(topic, b"x", 1)
            await client.expect_message(topic, b"x", 1)
