"""An engine that is not there when a node starts is waited for, one that cannot be used is not."""

from __future__ import annotations

import logging

import pytest
import trio

import trio_mqtt
from tests.cluster.nodes import LOCAL
from tests.cluster.redis import redis_server
from trio_mqtt import Cluster, EngineError
from trio_mqtt.cluster.engine.engine import open_engine
from trio_mqtt.nurseries import tasks_beside


async def open_and_close(cluster: Cluster, opened: trio.Event) -> None:
    async with trio_mqtt.open_broker(LOCAL, cluster=cluster):
        opened.set()


async def until_said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    with trio.fail_after(60):
        while not any(text in one for one in caplog.messages):  # noqa: ASYNC110
            await trio.sleep(0.005)


async def test_a_node_waits_for_an_engine_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trio_mqtt.cluster")
    with redis_server() as redis:
        redis.stop()
        opened = trio.Event()
        async with tasks_beside() as nursery:
            nursery.start_soon(open_and_close, Cluster(url=redis.url), opened)
            await until_said(caplog, "This broker waits for it.")
            await trio.sleep(0.5)  # for some attempts more
            assert not opened.is_set()
            redis.start()
            with trio.fail_after(60):
                await opened.wait()
    waited = [one for one in caplog.messages if "waits for it" in one]
    assert len(waited) == 1, "each reason is said once"
    assert any("is there, after " in one for one in caplog.messages)


async def test_it_waits_for_one_that_loads_what_it_keeps(caplog: pytest.LogCaptureFixture) -> None:
    # So slow that loading takes two seconds, and answers meanwhile.
    slow = "--loading-process-events-interval-bytes", "1024", "--key-load-delay", "10000"
    with redis_server(*slow) as redis:
        for number in range(200):
            redis.command("SET", f"key-{number}", "x" * 1000)
        redis.command("SAVE")
        redis.stop()
        redis.start(is_awaited=False)
        with trio.fail_after(60):
            await open_and_close(Cluster(url=redis.url), trio.Event())
    assert any(
        one.endswith("is still loading what it keeps. This broker waits for it.")
        for one in caplog.messages
    )


async def test_it_waits_no_longer_than_it_is_told() -> None:
    with redis_server() as redis:
        redis.stop()
        started = trio.current_time()
        with pytest.raises(EngineError, match="cannot be reached: No such file or directory"):
            await open_and_close(Cluster(url=redis.url, wait=0.4), trio.Event())
        assert trio.current_time() - started >= 0.4


async def test_who_only_asks_does_not_wait() -> None:
    with redis_server() as redis:
        redis.stop()
        with pytest.raises(EngineError, match="cannot be reached"), trio.fail_after(60):
            async with open_engine(Cluster(url=redis.url)):
                pass


@pytest.mark.parametrize("password", ["wrong", None])
async def test_it_does_not_wait_where_it_is_not_let_in(password: str | None) -> None:
    with (
        redis_server("--requirepass", "right") as redis,
        trio.fail_after(60),
        pytest.raises(EngineError, match="does not let this node in"),
    ):
        await open_and_close(Cluster(url=redis.url, password=password), trio.Event())


async def test_it_does_not_wait_for_one_that_drops_what_it_likes() -> None:
    with (
        redis_server("--maxmemory-policy", "allkeys-lru") as redis,
        trio.fail_after(60),
        pytest.raises(EngineError, match="Set it to refuse writes instead"),
    ):
        await open_and_close(Cluster(url=redis.url), trio.Event())
