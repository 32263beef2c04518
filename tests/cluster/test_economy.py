"""What travels between nodes is what somebody wants, once for each node, and many at a time."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import until
from tests.inside import core_of
from trio_mqtt import Broker, Cluster, open_client
from trio_mqtt.cluster.inbox import Inbox


def commands(redis: RedisServer) -> Counter[str]:
    """How often the engine has done each command."""
    found: Counter[str] = Counter()
    for line in redis.command("INFO", "commandstats").decode().splitlines():
        name, _, figures = line.partition(":")
        if name.startswith("cmdstat_"):
            calls = figures.partition("calls=")[2].partition(",")[0]
            found[name.removeprefix("cmdstat_")] = int(calls)
    return found


def written(redis: RedisServer, cluster: Cluster, broker: Broker) -> int:
    """How many entries were put into a node's inbox."""
    node = core_of(broker).elsewhere.membership.node  # type: ignore[union-attr]
    reply = redis.command("XINFO", "STREAM", f"{{{cluster.name}/n/{node}}}:inbox")
    words = reply.split(b"\r\n")
    if b"entries-added" not in words:
        return 0
    return int(words[words.index(b"entries-added") + 1][1:])


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_nobody_elsewhere_wants_never_leaves_its_node(
    cluster: Cluster, redis: RedisServer, qos: int
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url) as publisher,
        open_client(one.url) as subscriber,
        open_client(other.url) as stranger,
        subscriber.subscribe("t/#", qos=2) as messages,
        stranger.subscribe("elsewhere"),
    ):
        before = commands(redis)
        for number in range(200):
            await publisher.publish(f"t/{number}", "x", qos=qos)
            await anext(messages)
        done = commands(redis) - before
        assert not {name for name in done if name.startswith("x")} - {"xread"}, done
        assert sum(done[name] for name in ("evalsha", "xadd")) <= 4  # a lease may have been renewed


async def test_each_node_that_wants_it_gets_it_once_and_no_other(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 3) as (one, two, three),
        open_client(one.url) as publisher,
        open_client(two.url) as first,
        open_client(two.url) as second,
        open_client(three.url) as third,
        first.subscribe("a/#", qos=1) as messages,
        second.subscribe("a/b", "a/+", qos=1) as more,
        third.subscribe("b", qos=1),
    ):
        before = [written(redis, cluster, broker) for broker in (two, three)]
        for _ in range(50):
            await publisher.publish("a/b", "x", qos=1)
        for _ in range(50):
            await anext(messages)
            await anext(more)
        after = [written(redis, cluster, broker) for broker in (two, three)]
        assert [b - a for a, b in zip(before, after, strict=True)] == [50, 0]
        assert core_of(two).statistics.messages_sent == 100


async def test_what_comes_together_travels_together(cluster: Cluster, redis: RedisServer) -> None:
    async with (
        nodes(cluster, 2) as (one, two),
        open_client(one.url) as publisher,
        open_client(two.url) as subscriber,
        subscriber.subscribe("t", buffer=20_000) as messages,
    ):
        before = written(redis, cluster, two)
        await publisher.publish_many(("t", b"x" * 64) for _ in range(10_000))
        for _ in range(10_000):
            await anext(messages)
        assert written(redis, cluster, two) - before < 400


async def test_nothing_is_left_in_the_engine_of_nodes_that_have_gone(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 2) as (one, two),
        open_client(one.url) as publisher,
        open_client(two.url) as subscriber,
        subscriber.subscribe("t", "$share/g/s", qos=1) as messages,
    ):
        await publisher.publish("t", "x", qos=1)
        await anext(messages)
    left = redis.command("KEYS", f"*{cluster.name}*").split(b"\r\n")
    names = [word for word in left if cluster.name.encode() in word]
    # The stream of changes stays, and when nodes were here; inboxes end by themselves.
    for name in names:
        if not name.endswith((b":changes", b":changes-number", b":seen")):
            lasts = int(redis.command("PTTL", name.decode())[1:-2])
            assert 0 < lasts <= cluster.lease * 10_000, name


async def test_an_inbox_has_bounds_and_what_is_dropped_is_counted_and_told(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(url=redis.url, name="bounds", inbox_bytes=100_000)
    async with (
        nodes(cluster, 2) as (one, two),
        open_client(one.url) as publisher,
        open_client(two.url) as subscriber,
        subscriber.subscribe("t", qos=1, buffer=20_000) as messages,
    ):
        reads_on = trio.Event()
        arrivals = core_of(two).elsewhere.arrivals  # type: ignore[union-attr]
        inbox: Inbox = arrivals._inbox
        read = inbox.read

        async def wait_and_read(*, count: int, block: float) -> list[bytes]:
            await reads_on.wait()
            return await read(count=count, block=block)

        monkeypatch.setattr(inbox, "read", wait_and_read)
        await publisher.publish("t", "first", qos=1)  # what is under way is read still
        await anext(messages)
        for qos in (0, 1):
            for _ in range(20):
                await publisher.publish_many([("t", b"x" * 1_000)] * 20, qos=qos)
        await until(lambda: core_of(one).statistics.messages_dropped > 500)
        size = int(redis.command("HGET", inbox._keys[1].decode(), "written").split(b"\r\n")[1])
        assert size < 100_000 + 2 * 20_000
        assert "were dropped" in caplog.text
        reads_on.set()
        got = 0
        with trio.move_on_after(1):
            while True:
                await anext(messages)
                got += 1
        assert got + core_of(one).statistics.messages_dropped == 800
        await publisher.publish("t", "last", qos=1)
        assert (await anext(messages)).text == "last"
