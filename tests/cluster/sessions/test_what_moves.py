"""All of a session goes along with its client (MQTT 5.0 §4.1)."""

from __future__ import annotations

import pytest

from tests.broker.opened import joined
from tests.broker.raw import Raw
from tests.cluster.nodes import nodes
from tests.cluster.sessions.test_deaths import mortal
from tests.cluster.sessions.test_wills_and_ends import watched, will
from tests.cluster.waiting import known, until
from tests.inside import sessions_of
from trio_mqtt import Cluster
from trio_mqtt.protocol.packets import (
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscription,
)
from trio_mqtt.protocol.reason_codes import ReasonCode


def present(client: Raw) -> bool:
    assert client.connack is not None
    return client.connack.session_present


async def test_subscriptions_keep_their_options(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), joined(one.url, "p") as publisher:
        async with joined(one.url, expiry=60) as client:
            await client.subscribe(Subscription("own", 0, no_local=True), identifier=1)
            await client.subscribe(Subscription("own/too", 0), identifier=2)
            await client.subscribe(Subscription("flag", 0, retain_as_published=True))
            await client.subscribe(Subscription("no-flag", 0), identifier=268_435_455)
            await client.subscribe(Subscription("ended", 0))
            await client.unsubscribe("ended")
            await client.disconnect()
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert present(client)
            await known(other)
            await client.publish("own", b"1")
            await client.publish("own/too", b"2")
            message = await client.expect_message("own/too", b"2")
            assert message.properties["subscription_identifier"] == [2]
            await publisher.publish("ended", b"-")
            await publisher.publish("flag", b"3", retain=True)
            message = await client.expect_message("flag", b"3")
            assert message.retain
            await publisher.publish("no-flag", b"4", retain=True)
            message = await client.expect_message("no-flag", b"4")
            assert not message.retain
            assert message.properties["subscription_identifier"] == [268_435_455]
            assert await client.unsubscribe("own", "ended") == [
                ReasonCode.SUCCESS,
                ReasonCode.NO_SUBSCRIPTION_EXISTED,
            ]


@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_message_of_qos_2_is_not_taken_twice(cluster: Cluster, is_killed: bool) -> None:
    async with (
        nodes(cluster, 1) as (other,),
        joined(other.url, "s") as subscriber,
        mortal(cluster) as node,
    ):
        await subscriber.subscribe("a", qos=2)
        async with joined(node.url, expiry=60) as client:
            await client.send(Publish("a", b"1", 2, packet_id=7))
            assert (await client.expect(PubRec)).packet_id == 7
            await client.send(Publish("a", b"2", 2, packet_id=9))
            assert (await client.expect(PubRec)).packet_id == 9
            await client.send(PubRel(9))
            await client.expect(PubComp)
            if is_killed:
                await node.kill()
        got = [await subscriber.expect_message("a", payload, 2) for payload in (b"1", b"2")]
        for message in got:
            await subscriber.send(PubRec(message.packet_id))
            await subscriber.expect(PubRel)
            await subscriber.send(PubComp(message.packet_id))
        async with joined(other.url, expiry=60, clean_start=False) as client:
            assert present(client)
            await client.send(Publish("a", b"1", 2, packet_id=7, dup=True))
            assert (await client.expect(PubRec)).packet_id == 7
            await client.send(PubRel(7), PubRel(9))
            assert (await client.expect(PubComp)).reason_code == ReasonCode.SUCCESS
            answer = await client.expect(PubComp)
            assert answer.reason_code == ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
        await subscriber.expect_nothing()


async def test_what_connect_says_anew_holds(cluster: Cluster) -> None:
    async with nodes(cluster, 2) as (one, other), watched(one) as watcher:
        async with joined(one.url, expiry=600, will=will(b"first", delay=300)) as client:
            await client.drop()
        async with joined(other.url, expiry=1, clean_start=False, will=will(b"second")) as client:
            assert present(client)
            await client.drop()
        await watcher.expect_message("w", b"second", 1)
        both = one.statistics, other.statistics
        await until(lambda: sum(each.sessions_expired for each in both) == 1)
        async with joined(one.url, expiry=60, clean_start=False) as client:
            assert not present(client)
            assert len(sessions_of(one)["c"].subscriptions) == 0
