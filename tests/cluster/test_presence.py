"""What a node does, and tells, when the engine goes and returns, and when its lease has ended."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio

import trio_mqtt
from tests.cluster.nodes import LOCAL, nodes
from tests.cluster.proxy import Proxy, open_proxy
from tests.cluster.redis import RedisServer, redis_server
from tests.cluster.waiting import known, until
from trio_mqtt import Cluster, ProtocolVersion, RequestRefusedError, open_client
from trio_mqtt.events import (
    BrokerEvent,
    EngineLost,
    EngineReturned,
    EventStream,
    LeaseLost,
    NodeDied,
    NodeJoined,
    NodeLeft,
)

OF_CLUSTERS = EngineLost, EngineReturned, LeaseLost, NodeJoined, NodeLeft, NodeDied


@pytest.fixture
async def proxy(redis: RedisServer) -> AsyncIterator[Proxy]:
    async with open_proxy(redis) as between:
        yield between


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "trio_mqtt.cluster"]


async def told(events: EventStream, kind: type[BrokerEvent]) -> BrokerEvent:
    """The next event of a kind."""
    with trio.fail_after(60):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the broker ended")


def cut_off(proxy: Proxy) -> None:
    proxy.refuses = True
    proxy.cut()


async def test_what_is_promised_waits_for_an_engine_that_comes_back(
    cluster: Cluster, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    behind = replace(cluster, url=proxy.url, node="here")
    with trio.fail_after(60):
        async with (
            nodes(cluster, 1) as (other,),
            trio_mqtt.open_broker(LOCAL, cluster=behind) as here,
            open_client(other.url) as subscriber,
            open_client(here.url) as publisher,
            open_client(here.url) as neighbour,
            subscriber.subscribe("far", qos=2) as far,
            neighbour.subscribe("near") as near,
        ):
            await known(here, other)
            with here.events(*OF_CLUSTERS) as events:
                cut_off(proxy)
                lost = await told(events, EngineLost)
                assert isinstance(lost, EngineLost)
                assert lost.engine == f"127.0.0.1:{proxy.port}"
                async with trio.open_nursery() as nursery:
                    acknowledged: list[str] = []

                    async def publish() -> None:
                        await publisher.publish("far", "1", qos=1)
                        acknowledged.append("1")
                        await publisher.publish("far", "2", qos=2)
                        acknowledged.append("2")

                    nursery.start_soon(publish)
                    for number in range(20):
                        await neighbour.publish("near", str(number))
                        assert (await anext(near)).payload == str(number).encode()
                    assert acknowledged == []
                    proxy.refuses = False
                returned = await told(events, EngineReturned)
                assert isinstance(returned, EngineReturned)
                assert returned.seconds > 0
                assert acknowledged == ["1", "2"]
                assert [(await anext(far)).payload for _ in range(2)] == [b"1", b"2"]
                await publisher.publish("far", "3", qos=2)
                assert (await anext(far)).payload == b"3"
    assert any("What clients are promised waits for it." in line for line in lines(caplog))
    assert any("is there again, after" in line for line in lines(caplog))
    assert not any(one.levelno >= logging.ERROR for one in caplog.records)


@pytest.mark.parametrize("version", [ProtocolVersion.V5, ProtocolVersion.V311])
async def test_past_its_lease_a_node_takes_nothing_that_it_cannot_promise(
    cluster: Cluster, proxy: Proxy, caplog: pytest.LogCaptureFixture, version: ProtocolVersion
) -> None:
    quick = replace(cluster, lease=1.5, timeout=0.7, keep_clients=0)
    behind = replace(quick, url=proxy.url, node="here")
    with trio.fail_after(60):
        async with (
            nodes(quick, 1) as (other,),
            trio_mqtt.open_broker(LOCAL, cluster=behind) as here,
            open_client(here.url, protocol_version=version) as publisher,
            open_client(here.url) as neighbour,
            open_client(other.url) as subscriber,
            neighbour.subscribe("near") as near,
        ):
            with here.events(*OF_CLUSTERS) as events, other.events(NodeDied) as elsewhere:
                cut_off(proxy)
                lost = await told(events, LeaseLost)
                assert isinstance(lost, LeaseLost)
                died_here = f"{lost.node} is dead: its lease has ended."
                # Its neighbour's subscription is no reason to take it: others may want it by now.
                refused = pytest.raises(RequestRefusedError, match="cut off from its cluster")
                if version is ProtocolVersion.V5:
                    for qos in (1, 2):
                        with refused:
                            await publisher.publish("nobody", "1", qos=qos)
                else:
                    with trio.move_on_after(0.3) as scope:
                        await publisher.publish("nobody", "1", qos=1)
                    assert scope.cancelled_caught
                for number in range(20):
                    await neighbour.publish("near", str(number))
                    assert (await anext(near)).payload == str(number).encode()
                # Nobody waits any more for a node that is dead.
                assert await told(elsewhere, NodeDied) == NodeDied(lost.node)
                async with subscriber.subscribe("far", qos=2) as far:
                    proxy.refuses = False
                    joined = await told(events, NodeJoined)
                    assert isinstance(joined, NodeJoined)
                    assert joined.node.startswith("here-")
                    assert joined.node != lost.node
                    await known(other)
                    async with open_client(here.url) as another:
                        await another.publish("far", "2", qos=2)
                    assert (await anext(far)).payload == b"2"
    # The other says so, and this one nothing of itself.
    assert sum(died_here in line for line in lines(caplog)) == 1
    assert any("This broker is in the cluster again, as here-" in line for line in lines(caplog))


async def test_nodes_that_come_and_go_are_told(cluster: Cluster) -> None:
    quick = replace(cluster, lease=4, timeout=2)
    async with nodes(quick, 1) as (here,):
        with here.events(*OF_CLUSTERS) as events:
            async with trio_mqtt.open_broker(LOCAL, cluster=replace(quick, node="guest")):
                joined = await told(events, NodeJoined)
                assert isinstance(joined, NodeJoined)
                assert joined.node.startswith("guest-")
                await trio.sleep(quick.lease + 0.2)  # the lease that it had then has ended
            assert await told(events, BrokerEvent) == NodeLeft(joined.node)


async def test_a_broker_ends_in_time_though_the_engine_is_gone(
    cluster: Cluster, proxy: Proxy
) -> None:
    behind = replace(cluster, url=proxy.url, lease=60)
    ended = trio.Event()
    with trio.fail_after(40):
        async with (
            nodes(cluster, 1) as (other,),
            open_client(other.url) as subscriber,
            subscriber.subscribe("far", qos=1),
            trio.open_nursery() as nursery,
        ):
            end = trio.Event()

            async def serve(task_status: trio.TaskStatus[trio_mqtt.Broker]) -> None:
                async with trio_mqtt.open_broker(LOCAL, cluster=behind) as here:
                    task_status.started(here)
                    await end.wait()
                ended.set()

            here = await nursery.start(serve)
            async with open_client(here.url) as publisher:
                cut_off(proxy)
                with trio.move_on_after(0.3):
                    await publisher.publish("far", "1", qos=1)
                end.set()
                await ended.wait()
            nursery.cancel_scope.cancel()
    await until(ended.is_set)


async def test_what_keeps_the_engine_away_is_said_where_it_is_other_than_what_began_it(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server() as own:
        async with nodes(replace(cluster, url=own.url), 1):
            own.command("CONFIG", "SET", "requirepass", "new")
            own.command("AUTH", "new\r\nCLIENT", "KILL", "TYPE", "normal")
            await until(lambda: any("asks for a password" in line for line in lines(caplog)))
            own.command("AUTH", "new\r\nCONFIG", "SET", "requirepass", '""')
            await until(lambda: any("is there again" in line for line in lines(caplog)))
    assert any("What clients are promised waits for it." in line for line in lines(caplog))
    assert sum("asks for a password" in line for line in lines(caplog)) == 1
