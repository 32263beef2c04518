"""Messages between nodes of which one is cut off from the engine for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest
import trio

import trio_mqtt
from tests.broker.opened import joined
from tests.broker.raw import Closed, Raw
from tests.cluster.nodes import LOCAL
from tests.cluster.proxy import Proxy, open_proxy
from tests.cluster.redis import RedisServer
from tests.cluster.waiting import known, until
from tests.inside import core_of
from tests.transport.dialing import dial
from trio_mqtt import Broker, Client, Cluster, Messages, open_client
from trio_mqtt.broker.clustering.cluster_node import ClusterNode
from trio_mqtt.broker.clustering.session_membership import SessionMembership
from trio_mqtt.protocol.packets import Connect, Publish, Will
from trio_mqtt.protocol.properties import Properties


@pytest.fixture
async def proxy(redis: RedisServer) -> AsyncIterator[Proxy]:
    async with open_proxy(redis) as between:
        yield between


async def take_all(messages: Messages, got: list[str]) -> None:
    async for message in messages:
        got.append(message.text)


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("cut_off_is", ["publisher", "subscriber"])
async def test_what_is_promised_arrives_through_cuts_and_at_qos_2_once(
    cluster: Cluster, proxy: Proxy, qos: int, cut_off_is: str
) -> None:
    numbers = [str(number) for number in range(300)]
    got: list[str] = []
    direct, behind = replace(cluster, node="n1"), replace(cluster, node="n2", url=proxy.url)
    mine, theirs = (behind, direct) if cut_off_is == "publisher" else (direct, behind)
    with trio.fail_after(60):
        async with (
            trio_mqtt.open_broker(LOCAL, cluster=mine) as one,
            trio_mqtt.open_broker(LOCAL, cluster=theirs) as two,
            open_client(one.url) as publisher,
            open_client(two.url) as subscriber,
            subscriber.subscribe("t", qos=2, buffer=10_000) as messages,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(take_all, messages, got)

            elsewhere = core_of(one if cut_off_is == "publisher" else two).elsewhere
            assert isinstance(elsewhere, ClusterNode)
            membership, half = elsewhere.membership, cluster.lease / 2

            async def cut() -> None:
                while True:
                    # For longer than it takes to reach the engine on a busy machine; and never so
                    # often that it loses its lease.
                    await trio.sleep(0.2)
                    await until(lambda: membership.lease_end > trio.current_time() + half)
                    proxy.cut()

            nursery.start_soon(cut)
            for at in range(0, 300, 10):
                many = [("t", number) for number in numbers[at : at + 10]]
                await publisher.publish_many(many, qos=qos)
            await until(lambda: set(got) == set(numbers))
            nursery.cancel_scope.cancel()
    if qos == 2:
        assert got == numbers
    else:
        assert list(dict.fromkeys(got)) == numbers


class Pair(NamedTuple):
    """Two nodes, of which the second may be cut off, with a client each."""

    one: Broker
    two: Broker
    at_one: Client
    at_two: Client

    @property
    def first(self) -> Any:  # noqa: ANN401 # a node of a cluster
        return core_of(self.one).elsewhere

    @property
    def second(self) -> Any:  # noqa: ANN401
        return core_of(self.two).elsewhere


@pytest.fixture
async def pair(cluster: Cluster, proxy: Proxy) -> AsyncIterator[Pair]:
    cluster = replace(cluster, lease=0.8, timeout=0.4, keep_clients=0)
    behind = replace(cluster, node="n2", url=proxy.url)
    with trio.fail_after(60):
        async with (
            trio_mqtt.open_broker(LOCAL, cluster=replace(cluster, node="n1")) as one,
            trio_mqtt.open_broker(LOCAL, cluster=behind) as two,
            open_client(one.url) as at_one,
            open_client(two.url) as at_two,
        ):
            yield Pair(one, two, at_one, at_two)


@asynccontextmanager
async def cut_off(pair: Pair, proxy: Proxy) -> AsyncIterator[None]:
    """In the block the second node is cut off; afterwards it is a node again, which is another."""
    membership = pair.second.membership
    before = membership.node
    proxy.refuses = True
    proxy.cut()
    yield
    proxy.refuses = False
    await until(lambda: membership.node not in ("", before))


async def test_a_node_that_was_cut_off_past_its_lease_takes_part_again(
    pair: Pair, proxy: Proxy
) -> None:
    first, second, at_one, at_two = pair.first, pair.second, pair.at_one, pair.at_two
    async with (
        at_one.subscribe("to/one", qos=1) as here,
        at_two.subscribe("to/two", "$share/g/s", qos=1) as there,
    ):
        async with cut_off(pair, proxy):
            # Among its own clients, and at QoS 0, it goes on.
            await until(lambda: second.membership.node == "")
            await at_two.publish("to/two", "alone")
            assert (await anext(there)).text == "alone"
            await until(lambda: not first.others.all())
            await at_one.publish("kept", "meanwhile", qos=1, retain=True)
        await until(lambda: any("to/two" in other.filters for other in first.others.all()))
        await at_one.publish("to/two", "again", qos=1)
        assert (await anext(there)).text == "again"
        await at_one.publish("s", "shared", qos=1)
        assert (await anext(there)).text == "shared"
        await at_two.publish("to/one", "back", qos=1)
        assert (await anext(here)).text == "back"
        async with at_two.subscribe("kept") as kept:
            assert (await anext(kept)).text == "meanwhile"


async def test_a_node_joins_again_though_what_it_has_to_keep_waits_for_that(
    pair: Pair, proxy: Proxy
) -> None:
    second = pair.second
    async with trio.open_nursery() as nursery:
        async with cut_off(pair, proxy):
            # It has something to keep, and owes the other node an answer that must come after it.
            nursery.start_soon(partial(pair.at_two.publish, "kept", "x", qos=1, retain=True))
            await until(lambda: core_of(pair.two).statistics.messages_received > 0)
            second.following.asks(pair.first.membership.node)
            second.following._answer()
            await until(lambda: second.membership.node == "")
        async with pair.at_one.subscribe("new"):
            pass
        async with pair.at_one.subscribe("kept") as kept:
            assert (await anext(kept)).text == "x"


async def test_what_a_client_sent_again_elsewhere_is_not_kept_late(
    pair: Pair, proxy: Proxy
) -> None:
    async with (
        joined(pair.one.url, "subscriber", expiry=60) as subscriber,
        joined(pair.two.url, "publisher", expiry=60) as publisher,
        joined(pair.two.url, "other") as other,
    ):
        await subscriber.subscribe("t", qos=1)
        await known(pair.two)
        await publisher.publish("t", b"0", 1)
        async with cut_off(pair, proxy):
            for number in (1, 2):
                await publisher.send(Publish("t", b"%d" % number, 1, packet_id=number))
            while not isinstance(await publisher.receive(), Closed):
                pass
            # Its session is free, and it goes on as it has to, with what it was not acknowledged.
            async with joined(pair.one.url, "publisher", expiry=60, clean_start=False) as again:
                for number in (1, 2, 3):
                    await again.publish("t", b"%d" % number, 1)
        journal = core_of(pair.two).journal
        await until(lambda: journal.known_until > trio.current_time())  # type: ignore[union-attr]
        assert not (await other.publish("t", b"4", 1)).is_failure
        got = [(await subscriber.expect_any()).payload for _ in range(5)]
        assert got == [b"0", b"1", b"2", b"3", b"4"]


async def test_what_was_with_a_member_when_its_node_was_lost_is_given_to_nobody_else(
    pair: Pair, proxy: Proxy, redis: RedisServer, cluster: Cluster
) -> None:
    async with (
        joined(pair.one.url, "publisher") as publisher,
        joined(pair.two.url, "m", expiry=60, properties={"receive_maximum": 1}) as member,
    ):
        await member.subscribe("$share/g/t", qos=2)
        await known(pair.two)
        for number in (1, 2):
            await publisher.publish("t", b"%d" % number, 2)
        await member.expect(Publish)
        log = f"{{{cluster.name}/f/$share/g/t}}:log"
        await until(lambda: redis.command("XLEN", log) == b":0\r\n")
        async with cut_off(pair, proxy):
            while not isinstance(await member.receive(), Closed):
                pass
        journal = core_of(pair.two).journal
        await until(lambda: journal.known_until > trio.current_time())  # type: ignore[union-attr]
        await publisher.publish("t", b"3", 2)
        async with joined(pair.one.url, "m", expiry=60, clean_start=False) as member:
            got = [(await member.expect(Publish)).payload for _ in range(3)]
            assert await member.take(0.1) == []
    assert got == [b"1", b"2", b"3"]


async def test_a_will_that_others_publish_since_is_not_published_late(
    pair: Pair, proxy: Proxy
) -> None:
    """A connection was ended by the next one of its client, while their node was cut off."""
    async with (
        joined(pair.one.url, "subscriber", expiry=60) as subscriber,
        joined(pair.two.url, "c", expiry=60, will=Will("t", b"gone", 2)) as client,
    ):
        await subscriber.subscribe("t", qos=2)
        await known(pair.two)
        async with cut_off(pair, proxy):
            properties: Properties = {"session_expiry_interval": 60}
            async with await dial(pair.two.url) as stream:
                await Raw(stream).send(Connect("c", clean_start=False, properties=properties))
                while not isinstance(await client.receive(), Closed):
                    pass
            await subscriber.expect_message("t", b"gone", 2)
        journal = core_of(pair.two).journal
        await until(lambda: journal.known_until > trio.current_time())  # type: ignore[union-attr]
        async with joined(pair.two.url, "publisher") as publisher:
            await publisher.publish("t", b"after", 1)
        await subscriber.expect_message("t", b"after", 1)


async def test_of_a_session_that_is_lost_nothing_is_written_any_more(pair: Pair) -> None:
    """What its client has sent is forgotten: that it had come must not be kept, once it is back."""
    async with joined(pair.two.url, "c", expiry=60):
        session = core_of(pair.two).sessions.get("c")
        assert session is not None
        (part,) = (one for one in pair.second._parts if isinstance(one, SessionMembership))
        assert pair.second.storage.epoch_of(session.number) is not None
        await part.lost(pair.second.membership.node)
        assert pair.second.storage.epoch_of(session.number) is None
