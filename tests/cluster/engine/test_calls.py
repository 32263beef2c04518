"""What is asked is answered: alone, by many at once, in order, by scripts, from streams."""

from __future__ import annotations

import pytest
import trio

from tests.cluster.redis import RedisServer
from trio_mqtt.cluster.engine.calls import (
    Call,
    EngineFencedError,
    EngineRefusedError,
    Script,
    pairs,
)
from trio_mqtt.cluster.engine.engine import Engine

ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
FENCED = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])", fenced=True)


def _commands(redis: RedisServer) -> int:
    found = redis.command("INFO", "stats").decode()
    return int(found.partition("total_commands_processed:")[2].split()[0])


async def test_a_call_answers_what_the_engine_says(engine: Engine) -> None:
    key = engine.keys.shared("thing")
    assert await engine.call("SET", key, "wörter") == b"OK"
    assert await engine.call("GET", key) == "wörter".encode()
    assert await engine.call("GET", engine.keys.shared("nothing")) is None
    assert await engine.call("HSET", engine.keys.shared("h"), "a", 1, "b", 2.5) == 2
    assert await engine.call("HGETALL", engine.keys.shared("h")) == {b"a": b"1", b"b": b"2.5"}


async def test_what_the_engine_refuses_is_raised(engine: Engine) -> None:
    key = engine.keys.shared("thing")
    await engine.call("SET", key, "word")
    with pytest.raises(EngineRefusedError, match="not an integer"):
        await engine.call("INCR", key)
    assert await engine.call("GET", key) == b"word"


async def test_all_answers_in_order_refusals_among_them(engine: Engine) -> None:
    key = engine.keys.shared("count")
    calls = [Call("INCR", key), Call("NONSENSE", key), engine.scripted(ADD, [key], 5)]
    first, second, third = await engine.all(calls)
    assert (first, third) == (1, 6)
    assert isinstance(second, EngineRefusedError)
    assert await engine.all([]) == []


async def test_more_than_one_pipeline_takes_stays_in_order(engine: Engine) -> None:
    key = engine.keys.shared("list")
    calls = [Call("RPUSH", key, b"x" * 3000) for _ in range(2500)]
    assert await engine.all(calls) == [*range(1, 2501)]


async def test_many_tasks_ask_at_once(engine: Engine) -> None:
    found: dict[int, bytes] = {}

    async def one(number: int) -> None:
        key = engine.keys.shared(f"key-{number}")
        await engine.call("SET", key, number)
        found[number] = await engine.call("GET", key)

    async with trio.open_nursery() as nursery:
        for number in range(300):
            nursery.start_soon(one, number)
    assert found == {number: b"%d" % number for number in range(300)}


async def test_a_script_is_loaded_once_and_again_when_it_is_gone(
    engine: Engine, redis: RedisServer
) -> None:
    key = engine.keys.shared("count")
    assert await engine.run(ADD, [key], 2) == 2
    before = _commands(redis)
    assert await engine.run(ADD, [key], 2) == 4
    # The script, what it calls, and the question itself: nothing was loaded.
    assert _commands(redis) - before <= 3
    redis.command("SCRIPT", "FLUSH")
    assert await engine.run(ADD, [key], 2) == 6
    redis.command("SCRIPT", "FLUSH")
    assert await engine.all([engine.scripted(ADD, [key], 1)] * 3) == [7, 8, 9]


async def test_a_fenced_script_is_refused_after_the_lease(engine: Engine) -> None:
    key = engine.keys.shared("count")
    with pytest.raises(EngineFencedError):
        await engine.run(FENCED, [key], 1)
    seconds, microseconds = await engine.call("TIME")
    now = int(seconds) * 1000 + int(microseconds) // 1000
    engine.deadline_ms = now + 60_000
    assert await engine.run(FENCED, [key], 1) == 1
    engine.deadline_ms = now - 1
    with pytest.raises(EngineFencedError):
        await engine.run(FENCED, [key], 1)
    assert await engine.call("GET", key) == b"1"


async def test_a_list_of_keys_and_values_is_a_mapping(engine: Engine) -> None:
    key = engine.keys.shared("h")
    await engine.call("HSET", key, "a", 1, "b", 2)
    script = Script("return redis.call('HGETALL', KEYS[1])")
    assert pairs(await engine.run(script, [key])) == {b"a": b"1", b"b": b"2"}


async def test_a_reader_waits_for_what_comes_while_others_ask(engine: Engine) -> None:
    inbox = engine.keys.inbox("node")
    found: list[bytes] = []

    async def read() -> None:
        after = b"0"
        while len(found) < 5:
            for entry, fields in await engine.read(inbox, after, count=2, block=30):
                found.append(fields[b"b"])
                after = entry

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for number in range(5):
            await engine.call("XADD", inbox, "*", "b", number)
    assert found == [b"0", b"1", b"2", b"3", b"4"]


async def test_nothing_comes_in_time(engine: Engine) -> None:
    assert await engine.read(engine.keys.inbox("node"), b"$", count=1, block=0.01) == []


async def test_a_cancelled_read_takes_nothing_from_the_next(engine: Engine) -> None:
    inbox = engine.keys.inbox("node")
    with trio.move_on_after(0.05):
        await engine.read(inbox, b"0", count=1, block=30)
    await engine.call("XADD", inbox, "*", "b", 1)
    ((_, fields),) = await engine.read(inbox, b"0", count=1, block=30)
    assert fields == {b"b": b"1"}
    assert not engine.is_gone


async def test_cancelled_calls_leave_others_their_own_answers(engine: Engine) -> None:
    key, cancelled = engine.keys.shared("count"), engine.keys.shared("cancelled")

    async def asks() -> None:
        for number in range(50):
            assert await engine.call("ECHO", b"%d" % number) == b"%d" % number

    async def gives_up() -> None:
        for turn in range(50):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(engine.call, "INCR", cancelled)
                    for _ in range(turn % 5):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(asks)
            nursery.start_soon(gives_up)
    assert await engine.call("INCR", key) == 1
    # Each of them is done once, or not at all.
    assert int(await engine.call("GET", cancelled) or 0) <= 150
    assert engine.returns == 1
