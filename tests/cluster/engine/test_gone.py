"""The engine goes and returns: what is asked fails at once, and works again by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import trio
import trio.testing

from tests.cluster.proxy import Proxy, open_proxy
from tests.cluster.redis import RedisServer, redis_server
from tests.ports import free_port
from trio_mqtt import Cluster, EngineError
from trio_mqtt.cluster.engine import engine as engine_module
from trio_mqtt.cluster.engine.calls import EngineGoneError
from trio_mqtt.cluster.engine.engine import Engine, open_engine


@pytest.fixture
async def proxy(redis: RedisServer) -> AsyncIterator[Proxy]:
    async with open_proxy(redis) as between:
        yield between


@pytest.fixture
def behind(cluster: Cluster, proxy: Proxy) -> Cluster:
    return replace(cluster, url=proxy.url, timeout=2)


@pytest.fixture
def own() -> Iterator[RedisServer]:
    # Else it may have written nothing of it yet when it is killed.
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


async def test_a_cut_is_told_and_mended(behind: Cluster, proxy: Proxy) -> None:
    with trio.fail_after(60):
        async with open_engine(behind) as engine:
            key = engine.keys.shared("x")
            await engine.call("SET", key, 1)
            proxy.refuses = True
            proxy.cut()
            assert str(await engine.wait_gone()).startswith("The ")
            with pytest.raises(EngineGoneError):
                await engine.call("GET", key)
            proxy.refuses = False
            await engine.wait_returned()
            assert await engine.call("GET", key) == b"1"
            assert engine.returns == 2


async def test_what_is_under_way_fails(behind: Cluster, proxy: Proxy) -> None:
    failed: list[str] = []

    async def one(engine: Engine) -> None:
        try:
            await engine.call("INCR", engine.keys.shared("x"))
        except EngineGoneError as error:
            failed.append(str(error))

    with trio.fail_after(60):
        async with open_engine(behind) as engine:
            proxy.stop()
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(one, engine)
                await trio.testing.wait_all_tasks_blocked()
                proxy.cut()
            assert len(failed) == 20
            assert all(text.startswith("The ") and text.endswith(".") for text in failed)


async def test_an_engine_that_does_not_answer_is_gone_in_time(
    behind: Cluster, proxy: Proxy
) -> None:
    with trio.fail_after(60):
        async with open_engine(behind) as engine:
            proxy.stop()
            asked = trio.current_time()
            with pytest.raises(EngineGoneError, match="does not answer: nothing came within 2 s"):
                await engine.call("PING")
            assert 2 <= trio.current_time() - asked < 6
            assert engine.is_gone
            proxy.go_on()
            await engine.wait_returned()
            assert await engine.call("PING") == b"PONG"


async def test_a_slow_line_is_no_end(behind: Cluster, proxy: Proxy) -> None:
    async with open_engine(behind) as engine:
        proxy.delay = 0.05
        for number in range(8):
            assert await engine.call("ECHO", b"%d" % number) == b"%d" % number
        assert engine.returns == 1


async def test_a_reader_learns_of_it_and_reads_on(behind: Cluster, proxy: Proxy) -> None:
    found: list[bytes] = []
    gone = 0

    async def read(engine: Engine) -> None:
        nonlocal gone
        after = b"0"
        while len(found) < 2:
            try:
                for entry, fields in await engine.read(
                    engine.keys.inbox("node"), after, count=10, block=30
                ):
                    after = entry
                    found.append(fields[b"b"])
            except EngineGoneError:
                gone += 1
                await engine.wait_returned()

    with trio.fail_after(60):
        async with open_engine(behind) as engine, trio.open_nursery() as nursery:
            nursery.start_soon(read, engine)
            await engine.call("XADD", engine.keys.inbox("node"), "*", "b", 1)
            while not found:  # noqa: ASYNC110
                await trio.sleep(0.005)
            # All connections, or only that of the reader: the engine is gone as a whole.
            proxy.cut()
            await engine.wait_gone()
            await engine.wait_returned()
            await engine.call("XADD", engine.keys.inbox("node"), "*", "b", 2)
    assert (found, gone) == ([b"1", b"2"], 1)


async def test_attempts_are_spread(behind: Cluster, proxy: Proxy) -> None:
    async with open_engine(behind) as engine:
        before = proxy.connections
        proxy.refuses = True
        proxy.cut()
        await engine.wait_gone()
        while proxy.connections == before:  # noqa: ASYNC110
            await trio.sleep(0.005)
        await trio.sleep(1)
        # 0.1, 0.2, 0.4 … seconds, and half of each at least.
        assert proxy.connections - before <= 6


async def test_connections_that_are_cut_again_and_again_come_back_as_soon(
    behind: Cluster, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "LONGEST_PAUSE", 60)
    async with open_engine(replace(behind, lease=600)) as engine:
        for _ in range(6):
            proxy.cut()
            await engine.wait_gone()
            with trio.fail_after(60):
                await engine.wait_returned()
        began = trio.current_time()
        proxy.cut()
        await engine.wait_gone()
        with trio.fail_after(60):
            await engine.wait_returned()
        # Were these attempts at one that stays away, it would be 3.2 seconds at least.
        assert trio.current_time() - began < 3


async def test_an_engine_that_starts_again_keeps_what_it_has_written(own: RedisServer) -> None:
    with trio.fail_after(60):
        async with open_engine(Cluster(url=own.url)) as engine:
            key = engine.keys.shared("x")
            await engine.call("SET", key, 1)
            own.stop()
            await engine.wait_gone()
            assert "cannot be reached" in str(engine.why_gone) or "closed" in str(engine.why_gone)
            own.start()
            await engine.wait_returned()
            assert await engine.call("GET", key) == b"1"


async def test_an_engine_that_sleeps(own: RedisServer) -> None:
    with trio.fail_after(60):
        async with open_engine(Cluster(url=own.url, timeout=0.5)) as engine:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, own.command, "DEBUG", "SLEEP", "1.2")
                await trio.sleep(0.05)
                with pytest.raises(EngineGoneError):
                    await engine.call("PING")
            await engine.wait_returned()
            assert await engine.call("PING") == b"PONG"


async def test_an_engine_without_memory_is_gone_until_it_has_some(own: RedisServer) -> None:
    with trio.fail_after(60):
        async with open_engine(Cluster(url=own.url)) as engine:
            key = engine.keys.shared("x")
            own.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(EngineGoneError, match="can do nothing now: OOM"):
                await engine.call("SET", key, 1)
            own.command("CONFIG", "SET", "maxmemory", "0")
            await engine.wait_returned()
            assert await engine.call("SET", key, 1) == b"OK"


async def test_where_nothing_listens_a_sentence_says_so() -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    with pytest.raises(
        EngineError, match=r"The engine at 127\.0\.0\.1:\d+ cannot be reached: Conn"
    ):
        async with open_engine(Cluster(url=url)):
            pass


async def test_nothing_is_left_behind(behind: Cluster, proxy: Proxy) -> None:
    await trio.testing.wait_all_tasks_blocked()
    before = trio.lowlevel.current_statistics().tasks_living
    async with open_engine(behind) as engine:
        with trio.move_on_after(0.05):
            await engine.read(engine.keys.inbox("a"), b"$", count=1, block=30)
        await engine.call("PING")
    with pytest.raises(EngineGoneError):
        await engine.call("PING")
    with trio.fail_after(60):
        while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110
            await trio.sleep(0.005)
