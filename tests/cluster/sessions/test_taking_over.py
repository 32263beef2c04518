"""One client identifier is connected once in the whole cluster (MQTT 5.0 §3.1.4)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from random import Random
from typing import Any

import pytest
import trio

from tests.broker.opened import joined
from tests.broker.raw import V311, Raw
from tests.cluster.nodes import nodes
from tests.cluster.waiting import known, until
from tests.inside import core_of, sessions_of
from tests.transport.dialing import dial
from trio_mqtt import Broker, BrokerOptions, Cluster, ReasonCode
from trio_mqtt.cluster.items import encode_asked
from trio_mqtt.cluster.membership import Membership
from trio_mqtt.protocol.packets import ConnAck, Connect

OVER = ReasonCode.SESSION_TAKEN_OVER


def is_empty(broker: Broker) -> bool:
    return not sessions_of(broker)


async def test_a_client_that_comes_to_another_node_is_connected_there_alone(
    cluster: Cluster,
) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url) as before,
        joined(other.url) as client,
    ):
        assert client.connack is not None
        assert not client.connack.session_present
        await before.expect_disconnect(OVER)
        await client.ping()
        assert list(sessions_of(one)) == []
        assert list(sessions_of(other)) == ["c"]


async def test_it_may_go_to_and_fro(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as both, AsyncExitStack() as stack:
        before = None
        for number in range(10):
            client = await stack.enter_async_context(joined(both[number % 2].url, expiry=60))
            if before is not None:
                await before.expect_disconnect(OVER)
            before = client


async def test_a_session_goes_on_where_its_client_connects_next(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), joined(one.url, "p") as publisher:
        async with joined(one.url, expiry=60) as client:
            await client.subscribe("a/+", qos=1, identifier=7)
            await client.disconnect()
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            await known(other)
            await publisher.publish("a/b", b"1")
            message = await client.expect_message("a/b", b"1")
            assert message.properties["subscription_identifier"] == [7]
            assert list(sessions_of(one)) == ["p"]


async def test_it_goes_on_as_well_where_it_is_taken_over(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        joined(one.url, "p") as publisher,
        joined(one.url, expiry=60) as before,
    ):
        await before.subscribe("a/+")
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            await before.expect_disconnect(OVER)
            await known(other)
            await publisher.publish("a/b", b"1")
            await client.expect_message("a/b", b"1")


async def test_a_client_that_is_away_costs_no_node_anything(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as both:
        for broker in both:
            for number in range(20):
                async with joined(broker.url, f"c{number}", expiry=60) as client:
                    await client.subscribe("a")
                    if number % 2:
                        await client.disconnect()
        for broker in both:
            await until(partial(is_empty, broker))
            assert broker.statistics.sessions == 0
            assert broker.statistics.subscriptions == 0


async def test_a_clean_start_ends_the_session_wherever_it_was(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other):
        async with joined(one.url, expiry=60) as client:
            await client.subscribe("a")
            await client.disconnect()
        async with joined(other.url, expiry=60) as client:
            assert client.connack is not None
            assert not client.connack.session_present
            await client.disconnect()
        async with joined(one.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            await client.publish("a", b"nobody has subscribed to it")
            await client.ping()


async def test_so_does_one_that_takes_it_over(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), joined(one.url, expiry=60) as before:
        await before.subscribe("a")
        async with joined(other.url, expiry=60) as client:
            assert client.connack is not None
            assert not client.connack.session_present
            await before.expect_disconnect(OVER)
            await client.publish("a", b"nobody has subscribed to it")
            await client.ping()


async def test_a_session_that_ends_with_its_connection_is_not_there_elsewhere(
    cluster: Cluster,
) -> None:
    async with nodes(cluster, 2) as (one, other):
        async with joined(one.url) as client:
            await client.disconnect()
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert not client.connack.session_present


async def test_at_one_node_it_is_as_ever(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), joined(one.url, expiry=60) as first:
        await first.subscribe("a")
        async with joined(one.url, expiry=60, clean_start=False) as second:
            assert second.connack is not None
            assert second.connack.session_present
            await first.expect_disconnect(OVER)
            async with joined(one.url, expiry=60) as third:
                assert third.connack is not None
                assert not third.connack.session_present
                await second.expect_disconnect(OVER)
                await third.subscribe("b")
                await third.disconnect()
        async with joined(other.url, expiry=60, clean_start=False) as fourth:
            assert fourth.connack is not None
            assert fourth.connack.session_present
            await fourth.publish("a")
            await fourth.publish("b", b"1")
            await fourth.expect_message("b", b"1")


async def test_where_who_is_connected_stays_the_other_is_refused(cluster: Cluster) -> None:
    options = BrokerOptions(takeover_refused=True)
    async with nodes(cluster, 2, options=options) as (one, other):
        async with joined(one.url, expiry=60) as client:
            async with await dial(other.url) as stream:
                second = Raw(stream)
                await second.send(Connect("c", True, 0))
                answer = await second.expect(ConnAck)
                assert answer.reason_code == ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
                await second.expect_closed()
            assert other.statistics.takeovers_refused == 1
            await client.ping()
            await client.disconnect()
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present


async def test_of_many_that_come_at_once_one_is_connected(cluster: Cluster) -> None:
    chance = Random(5)  # noqa: S311
    async with nodes(cluster, 3) as brokers, AsyncExitStack() as stack:
        clients = []
        for number in range(30):
            stream = await stack.enter_async_context(await dial(brokers[number % 3].url))
            clients.append(Raw(stream))
        chance.shuffle(clients)
        async with trio.open_nursery() as nursery:
            for client in clients:
                clean = chance.random() < 0.3
                nursery.start_soon(
                    client.send,
                    Connect("c", clean, 0, properties={"session_expiry_interval": 60}),
                )
        accepted, connected = 0, []

        async def follow(client: Raw) -> None:
            nonlocal accepted
            answer = await client.expect(ConnAck)
            if answer.reason_code.is_failure:
                assert answer.reason_code == ReasonCode.SERVER_UNAVAILABLE
                await client.expect_closed()
                return
            accepted += 1
            connected.append(client)
            await client.expect_disconnect(OVER)
            connected.remove(client)

        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(follow, client)
            await until(lambda: len(nursery.child_tasks) == 1 and len(connected) == 1)
            nursery.cancel_scope.cancel()
        (last,) = connected
        await last.ping()
        assert accepted >= 1
        assert sum(len(sessions_of(broker)) for broker in brokers) == 1


async def test_an_old_client_is_only_disconnected(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), await dial(one.url) as stream:
        before = Raw(stream, V311)
        await before.connect()
        async with joined(other.url):
            await before.expect_closed()


async def test_a_node_that_ends_is_asked_for_a_session_in_vain(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = Membership.leave
    asked: list[str] = []

    async def be_asked_and_leave(membership: Membership) -> None:
        asked.append(membership.node)
        node.sessions.on_give_up(memoryview(encode_asked("another", "c")))
        await leave(membership)

    monkeypatch.setattr(Membership, "leave", be_asked_and_leave)
    async with nodes(cluster, 1) as (one,):
        node: Any = core_of(one).elsewhere
    assert len(asked) == 1
