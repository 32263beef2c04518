"""Whether a session has what was taken out of a shared log for it, asked of a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trio_mqtt import Cluster
from trio_mqtt.cluster.engine.calls import Call
from trio_mqtt.cluster.engine.engine import Engine, open_engine
from trio_mqtt.cluster.given import Given, Giving, encode_indexes, is_over, keys_of, mark
from trio_mqtt.cluster.logs import Logs

GROUP = "$share/g/a"


@pytest.fixture
async def engine(cluster: Cluster) -> AsyncIterator[Engine]:
    async with open_engine(cluster) as opened:
        opened.deadline_ms = 1 << 45
        yield opened


async def test_a_mark_says_what_a_session_has_and_without_one_it_will_have_nothing(
    engine: Engine,
) -> None:
    given = Given(engine)
    logs = Logs(engine)
    await logs.hold(GROUP, "s")
    await logs.share(GROUP)
    await engine.all([logs.append("n", GROUP, 1, b"x", 3)])
    (entry,), _ = await logs.take(GROUP, "n", count=9)
    assert entry.given == b""
    first = Giving(GROUP, entry.entry, "n", {1: ("one", 7), 2: ("two words", 8)})
    assert await engine.all([given.call(first)]) == [1]
    (again,), _ = await logs.take(GROUP, "m", count=9, dead=["n"])
    assert keys_of(again.given) == ["one", "two words"]
    one, two = (engine.keys.of_client(key, "session") for key in ("one", "two words"))
    await engine.call("HSET", one, "epoch", 7, mark(GROUP, entry.entry), encode_indexes([0, 2]))
    await engine.call("HSET", two, "epoch", 8)
    for _ in range(2):
        assert await given.held(GROUP, entry.entry, again.given) == {0, 2}
    # Whoever has the session under that epoch still writes nothing any more.
    assert await engine.call("HGET", two, "epoch") == b"9"
    assert await engine.call("HGET", one, "epoch") == b"7"
    # It is not the first node's any more, whenever that has come to give it.
    assert await engine.all([given.call(first)]) == [0]
    second = Giving(GROUP, entry.entry, "m", {3: ("three", 1)}, again.given)
    assert await engine.all([given.call(second)]) == [1]
    # Whoever was not told what it took, asks again.
    (again,), _ = await logs.take(GROUP, "m", count=9)
    assert keys_of(again.given) == ["one", "two words", "three"]
    await logs.taken(GROUP, [entry])
    await given.forget(GROUP, [(entry.entry, key) for key in keys_of(again.given)])
    assert not await engine.call("HEXISTS", one, mark(GROUP, entry.entry))
    assert not await engine.call("EXISTS", engine.keys.of_filter(GROUP, "given"))


async def test_a_node_that_is_gone_is_forgotten_once_it_has_nothing(engine: Engine) -> None:
    logs = Logs(engine)
    await logs.hold(GROUP, "s")
    await logs.share(GROUP)
    await engine.all([logs.append("n", GROUP, 1, b"x", 1)])
    (entry,), _ = await logs.take(GROUP, "gone", count=1)
    log = engine.keys.of_filter(GROUP, "log")

    async def is_known_after(forgotten_after: float) -> bool:
        await logs.take(GROUP, "here", count=1, forgotten_after=forgotten_after)
        (found,) = await engine.all([Call("XINFO", "CONSUMERS", log, "g", key=log)])
        return any(one[b"name"] == b"gone" for one in found)

    assert await is_known_after(-1.0)  # while it has something
    await logs.taken(GROUP, [entry])
    assert await is_known_after(60.0)
    assert not await is_known_after(-1.0)


async def test_what_a_living_node_has_stays_with_it(engine: Engine) -> None:
    logs = Logs(engine)
    await logs.hold(GROUP, "s")
    await logs.share(GROUP)
    await engine.all([logs.append("n", GROUP, number, b"x", 1) for number in (1, 2)])
    (first,), _ = await logs.take(GROUP, "n", count=1)
    (second,), _ = await logs.take(GROUP, "m", count=9)
    assert await logs.take(GROUP, "here", count=9) == ([], ["m", "n"])
    (left,), _ = await logs.take(GROUP, "here", count=9, dead=["o", "m"])
    assert left == second
    await logs.taken(GROUP, [left])
    assert await logs.take(GROUP, "here", count=9, dead=["o", "m"]) == ([], ["n"])
    assert await logs.take(GROUP, "n", count=9) == ([first], [])
    # What a log had to let go of, nobody takes.
    await engine.call("XTRIM", engine.keys.of_filter(GROUP, "log"), "MAXLEN", 0)
    assert await logs.take(GROUP, "n", count=9) == ([], [])
    assert await logs.take(GROUP, "here", count=9) == ([], [])


async def test_what_nobody_shares_any_more_is_given(engine: Engine) -> None:
    given, logs = Given(engine), Logs(engine)
    await logs.hold(GROUP, "s", 1)
    await logs.share(GROUP)
    await engine.all([logs.append("n", GROUP, 1, b"x", 1)])
    (entry,), _ = await logs.take(GROUP, "n", count=1)
    await logs.release(GROUP, {"s": 1})
    giving = Giving(GROUP, entry.entry, "n", {1: ("s", 1)})
    assert await engine.all([given.call(giving)]) == [1]
    assert not await engine.call("EXISTS", engine.keys.of_filter(GROUP, "given"))


def test_marks_are_over_after_an_hour() -> None:
    field = mark(GROUP, (10_000_000, 3))
    assert not is_over(field, 10_000_000)
    assert not is_over(b"m/1-0", 1e15)
    assert is_over(field, 10_000_000 + 3_600_001)
