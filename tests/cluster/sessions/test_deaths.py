"""A node dies: its clients go on elsewhere, and their wills are published once."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

import trio

from tests.broker.opened import joined
from tests.broker.raw import Raw
from tests.cluster.nodes import nodes
from tests.cluster.processes import NodeProcess, node_process
from tests.cluster.sessions.test_wills_and_ends import watched, will, wills
from tests.cluster.waiting import until
from tests.transport.dialing import dial
from trio_mqtt import Cluster, ReasonCode
from trio_mqtt.protocol.packets import Connect, Disconnect


def mortal(cluster: Cluster) -> AbstractAsyncContextManager[NodeProcess]:
    """A node that counts as dead soon after it has died; the others have more time."""
    return node_process(replace(cluster, lease=1.5, timeout=0.7))


async def test_its_clients_go_on_elsewhere(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), mortal(cluster) as dying:
        async with joined(dying.url, expiry=60) as client:
            await client.subscribe("a/+", qos=1, identifier=7)
            async with joined(dying.url, "clean"):
                began = trio.current_time()
                await dying.kill()
        # It waits until the node counts as dead, and no longer.
        async with joined(one.url, expiry=60, clean_start=False) as client:
            assert client.connack is not None
            assert client.connack.session_present
            assert trio.current_time() - began < 5
            await client.publish("a/b", b"1")
            message = await client.expect_message("a/b", b"1")
            assert message.properties["subscription_identifier"] == [7]
        async with joined(other.url, "clean", clean_start=False) as client:
            assert client.connack is not None
            assert not client.connack.session_present


async def test_their_wills_are_published_once(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 3) as (one, *_, other),
        watched(one) as watcher,
        mortal(cluster) as dying,
        AsyncExitStack() as stack,
    ):
        for number in range(20):
            expiry = 60 if number % 2 else None
            said = will(b"%d" % number, delay=1 if number % 4 == 3 else 0)
            opening = joined(dying.url, f"c{number}", expiry=expiry, will=said)
            await stack.enter_async_context(opening)
        await dying.kill()
        found = [(await watcher.expect_any()).payload for _ in range(20)]
        assert sorted(found, key=int) == [b"%d" % number for number in range(20)]
        assert {int(payload) % 4 for payload in found[-5:]} == {3}
        assert await wills(watcher, other) == []


async def test_a_client_that_comes_back_first_leaves_its_will_too(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with (
            mortal(cluster) as dying,
            joined(dying.url, "now", expiry=60, will=will(b"now")),
            joined(dying.url, "later", expiry=60, will=will(b"later", delay=60)),
        ):
            await dying.kill()
        async with (
            joined(other.url, "now", expiry=60, clean_start=False),
            joined(other.url, "later", expiry=60, clean_start=False),
        ):
            await watcher.expect_message("w", b"now", 1)
            await trio.sleep(1)
            assert await wills(watcher, other) == []


async def test_where_all_nodes_die_the_next_one_does_what_is_due(cluster: Cluster) -> None:
    async with (
        mortal(cluster) as dying,
        joined(dying.url, "a", will=will(b"a")),
        joined(dying.url, "b", expiry=60, will=will(b"b")),
    ):
        await dying.kill()
    await trio.sleep(1.6)
    async with nodes(cluster, 1) as (one,), watched(one) as watcher:
        found = [(await watcher.expect_any()).payload for _ in range(2)]
        assert sorted(found) == [b"a", b"b"]


async def test_a_claimant_may_die_meanwhile(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 1) as (one,),
        mortal(cluster) as owner,
        mortal(cluster) as claimant,
        joined(owner.url, expiry=60) as first,
    ):
        owner.stand_still()
        async with await dial(claimant.url) as stream:
            second = Raw(stream)
            await second.send(Connect("c", False, 0, properties={"session_expiry_interval": 60}))
            await trio.sleep(0.1)
            await claimant.kill()
        owner.go_on()
        async with joined(one.url, expiry=60, clean_start=False) as third:
            assert third.connack is not None
            assert third.connack.session_present
            await first.stream.aclose()


async def test_a_client_that_goes_while_it_waits_claims_nothing(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 2) as (one, other),
        mortal(cluster) as owner,
        joined(owner.url, expiry=60) as first,
    ):
        await first.subscribe("a")
        owner.stand_still()
        async with await dial(one.url) as stream:
            second = Raw(stream)
            await second.send(Connect("c", True, 0))
            await until(lambda: one.statistics.kinds_received["CONNECT", 0] == 1)
        await until(lambda: one.statistics.clients_connected == 0)
        owner.go_on()
        async with joined(other.url, expiry=60, clean_start=False) as third:
            assert third.connack is not None
            assert third.connack.session_present


async def test_what_a_node_has_that_was_away_for_too_long_is_anothers(cluster: Cluster) -> None:
    async with (
        nodes(cluster, 1) as (one,),
        mortal(cluster) as away,
        joined(away.url, expiry=60) as first,
        joined(away.url, "clean") as clean,
    ):
        await first.subscribe("a")
        away.stand_still()
        async with joined(one.url, expiry=60, clean_start=False) as second:
            assert second.connack is not None
            assert second.connack.session_present
            await second.subscribe("b")
            away.go_on()
            await first.expect(Disconnect)
            await clean.ping()
            await second.ping()
            await second.disconnect()
        async with joined(one.url, expiry=60, clean_start=False) as third:
            assert third.connack is not None
            assert third.connack.session_present
            await third.publish("b", b"1")
            await third.expect_message("b", b"1")
        async with joined(one.url, "clean"):
            await clean.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
