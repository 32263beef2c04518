"""An engine that Sentinels watch over: where its master is, and who it is after a failover."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from tests.cluster.redis import redis_server
from tests.cluster.redis_groups import redis_sentinels, wait_for
from tests.ports import free_port
from trio_mqtt import Cluster, EngineError
from trio_mqtt.cluster.engine.calls import EngineGoneError, Script
from trio_mqtt.cluster.engine.engine import open_engine
from trio_mqtt.cluster.membership import Membership

pytestmark = pytest.mark.slow

WRITE = Script("return redis.call('INCR', KEYS[1])", fenced=True)


async def test_after_a_failover_the_other_is_used_and_the_lease_goes_on() -> None:
    with redis_sentinels() as group, trio.fail_after(120):
        cluster = Cluster(url=group.url, lease=60, timeout=1, replicas=1)
        async with open_engine(cluster) as engine, trio.open_nursery() as nursery:
            membership = Membership(engine)
            await nursery.start(membership.keep)
            node, key = membership.node, engine.keys.shared("x")
            assert await engine.run(WRITE, [key]) == 1
            group.servers[0].stop()
            assert str(await engine.wait_gone()).startswith("The ")
            with pytest.raises(EngineError):
                await engine.run(WRITE, [key])
            # The other has no replica, and one must have each write.
            await trio.to_thread.run_sync(
                wait_for,
                lambda: b"role:master" in group.servers[1].command("INFO", "replication"),
                "there is no failover",
            )
            assert engine.is_gone
            # Not where the master was: before all know of the failover, one that comes back with
            # nothing would be the master again.
            with redis_server(port=free_port()) as third:
                third.command("REPLICAOF", "127.0.0.1", str(group.servers[1].port))
                written = 0
                while not written:
                    await engine.wait_returned()
                    with suppress(EngineGoneError):
                        written = await engine.run(WRITE, [key])
                assert written >= 2
                # It was gone for less than the lease: this node is who it was.
                assert membership.node == node
                nursery.cancel_scope.cancel()


async def test_without_most_sentinels_nobody_knows_who_is_the_master() -> None:
    with redis_sentinels() as group, trio.fail_after(120):
        async with open_engine(Cluster(url=group.url, lease=5, timeout=2)) as engine:
            group.stop_sentinel()
            await trio.sleep(2.5)
            assert not engine.is_gone
            group.stop_sentinel()
            assert "Of 3 Sentinels, 1 say" in str(await engine.wait_gone())


async def test_a_name_that_no_sentinel_knows() -> None:
    with redis_sentinels() as group:
        url = group.url.replace("/main", "/other")
        with pytest.raises(EngineError, match="knows no engine that is called 'other'"):
            async with open_engine(Cluster(url=url)):
                pass


async def test_sentinels_that_are_not_there() -> None:
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/main"
    with pytest.raises(
        EngineError, match=r"cannot be reached: Connection refused\. Nor can 1 more"
    ):
        async with open_engine(Cluster(url=url)):
            pass
