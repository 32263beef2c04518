"""Whatever is cancelled, wherever it waits: nothing is left behind, and others go on."""

from __future__ import annotations

import gc
import warnings
from dataclasses import replace

import pytest
import trio
import trio.testing

from tests.cluster.proxy import open_proxy
from tests.cluster.redis import RedisServer
from trio_mqtt import Cluster
from trio_mqtt.cluster.changes import Changes
from trio_mqtt.cluster.engine.calls import Call, Script
from trio_mqtt.cluster.engine.engine import Engine, open_engine
from trio_mqtt.cluster.membership import Membership

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


class AfterSteps(trio.abc.Instrument):
    """Cancels what is in its scope once all tasks together have gone on so many times."""

    def __init__(self, steps: int) -> None:
        self.scope = trio.CancelScope()
        self._left = steps

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self.scope.cancel()


async def until_alone(tasks: int) -> None:
    with trio.fail_after(60):
        while trio.lowlevel.current_statistics().tasks_living > tasks:  # noqa: ASYNC110
            await trio.sleep(0.001)


async def use(engine: Engine) -> None:
    """Ask in all ways."""
    key, inbox = engine.keys.shared("x"), engine.keys.inbox("n")
    await engine.run(ADD, [key], 1)
    await engine.all([Call("INCR", key), engine.scripted(ADD, [key], 1)])
    await engine.call("XADD", inbox, "*", "b", 1)
    await engine.read(inbox, b"0", count=1, block=5)


async def test_opening_may_be_cancelled_anywhere(cluster: Cluster) -> None:
    await trio.testing.wait_all_tasks_blocked()
    tasks = trio.lowlevel.current_statistics().tasks_living
    for steps in range(1, 2000):
        instrument = AfterSteps(steps)
        trio.lowlevel.add_instrument(instrument)
        try:
            with instrument.scope:
                async with open_engine(cluster) as engine, trio.open_nursery() as nursery:
                    await nursery.start(Membership(engine).keep)
                    await use(engine)
                    nursery.cancel_scope.cancel()
        finally:
            trio.lowlevel.remove_instrument(instrument)
        await until_alone(tasks)
        if not instrument.scope.cancelled_caught:
            break
    assert 30 < steps < 1999


async def test_who_is_cancelled_anywhere_leaves_the_connection_to_others(
    cluster: Cluster,
) -> None:
    async with open_engine(cluster) as engine:
        await use(engine)
        for steps in range(1, 500):
            instrument = AfterSteps(steps)
            trio.lowlevel.add_instrument(instrument)
            try:
                with instrument.scope:
                    await use(engine)
            finally:
                trio.lowlevel.remove_instrument(instrument)
            assert await engine.call("ECHO", b"%d" % steps) == b"%d" % steps
            if not instrument.scope.cancelled_caught:
                break
        assert 10 < steps < 499
        assert engine.returns == 1


async def test_who_reads_a_hash_may_be_cancelled_anywhere_and_leaves_nothing_open(
    cluster: Cluster,
) -> None:
    async with open_engine(cluster) as engine:
        key, changes = engine.keys.shared("x"), Changes(engine)
        await engine.call("HSET", key, "a", "1")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for steps in range(1, 100):
                instrument = AfterSteps(steps)
                trio.lowlevel.add_instrument(instrument)
                try:
                    with instrument.scope:
                        async for fields in changes.fields(key):
                            assert fields == [(b"a", b"1")]
                            await trio.lowlevel.checkpoint()
                finally:
                    trio.lowlevel.remove_instrument(instrument)
                if not instrument.scope.cancelled_caught:
                    break
            gc.collect()
        assert 2 < steps < 99
        assert [str(warning.message) for warning in told] == []


@pytest.mark.parametrize("wait", [0.0, 0.02, 0.1])
async def test_an_attempt_to_reach_it_again_may_be_cancelled(
    cluster: Cluster, redis: RedisServer, wait: float
) -> None:
    async with open_proxy(redis) as proxy:
        await trio.testing.wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with open_engine(replace(cluster, url=proxy.url)) as engine:
            proxy.stop()
            proxy.cut()
            await engine.wait_gone()
            await trio.sleep(wait)
        proxy.go_on()
        proxy.cut()
        await until_alone(tasks)
