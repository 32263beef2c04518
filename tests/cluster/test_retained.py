"""Retained messages are everywhere in a cluster."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio

import trio_mqtt
from tests.broker.opened import joined
from tests.cluster.nodes import LOCAL, nodes
from tests.cluster.proxy import open_proxy
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from tests.inside import core_of
from trio_mqtt import Broker, Client, Cluster, Message, Properties, Security, open_client
from trio_mqtt.access import ClientInfo
from trio_mqtt.broker.clustering.clock import EngineClock
from trio_mqtt.cluster.changes import Changes
from trio_mqtt.cluster.engine.engine import open_engine
from trio_mqtt.cluster.retained_store import RetainedStore, encode_change, encode_row
from trio_mqtt.events import RetainedChanged
from trio_mqtt.protocol.packets import Publish, Subscription
from trio_mqtt.storage.rows import RetainedRow


def kept(broker: Broker) -> dict[str, bytes]:
    """What a node has in memory."""
    return {one.message.topic: one.message.payload for one in core_of(broker).retained.all()}


async def first(client: Client, topic_filter: str) -> Message:
    with trio.fail_after(60):
        async with client.subscribe(topic_filter) as messages:
            return await anext(messages)


async def test_what_is_acknowledged_at_one_node_is_found_at_any_other(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 3) as (one, *others),
        open_client(one.url) as publisher,
        open_client(others[0].url) as second,
        open_client(others[1].url) as third,
    ):
        for number in range(20):
            properties: Properties = {"user_property": [("a", "b")], "content_type": "text/plain"}
            payload = f"{number}"
            await publisher.publish(
                f"t/{number}", payload, qos=1, retain=True, properties=properties
            )
            for client in (second, third):
                message = await first(client, f"t/{number}")
                assert (message.text, message.qos, message.retain) == (payload, 0, True)
                assert message.properties["user_property"] == [("a", "b")]
                assert message.properties["content_type"] == "text/plain"


async def test_retain_handling_is_about_a_session_wherever_it_is(cluster: Cluster) -> None:
    """Who asks again at another node has no new subscription (§3.3.1.3)."""
    async with nodes(cluster, 2) as (one, other):
        async with joined(one.url, "p") as publisher:
            await publisher.publish("t", b"kept", 1, retain=True)
        async with joined(one.url, "s", expiry=600) as client:
            await client.subscribe(Subscription("t", 1, retain_handling=1))
            assert (await client.expect_any()).payload == b"kept"
            await client.ping()
        async with joined(other.url, "s", expiry=600, clean_start=False) as client:
            for handling in (1, 2):
                await client.subscribe(Subscription("t", 1, retain_handling=handling))
                await client.ping()  # nothing has come before its answer
            await client.subscribe(Subscription("t", 1, retain_handling=0))
            assert (await client.expect_any()).payload == b"kept"


async def test_what_is_removed_is_gone_everywhere(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url) as publisher,
        open_client(other.url) as remover,
    ):
        await publisher.publish("t", "1", qos=1, retain=True)
        await until(lambda: kept(other) == {"t": b"1"})
        await remover.publish("t", "", qos=1, retain=True)
        await until(lambda: kept(one) == kept(other) == {})


async def test_a_node_that_starts_later_has_all(cluster: Cluster) -> None:
    many = {f"t/{number}": b"%d" % number for number in range(3_000)}
    async with nodes(cluster, 1) as (one,), open_client(one.url) as publisher:
        await publisher.publish_many(many.items(), qos=1, retain=True)
        await publisher.publish("t/5", "", qos=1, retain=True)
        del many["t/5"]
        later = replace(cluster, node="later")
        async with trio_mqtt.open_broker(LOCAL, cluster=later) as other:
            assert kept(other) == kept(one) == many


async def test_they_outlive_all_nodes(cluster: Cluster) -> None:
    async with nodes(cluster, 1) as (one,), open_client(one.url) as publisher:
        await publisher.publish("t", "1", qos=1, retain=True)
    async with nodes(cluster, 1) as (one,):
        assert kept(one) == {"t": b"1"}


async def test_all_nodes_agree_on_what_several_retain_at_once(cluster: Cluster) -> None:
    async with nodes(cluster, 3) as brokers:

        async def publish(broker: Broker, name: str) -> None:
            async with open_client(broker.url) as client:
                for number in range(60):
                    payload = "" if number % 7 == 6 else f"{name}{number}"
                    await client.publish(f"t/{number % 3}", payload, qos=1, retain=True)

        async with trio.open_nursery() as nursery:
            for name, broker in zip("abc", brokers, strict=True):
                nursery.start_soon(publish, broker, name)
        elsewhere = core_of(brokers[0]).elsewhere
        for broker in brokers:
            elsewhere = core_of(broker).elsewhere
            assert elsewhere is not None
            await elsewhere.caught_up().wait()
        assert kept(brokers[0]) == kept(brokers[1]) == kept(brokers[2])
        async with trio_mqtt.open_broker(LOCAL, cluster=cluster) as later:
            assert kept(later) == kept(brokers[0])


async def test_its_time_counts_on_elsewhere_and_ends(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url) as publisher,
        open_client(other.url) as subscriber,
    ):
        await publisher.publish(
            "t", "1", qos=1, retain=True, properties={"message_expiry_interval": 100}
        )
        message = await first(subscriber, "t")
        assert message.properties["message_expiry_interval"] == 100
        for broker in (one, other):
            core = core_of(broker)
            (found,) = core.retained.all()
            assert abs(found.stored_at - trio.current_time()) < 5
            # As if it had come so much earlier.
            core.retained.store(found.message, found.stored_at - 60)
        message = await first(subscriber, "t")
        assert message.properties["message_expiry_interval"] in (39, 40)


async def test_what_has_expired_leaves_the_engine_but_nothing_newer(cluster: Cluster) -> None:
    async with nodes(cluster, 1) as (one,), open_client(one.url) as publisher:
        await publisher.publish("stays", "1", qos=1, retain=True)
        interval: Properties = {"message_expiry_interval": 1}
        await publisher.publish("goes", "1", qos=1, retain=True, properties=interval)
        await trio.sleep(1.1)
        core = core_of(one)
        journal = core.journal
        assert journal is not None
        for topic in ("stays", "goes"):
            journal.retained_expired(topic)
        await journal.until_kept()
        async with trio_mqtt.open_broker(LOCAL, cluster=cluster) as later:
            assert kept(later) == {"stays": b"1"}


async def test_events_tell_of_them_at_each_node(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), open_client(one.url) as publisher:
        with other.events(RetainedChanged) as events:
            await publisher.publish("t", "1", qos=1, retain=True)
            await publisher.publish("t", "", qos=1, retain=True)
            told = []
            async for event in events:
                assert isinstance(event, RetainedChanged)
                told.append((event.topic, event.removed))
                if event.removed:
                    break
            assert told == [("t", False), ("t", True)]


class Rules:
    """Who may publish, which changes."""

    def __init__(self) -> None:
        self.forbidden: set[str] = set()

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return client.client_id not in self.forbidden

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return True

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return True


async def test_rules_are_asked_anew_about_its_author_at_every_node(cluster: Cluster) -> None:
    rules = Rules()
    async with (
        nodes(cluster, 2, security=Security(access=rules, allow_anonymous=True)) as (one, other),
        open_client(one.url, client_id="author") as author,
        open_client(one.url, client_id="stranger") as stranger,
        open_client(other.url) as subscriber,
    ):
        await author.publish("t/author", "1", qos=1, retain=True)
        await stranger.publish("t/stranger", "2", qos=1, retain=True)
        await until(lambda: len(kept(other)) == 2)
        rules.forbidden.add("author")
        await other.rules_changed()
        assert (await first(subscriber, "t/+")).topic == "t/stranger"


async def test_what_others_say_is_heard_again_once_own_changes_are_all_through(
    cluster: Cluster,
) -> None:
    async with nodes(cluster, 1) as (one,):
        node = core_of(one).elsewhere
        retained, name = node.retained, node.membership.node  # type: ignore[union-attr]

        def seen(author: str, payload: bytes) -> None:
            row = RetainedRow("t", payload, 0, node.clock.epoch + trio.current_time(), b"", None)  # type: ignore[union-attr]
            retained.on_change(memoryview(encode_change(author, "t", encode_row(row))))

        core_of(one).retained.store(Publish("t", b"own 2", 0, True), trio.current_time())
        retained.changed("t")
        retained.are_sent(["t"])
        seen("another", b"before")
        retained.changed("t")  # again, before the first one is through
        seen(name, b"own 1")
        retained.are_sent(["t"])
        seen("another", b"before, too")
        assert kept(one) == {"t": b"own 2"}
        seen(name, b"own 2")
        assert kept(one) == {"t": b"own 2"}
        seen("another", b"after")
        assert kept(one) == {"t": b"after"}


async def test_what_is_retained_while_all_is_read_anew_stays(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with nodes(cluster, 1) as (one,):
        node = core_of(one).elsewhere
        retained, name = node.retained, node.membership.node  # type: ignore[union-attr]

        def row(topic: str, payload: bytes) -> bytes:
            at = node.clock.epoch + trio.current_time()  # type: ignore[union-attr]
            return encode_row(RetainedRow(topic, payload, 0, at, b"", None))

        async def fields() -> AsyncIterator[list[tuple[bytes, bytes]]]:
            # As they were read; then each changes here, and that is on its way to the engine.
            found = [(b"old", row("old", b"before")), (b"other", row("other", b"elsewhere"))]
            for topic in ("old", "new"):
                core_of(one).retained.store(Publish(topic, b"own", 0, True), trio.current_time())
                retained.changed(topic)
            retained.are_sent(["old", "new"])
            yield found

        monkeypatch.setattr(retained._store, "load", fields)
        await retained.load(name)
        as_it_is = {"old": b"own", "new": b"own", "other": b"elsewhere"}
        assert kept(one) == as_it_is
        for topic in ("old", "new"):
            retained.on_change(memoryview(encode_change(name, topic, row(topic, b"own"))))
        assert kept(one) == as_it_is


async def test_what_waited_while_a_node_was_cut_off_takes_the_place_of_nothing_later(
    cluster: Cluster, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_this_machines(clock: EngineClock) -> None:
        await trio.lowlevel.checkpoint()
        clock.epoch = time.time() - trio.current_time()

    # Asked on a busy machine, it is not told to the millisecond.
    monkeypatch.setattr(EngineClock, "set", is_this_machines)
    quick = replace(cluster, lease=1.0, timeout=0.5, keep_clients=0)
    async with open_proxy(redis) as proxy, nodes(quick, 1) as (one,):
        behind = replace(quick, url=proxy.url, node="behind")
        async with (
            trio_mqtt.open_broker(LOCAL, cluster=behind) as other,
            open_client(one.url) as here,
            open_client(other.url) as there,
        ):
            node = core_of(other).elsewhere
            before = node.membership.node  # type: ignore[union-attr]
            for topic in ("changed", "removed", "set", "gone", "back"):
                await here.publish(topic, "first", qos=1, retain=True)
            await until(lambda: len(kept(other)) == 5)
            proxy.refuses = True
            proxy.cut()
            await until(lambda: node.membership.node == "")  # type: ignore[union-attr]
            # At QoS 0 it goes on, and has them kept when it is back.
            for topic, payload in (
                ("changed", "old"),
                ("removed", ""),
                ("set", "new"),
                ("gone", ""),
                ("back", "old"),
            ):
                await there.publish(topic, payload, retain=True)
            here_only = {"changed": b"old", "set": b"new", "back": b"old"}
            await until(lambda: kept(other) == here_only)
            for topic in ("changed", "removed"):
                await here.publish(topic, "later", qos=1, retain=True)
            await here.publish("back", "", qos=1, retain=True)
            proxy.refuses = False
            await until(lambda: node.membership.node not in ("", before))  # type: ignore[union-attr]
            as_it_is = {"changed": b"later", "removed": b"later", "set": b"new"}
            await until(lambda: kept(other) == as_it_is and kept(one) == as_it_is)
            # And what changes then is heard of, everywhere.
            for topic in as_it_is:
                await here.publish(topic, "last", qos=1, retain=True)
            assert (await first(there, "changed")).text == "last"
            assert {*kept(other).values()} == {b"last"}


async def test_of_what_went_a_bounded_part_is_remembered(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_engine(cluster) as engine:
        engine.deadline_ms = 1 << 45
        store = RetainedStore(engine, Changes(engine))
        gone = engine.keys.shared("retained-gone")
        now = int((await engine.call("TIME"))[0])
        await engine.call("ZADD", gone, (now - 3601) * 1000, "long ago", (now - 9) * 1000, "t0")
        await engine.all(store.calls("n", {f"t{number}": None for number in range(12)}))
        assert sorted(await engine.call("ZRANGE", gone, 0, -1)) == sorted(
            b"t%d" % number for number in range(12)
        )
        row = RetainedRow("t0", b"x", 0, now - 1, b"", None)
        # Removed later; not so what is set later, or was never removed.
        calls = [
            store.late_call("n", "t0", row, now - 1),
            store.late_call("n", "t1", row, now + 60),
            store.late_call("n", "other", row, now - 1),
        ]
        later, *others = await engine.all(calls)
        assert later == b""
        assert all(isinstance(one, list) for one in others)
        many = {f"many {number}": None for number in range(10_100)}
        await engine.all(store.calls("n", many))
        assert await engine.call("ZCARD", gone) == 10_000
        # What has expired does not bring back what was before it.
        short = RetainedRow("short", b"x", 0, now - 5, b"", None, now - 1)
        await engine.all(store.calls("n", {"short": short}))
        await engine.all(store.expire(["short"], 1e9))
        (reply,) = await engine.all([store.late_call("n", "short", row, now - 6)])
        assert reply == b""
