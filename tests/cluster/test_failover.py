"""Nodes whose engine fails over to a replica, or loses and regains a master."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

import trio_mqtt
from tests.cluster.nodes import nodes
from tests.cluster.redis import redis_server
from tests.cluster.redis_groups import redis_cluster, redis_sentinels, wait_for
from tests.cluster.waiting import known, until
from tests.ports import free_port
from trio_mqtt import Broker, Cluster, open_client

pytestmark = pytest.mark.slow


class Flow:
    """A publisher at one node, and a durable session at another that has to get all of it."""

    def __init__(self, one: Broker, other: Broker) -> None:
        self.one, self.other = one, other
        self.acknowledged: list[bytes] = []
        self.received: list[bytes] = []
        self._is_over = False

    def end(self) -> None:
        self._is_over = True

    async def run(self) -> None:
        durable = open_client(self.other.url, client_id="durable", session_expiry_interval=3600)
        async with durable as subscriber, subscriber.subscribe("f/+", qos=2) as messages:
            await known(self.one, self.other)
            async with open_client(self.one.url) as publisher, trio.open_nursery() as nursery:
                nursery.start_soon(self._receive, messages)
                number = 0
                while not self._is_over:
                    payload = b"%d" % number
                    await publisher.publish(f"f/{number % 3}", payload, qos=1 + number % 2)
                    self.acknowledged.append(payload)
                    number += 1
                await until(lambda: {*self.acknowledged} <= {*self.received}, 30)
                nursery.cancel_scope.cancel()
        twice = [one for one in self.received if self.received.count(one) > 1]
        assert [one for one in twice if int(one) % 2] == []  # of QoS 2

    async def _receive(self, messages: trio_mqtt.Messages) -> None:
        async for message in messages:
            self.received.append(message.payload)


async def test_nothing_acknowledged_is_lost_by_a_failover_to_a_replica() -> None:
    with redis_sentinels() as group, trio.fail_after(120):
        master, replica = group.servers
        cluster = Cluster(url=group.url, lease=20, timeout=1, replicas=1)
        async with nodes(cluster, 2) as (one, other), trio.open_nursery() as nursery:
            flow = Flow(one, other)
            nursery.start_soon(flow.run)
            await until(lambda: len(flow.acknowledged) > 50)
            await trio.to_thread.run_sync(master.stop)
            await trio.to_thread.run_sync(
                wait_for,
                lambda: b"role:master" in replica.command("INFO", "replication"),
                "there is no failover",
            )
            before = len(flow.acknowledged)
            # Not where the master was: before all know of the failover, one that comes back with
            # nothing would be the master again.
            with redis_server(port=free_port()) as third:
                third.command("REPLICAOF", "127.0.0.1", str(replica.port))
                await until(lambda: len(flow.acknowledged) > before + 50, 60)
                flow.end()
                await until(lambda: not nursery.child_tasks, 60)


async def test_nothing_acknowledged_is_lost_where_a_master_goes_and_returns() -> None:
    with redis_cluster() as masters, trio.fail_after(120):
        cluster = replace(Cluster(url=masters.url), lease=20, timeout=1)
        async with nodes(cluster, 2) as (one, other), trio.open_nursery() as nursery:
            flow = Flow(one, other)
            nursery.start_soon(flow.run)
            for server in masters.servers:
                before = len(flow.acknowledged)
                await until(lambda before=before: len(flow.acknowledged) > before + 50, 60)  # type: ignore[misc]
                await trio.to_thread.run_sync(server.stop)
                await trio.sleep(0.3)
                await trio.to_thread.run_sync(server.start)
            before = len(flow.acknowledged)
            await until(lambda: len(flow.acknowledged) > before + 50, 60)
            flow.end()
            await until(lambda: not nursery.child_tasks, 60)
