"""Messages for durable sessions between nodes: by logs, each once."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

from tests.broker.opened import joined
from tests.cluster.durable.clients import durable_client
from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer
from trio_mqtt import Broker, Cluster, open_client
from trio_mqtt.broker.clustering.other_node import OtherNode
from trio_mqtt.broker.sessions.outlet import Outlet
from trio_mqtt.cluster.inbox import Inbox
from trio_mqtt.protocol.packets import Publish, SubAck, Subscribe, Subscription, Unsubscribe


def ever_logged(redis: RedisServer, cluster: Cluster, topic_filter: str) -> int:
    """Entries that a log was given: those that all have acknowledged may be gone by now."""
    reply = redis.command("XINFO", "STREAM", f"{{{cluster.name}/f/{topic_filter}}}:log")
    return int(reply.partition(b"entries-added\r\n:")[2].partition(b"\r\n")[0])


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("where", [0, 1])
async def test_a_durable_session_gets_what_is_published_anywhere(
    cluster: Cluster, redis: RedisServer, qos: int, where: int
) -> None:
    async with (
        nodes(cluster, 2) as brokers,
        open_client(brokers[0].url, client_id="publisher") as publisher,
        durable_client(brokers[where].url, "subscriber") as subscriber,
        subscriber.subscribe("a/+", qos=2) as messages,
    ):
        for number in range(100):
            await publisher.publish(f"a/{number % 3}", str(number), qos=qos)
        await publisher.publish("b", "nobody wants this", qos=qos)
        got = [await anext(messages) for _ in range(100)]
        assert [message.payload for message in got] == [str(n).encode() for n in range(100)]
        assert {message.qos for message in got} == {qos}
        assert ever_logged(redis, cluster, "a/+") == 100


async def test_qos_0_comes_by_no_log_and_once(cluster: Cluster, redis: RedisServer) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url, client_id="publisher") as publisher,
        durable_client(other.url, "subscriber") as subscriber,
        subscriber.subscribe("a/+", qos=1) as messages,
        open_client(other.url, client_id="plain") as plain,
        plain.subscribe("a/#", qos=1) as all_messages,
    ):
        for number in range(10):
            await publisher.publish("a/b", f"zero {number}", qos=0)
        await publisher.publish("a/b", "one", qos=1)
        for stream in (messages, all_messages):
            got = [(await anext(stream)).payload for _ in range(11)]
            assert sorted(got) == sorted([b"zero %d" % n for n in range(10)] + [b"one"])
        assert ever_logged(redis, cluster, "a/+") == 1


async def test_many_sessions_of_one_filter_cost_one_write(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with AsyncExitStack() as stack:
        brokers: list[Broker] = await stack.enter_async_context(nodes(cluster, 3))
        publisher = await stack.enter_async_context(open_client(brokers[0].url))
        streams = []
        for number in range(30):
            url = brokers[number % 3].url
            client = await stack.enter_async_context(durable_client(url, f"s{number}"))
            streams.append(await stack.enter_async_context(client.subscribe("a/#", qos=1)))
        for number in range(5):
            await publisher.publish("a/b", str(number), qos=1)
        for stream in streams:
            assert [(await anext(stream)).payload for _ in range(5)] == [
                b"%d" % n for n in range(5)
            ]
        assert ever_logged(redis, cluster, "a/#") == 5


async def test_what_several_filters_of_a_session_match_comes_once(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url, client_id="publisher") as publisher,
        durable_client(other.url, "subscriber") as subscriber,
        subscriber.subscribe("a/+", qos=1) as some,
        subscriber.subscribe("#", qos=2) as everything,
        durable_client(one.url, "another") as another,
        another.subscribe("a/#", qos=1) as others,
    ):
        for number in range(20):
            await publisher.publish("a/b", str(number), qos=2)
        await publisher.publish("end", "", qos=1)
        assert [(await anext(everything)).payload for _ in range(21)][:20] == [
            b"%d" % number for number in range(20)
        ]
        with trio.move_on_after(0.2):
            await anext(everything)
            raise AssertionError("a message came twice")
        assert [(await anext(some)).qos for _ in range(20)] == [2] * 20
        assert [(await anext(others)).qos for _ in range(20)] == [1] * 20


async def test_what_a_node_was_not_told_of_it_reads_in_the_log(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = OtherNode.copy
    told = 0

    def tell_some(other: OtherNode, data: bytes, topic_filter: str) -> None:
        nonlocal told
        told += 1
        if told % 3 == 0:
            copy(other, data, topic_filter)

    monkeypatch.setattr(OtherNode, "copy", tell_some)
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url, client_id="publisher") as publisher,
        durable_client(other.url, "subscriber") as subscriber,
        subscriber.subscribe("a", qos=1) as messages,
    ):
        for number in range(30):
            await publisher.publish("a", str(number), qos=1)
        assert [(await anext(messages)).payload for _ in range(30)] == [
            b"%d" % number for number in range(30)
        ]


async def test_a_node_whose_inbox_is_full_reads_the_log_later(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url, client_id="publisher") as publisher,
        durable_client(other.url, "subscriber") as subscriber,
        subscriber.subscribe("a", qos=1) as messages,
    ):
        monkeypatch.setattr("trio_mqtt.broker.clustering.other_node.WAITING", 0)
        for number in range(3):
            await publisher.publish("a", str(number), qos=1)
        assert [(await anext(messages)).payload for _ in range(3)] == [b"0", b"1", b"2"]
        monkeypatch.undo()
        await publisher.publish("a", "3", qos=1)
        assert (await anext(messages)).payload == b"3"


async def test_no_local_holds_in_logs(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        durable_client(one.url, "one") as first,
        first.subscribe("a", qos=1, no_local=True) as own,
        durable_client(other.url, "other") as second,
        second.subscribe("a", qos=1, no_local=True) as others,
    ):
        await first.publish("a", "by one", qos=1)
        await second.publish("a", "by the other", qos=1)
        assert (await anext(own)).payload == b"by the other"
        assert (await anext(others)).payload == b"by one"


async def test_a_filter_that_nobody_has_any_more_has_no_log(
    cluster: Cluster, redis: RedisServer
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        open_client(one.url, client_id="publisher") as publisher,
        durable_client(other.url, "subscriber") as subscriber,
    ):
        async with subscriber.subscribe("a", qos=1) as messages:
            await publisher.publish("a", "1", qos=1)
            await anext(messages)
        for _ in range(500):
            if redis.command("HLEN", f"{{{cluster.name}}}:durable") == b":0\r\n":
                break
            await trio.sleep(0.01)
        assert redis.command("EXISTS", f"{{{cluster.name}/f/a}}:log") == b":0\r\n"
        await publisher.publish("a", "2", qos=1)
        async with subscriber.subscribe("a", qos=1) as messages:
            await publisher.publish("a", "3", qos=1)
            assert (await anext(messages)).payload == b"3"


async def test_who_subscribes_again_and_again_gets_each_message_once(cluster: Cluster) -> None:
    """What a subscription has begun that has ended goes on for none that came after it."""
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        joined(other.url, "s", expiry=600) as client,
    ):
        for packet_id in range(1, 20, 2):
            await client.send(
                Subscribe(packet_id, [Subscription("a", 2)]), Unsubscribe(packet_id + 1, ["a"])
            )
        await client.send(Subscribe(21, [Subscription("a", 2)]))
        while not (isinstance(packet := await client.receive(), SubAck) and packet.packet_id == 21):
            pass
        for number in range(10):
            await publisher.publish("a", b"%d" % number, 2)
        got = [message.payload for message in await client.take(0.5)]
        assert got == [b"%d" % number for number in range(10)]


@pytest.mark.parametrize("at", [0, 1])
async def test_much_for_many_reaches_all_of_them(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """More than is begun with in one turn: the rest is sent in the next ones."""
    monkeypatch.setattr("trio_mqtt.broker.routing.router.LITTLE", 0)
    for name in ("MUCH", "_AT_ONCE"):
        monkeypatch.setattr(f"trio_mqtt.broker.routing.spreading.{name}", 1)
    async with nodes(cluster, 2) as brokers, AsyncExitStack() as stack:
        clients = []
        for number in range(10):
            opening = joined(brokers[at].url, f"s{number}", expiry=600)
            clients.append(await stack.enter_async_context(opening))
            await clients[-1].subscribe("a", qos=1)
        publisher = await stack.enter_async_context(joined(brokers[0].url, "p"))
        numbers = range(1, 4)
        await publisher.send(*(Publish("a", b"x", 1, packet_id=number) for number in numbers))
        for client in clients:
            for _ in numbers:
                await client.expect(Publish)


@pytest.mark.parametrize("together", [1, 32 * 1024])
async def test_what_is_read_at_once_leaves_together(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr("trio_mqtt.broker.clustering.arrivals._TOGETHER", together)
    read, is_slow = Inbox.read, False

    async def slow(inbox: Inbox, *, count: int, block: float) -> list[bytes]:
        entries = await read(inbox, count=count, block=block)
        if entries and is_slow:
            while not all(b"message %d" % number in b"".join(entries) for number in range(1, 6)):
                entries += await read(inbox, count=count, block=block)
        return entries

    async with nodes(cluster, 2) as (one, other), AsyncExitStack() as stack:
        clients = []
        for number in range(3):
            opening = joined(other.url, f"s{number}", expiry=600)
            clients.append(await stack.enter_async_context(opening))
            await clients[-1].subscribe("a", qos=1)
        publisher = await stack.enter_async_context(joined(one.url, "p"))
        monkeypatch.setattr(Inbox, "read", slow)
        await publisher.publish("a", b"0", 1)
        for client in clients:
            await client.expect(Publish)
        writes, write = 0, Outlet.write

        def counted(outlet: Outlet, data: bytes) -> None:
            nonlocal writes
            writes += b"message" in data
            write(outlet, data)

        monkeypatch.setattr(Outlet, "write", counted)
        is_slow = True
        for number in range(1, 6):
            await publisher.publish("a", b"message %d" % number, 1)
        for client in clients:
            got = [(await client.expect(Publish)).payload for _ in range(5)]
            assert got == [b"message %d" % number for number in range(1, 6)]
        if together > 1:
            assert writes == len(clients)


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_three_filters_match_comes_once(cluster: Cluster, qos: int) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        joined(other.url, "s", expiry=600) as client,
    ):
        for topic_filter in ("a/b", "a/+", "a/#"):
            await client.subscribe(topic_filter, qos=qos)
        for number in range(3):
            await publisher.publish("a/b", b"%d" % number, qos)
        await publisher.publish("a/last", b"last", qos)
        got: list[bytes] = []
        while b"last" not in got:
            got.append((await client.expect_any()).payload)
        assert sorted(got) == [b"0", b"1", b"2", b"last"]
