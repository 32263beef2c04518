"""A node gives up its clients in order, and tells them where to go (MQTT 5.0 §4.11)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import trio

import trio_mqtt
from tests.broker.opened import LOCAL, joined
from tests.broker.raw import V311, Raw
from tests.cluster.nodes import nodes
from tests.cluster.waiting import until
from tests.inside import core_of, sessions_of
from tests.transport.dialing import dial
from trio_mqtt import Cluster, LocalProtocolError, ReasonCode
from trio_mqtt.broker.clustering.cluster_node import ClusterNode
from trio_mqtt.cluster.items import DRAIN
from trio_mqtt.protocol.packets import ConnAck, Connect, PubAck

AWAY = ReasonCode.USE_ANOTHER_SERVER


async def test_its_clients_are_told_where_to_go_and_find_their_sessions(cluster: Cluster) -> None:
    reference = replace(cluster, node="other", server_reference="other:1883")
    async with (
        trio_mqtt.open_broker(LOCAL, cluster=reference) as other,
        nodes(cluster, 1) as (one,),
        AsyncExitStack() as stack,
    ):
        clients = []
        for number in range(150):
            expiry = 60 if number % 2 else None
            client = await stack.enter_async_context(joined(one.url, f"c{number}", expiry=expiry))
            clients.append(client)
        await clients[1].subscribe("a")
        await one.drain()
        assert one.is_draining
        assert sessions_of(one) == {}
        for client in clients:
            said = await client.expect_disconnect(AWAY)
            assert said is not None
            assert said.properties["server_reference"] == "other:1883"
        async with await dial(one.url) as stream:
            late = Raw(stream)
            await late.send(Connect("late", True, 0))
            answer = await late.expect(ConnAck)
            assert answer.reason_code == AWAY
            assert answer.properties["server_reference"] == "other:1883"
        async with joined(other.url, "c1", expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            await client.publish("a", b"1")
            await client.expect_message("a", b"1")
        assert (await one.readings()).problems


async def test_they_have_first_what_has_come_for_them(cluster: Cluster) -> None:
    async with nodes(cluster, 1) as (one,), joined(one.url) as client:
        await client.subscribe("a", qos=1)
        await one.publish("a", b"1", qos=1)
        message = await client.expect_message("a", b"1", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.drain)
            await client.expect_nothing()
            await client.send(PubAck(message.packet_id))
            await client.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)


async def test_they_are_sent_where_its_owner_says(cluster: Cluster) -> None:
    async with nodes(cluster, 1) as (one,), joined(one.url) as client:
        async with await dial(one.url) as stream:
            old = Raw(stream, V311)
            await old.connect("old")
            with pytest.raises(LocalProtocolError):
                await one.drain("")
            await client.ping()
            await one.drain("there:1883", moved=True)
            await old.expect_closed()
        said = await client.expect_disconnect(ReasonCode.SERVER_MOVED)
        assert said is not None
        assert said.properties["server_reference"] == "there:1883"


async def test_without_a_cluster_as_well() -> None:
    with trio.fail_after(60):
        async with trio_mqtt.open_broker(LOCAL) as broker, joined(broker.url) as client:
            await broker.drain()
            await client.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
            async with await dial(broker.url) as stream:
                late = Raw(stream)
                await late.send(Connect("late", True, 0))
                answer = await late.expect(ConnAck)
                assert answer.reason_code == ReasonCode.SERVER_UNAVAILABLE


async def test_another_node_may_ask_for_it(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), joined(one.url) as client:
        asking, asked = core_of(other).elsewhere, core_of(one).elsewhere
        assert isinstance(asking, ClusterNode)
        assert isinstance(asked, ClusterNode)
        asking.tell(asked.membership.node, DRAIN, b"there:1883")
        said = await client.expect_disconnect(AWAY)
        assert said is not None
        assert said.properties["server_reference"] == "there:1883"
        await until(lambda: sessions_of(one) == {})


async def test_a_node_that_ends_sends_its_clients_to_the_others(cluster: Cluster) -> None:
    reference = replace(cluster, node="other", server_reference="other:1883")
    async with trio_mqtt.open_broker(LOCAL, cluster=reference), AsyncExitStack() as stack:
        async with nodes(cluster, 1) as (one,):
            client = await stack.enter_async_context(joined(one.url))
        said = await client.expect_disconnect(AWAY)
        assert said is not None
        assert said.properties["server_reference"] == "other:1883"


async def test_all_who_have_it_give_up_its_clients_hear_when_these_have_gone() -> None:
    async with trio_mqtt.open_broker(LOCAL) as broker, joined(broker.url, "c") as client:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(broker.drain)
        await client.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
