"""An engine of three masters: each call goes to its own, also while slots move between them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
import trio

from tests.cluster.redis_groups import RedisCluster, redis_cluster
from trio_mqtt import Cluster, EngineError
from trio_mqtt.cluster.engine.calls import Call, EngineGoneError, Script
from trio_mqtt.cluster.engine.engine import Engine, open_engine
from trio_mqtt.cluster.engine.masters import slot_of

pytestmark = pytest.mark.slow

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")

_numbers = count(1)


@pytest.fixture(scope="module")
def masters() -> Iterator[RedisCluster]:
    with redis_cluster() as three:
        yield three


@pytest.fixture
def settings(masters: RedisCluster) -> Cluster:
    return Cluster(url=masters.url, name=f"test-{next(_numbers)}")


def _key(engine: Engine, client: int) -> bytes:
    return engine.keys.of_client(f"c{client}", "x")


async def test_calls_of_all_masters_are_answered_in_their_order(
    settings: Cluster, masters: RedisCluster
) -> None:
    async with open_engine(settings) as engine:
        keys = [_key(engine, number) for number in range(60)]
        assert {masters.owner(slot_of(key)) for key in keys} == {0, 1, 2}
        calls = [Call("SET", key, number) for number, key in enumerate(keys)]
        calls += [engine.scripted(ADD, [key], 100) for key in keys]
        calls.append(Call("PING"))
        assert await engine.all(calls) == [b"OK"] * 60 + [*range(100, 160)] + [b"PONG"]
        assert await engine.all([Call("GET", key) for key in keys]) == [
            b"%d" % number for number in range(100, 160)
        ]


async def test_more_than_one_pipeline_takes_stays_in_order(settings: Cluster) -> None:
    async with open_engine(settings) as engine:
        keys = [_key(engine, number) for number in range(5)]
        calls = [Call("RPUSH", keys[number % 5], b"x" * 2000) for number in range(6000)]
        assert await engine.all(calls) == [number // 5 + 1 for number in range(6000)]


async def test_readers_of_all_masters(settings: Cluster) -> None:
    found: dict[int, bytes] = {}

    async def read(engine: Engine, number: int) -> None:
        inbox = engine.keys.inbox(f"n{number}")
        ((_, fields),) = await engine.read(inbox, b"0", count=1, block=20)
        found[number] = fields[b"b"]

    with trio.fail_after(60):
        async with open_engine(settings) as engine, trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(read, engine, number)
                await engine.call("XADD", engine.keys.inbox(f"n{number}"), "*", "b", number)
    assert found == {number: b"%d" % number for number in range(12)}


async def test_a_slot_moves_while_its_keys_are_written(
    settings: Cluster, masters: RedisCluster
) -> None:
    async with open_engine(settings) as engine:
        key = engine.keys.of_client("moving", "x")
        other = engine.keys.of_client("moving", "y")
        slot = slot_of(key)
        there = (masters.owner(slot) + 1) % 3
        is_over = False
        added = 0

        async def write() -> None:
            nonlocal added
            while not is_over:
                await engine.run(ADD, [key], 1)
                added += 1

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(write)
                await trio.sleep(0.05)
                await trio.to_thread.run_sync(masters.begin_move, slot, there)
                # What is new in the slot is asked for there, the other key still here.
                assert await engine.call("INCR", other) == 1
                await trio.sleep(0.05)
                await trio.to_thread.run_sync(masters.move_keys, slot, there, key.decode())
                await trio.sleep(0.05)
                await trio.to_thread.run_sync(masters.end_move, slot, there)
                await trio.sleep(0.05)
                is_over = True
        assert masters.owner(slot) == there
        assert int(await engine.call("GET", key)) == added > 0
        assert engine.returns == 1


async def test_a_reader_goes_along_with_its_slot(settings: Cluster, masters: RedisCluster) -> None:
    async with open_engine(settings) as engine:
        inbox = engine.keys.inbox("moving")
        slot = slot_of(inbox)
        there = (masters.owner(slot) + 1) % 3
        found: list[bytes] = []

        async def read() -> None:
            after = b"0"
            while len(found) < 3:
                for entry, fields in await engine.read(inbox, after, count=1, block=20):
                    after = entry
                    found.append(fields[b"b"])

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await engine.call("XADD", inbox, "*", "b", 1)
                await trio.to_thread.run_sync(masters.begin_move, slot, there)
                await trio.to_thread.run_sync(masters.move_keys, slot, there, inbox.decode())
                await engine.call("XADD", inbox, "*", "b", 2)
                await trio.to_thread.run_sync(masters.end_move, slot, there)
                await engine.call("XADD", inbox, "*", "b", 3)
        assert found == [b"1", b"2", b"3"]
        assert engine.returns == 1


async def test_without_one_of_its_masters_the_engine_is_gone(settings: Cluster) -> None:
    with redis_cluster() as masters, trio.fail_after(60):
        first, second, third = masters.servers
        async with open_engine(Cluster(url=masters.url, timeout=1)) as engine:
            keys = [_key(engine, number) for number in range(20)]
            await engine.all([Call("SET", key, 1) for key in keys])
            await trio.to_thread.run_sync(second.stop)
            await engine.wait_gone()
            with pytest.raises(EngineGoneError):
                await engine.call("GET", keys[0])
            await trio.to_thread.run_sync(second.start)
            await engine.wait_returned()
            while True:
                # The others may not know yet that it is there again.
                try:
                    assert await engine.all([Call("GET", key) for key in keys]) == [b"1"] * 20
                    break
                except EngineGoneError:
                    await engine.wait_returned()
        await trio.to_thread.run_sync(first.stop)
        # The URL's first place is not there: the second knows, but one master is missing.
        with pytest.raises(EngineError):
            async with open_engine(Cluster(url=masters.url, timeout=1)):
                pass
        assert third.command("PING") == b"+PONG\r\n"


async def test_the_url_must_say_that_it_is_one(settings: Cluster, masters: RedisCluster) -> None:
    with pytest.raises(EngineError, match=r"its address reads redis\+cluster://HOST:PORT\."):
        async with open_engine(Cluster(url=f"redis://127.0.0.1:{masters.servers[0].port}")):
            pass
