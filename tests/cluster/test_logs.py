"""Logs of durable filters against a real engine: what is added once, is there once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from trio_mqtt import Cluster
from trio_mqtt.cluster.engine.calls import EngineFencedError
from trio_mqtt.cluster.engine.engine import Engine, open_engine
from trio_mqtt.cluster.logs import (
    Appended,
    Entry,
    Logs,
    Publisher,
    fits,
    follows,
    identity,
)
from trio_mqtt.cluster.positions import NOTHING, EntryId, Place
from trio_mqtt.protocol.packets import Publish

FAR = 1 << 45  # milliseconds


@pytest.fixture
async def engine(cluster: Cluster) -> AsyncIterator[Engine]:
    async with open_engine(replace(cluster, log_messages=320, log_bytes=1 << 20)) as opened:
        opened.deadline_ms = FAR
        yield opened


@pytest.fixture
def logs(engine: Engine) -> Logs:
    return Logs(engine)


async def append(
    engine: Engine,
    logs: Logs,
    number: int,
    data: bytes = b"x",
    publisher: Publisher | None = None,
    node: str = "node-1",
) -> Appended:
    (reply,) = await engine.all([logs.append(node, "a/#", number, data, 1, publisher)])
    return logs.appended(reply)


async def entries(logs: Logs, after: EntryId = NOTHING) -> list[Entry]:
    return list(await logs.read("a/#", Place(after), count=10_000))


async def test_what_nobody_holds_is_not_kept(engine: Engine, logs: Logs) -> None:
    assert await append(engine, logs, 1) == (NOTHING, NOTHING, True)
    assert await entries(logs) == []


async def test_each_entry_knows_the_one_before_it(engine: Engine, logs: Logs) -> None:
    assert await logs.hold("a/#", "s") == (NOTHING, 1)
    first = await append(engine, logs, 1, b"one")
    second = await append(engine, logs, 2, b"two")
    assert first.previous == NOTHING
    assert second.previous == first.entry
    assert await entries(logs) == [
        Entry(first.entry, NOTHING, b"one"),
        Entry(second.entry, first.entry, b"two"),
    ]
    assert await entries(logs, first.entry) == [Entry(second.entry, first.entry, b"two")]
    assert await logs.last("a/#") == second.entry
    assert await logs.hold("a/#", "later") == (second.entry, 2)


async def test_what_comes_again_is_added_once(engine: Engine, logs: Logs) -> None:
    await logs.hold("a/#", "s")
    first = await append(engine, logs, 1)
    assert await append(engine, logs, 1) == first
    second = await append(engine, logs, 2)
    # The one before is there, wherever: who follows the log finds it.
    assert await append(engine, logs, 1) == (NOTHING, NOTHING, False)
    assert await append(engine, logs, 2) == second
    third = await append(engine, logs, 1, node="node-2")
    assert third.previous == second.entry
    assert len(await entries(logs)) == 3


async def test_what_a_dead_node_has_added_of_qos_2_is_not_added_again(
    engine: Engine, logs: Logs
) -> None:
    await logs.hold("a/#", "s")
    messages = [Publish("a/b", b"1", 2, packet_id=5), Publish("a/b", b"2", 2, packet_id=6)]
    known = [identity(number, one) for number, one in enumerate(messages, 1)]
    await append(engine, logs, 1, b"two", Publisher("c", 1, known))
    for number, one in enumerate(known, 1):
        again = Publisher("c", 2, [one], is_known=True)
        assert await append(engine, logs, number, b"x", again, node="node-2") == (
            NOTHING,
            NOTHING,
            False,
        )
    # Of another client, another number, other content: it is another message.
    others = [
        Publisher("d", 2, known[:1], is_known=True),
        Publisher("c", 2, [identity(3, messages[0])], is_known=True),
        Publisher("c", 2, [identity(1, messages[1])], is_known=True),
    ]
    for number, publisher in enumerate(others, 3):
        assert (await append(engine, logs, number, b"x", publisher, node="node-2")).entry > NOTHING
    assert len(await entries(logs)) == 4
    # What was added meanwhile has not made it forget the rest.
    again = Publisher("c", 2, known[:1], is_known=True)
    assert await append(engine, logs, 9, b"x", again, node="node-2") == (NOTHING, NOTHING, False)


async def test_what_the_session_does_not_know_of_is_remembered_whatever_comes_after_it(
    engine: Engine, logs: Logs
) -> None:
    """A node had one group added, heard nothing of it, and had the next one added as well."""
    await logs.hold("a/#", "s")
    for number, (name, kept) in enumerate([("1:a", 0), ("2:b", 0), ("3:c", 1)], 1):
        publisher = Publisher("c", 1, [name], kept=kept)
        assert (await append(engine, logs, number, b"x", publisher)).entry > NOTHING
    for number, name in enumerate(("2:b", "3:c"), 1):
        again = Publisher("c", 2, [name], is_known=True, kept=1)
        found = await append(engine, logs, number, b"x", again, node="node-2")
        assert found == (NOTHING, NOTHING, False)
    # What the session does know of is never looked for, and not remembered.
    again = Publisher("c", 2, ["1:a"], is_known=True)
    assert (await append(engine, logs, 3, b"x", again, node="node-2")).entry > NOTHING


async def test_what_a_node_adds_too_late_of_qos_2_is_not_added(engine: Engine, logs: Logs) -> None:
    """Its client has gone to another node meanwhile, and had it added there."""
    await logs.hold("a/#", "s")
    assert (await append(engine, logs, 1, b"x", Publisher("c", 2, ["7:b"]))).entry > NOTHING
    late = Publisher("c", 1, ["6:a", "7:b"])
    assert await append(engine, logs, 1, b"y", late, node="node-2") == (NOTHING, NOTHING, False)
    assert (await append(engine, logs, 2, b"z", Publisher("d", 1, ["6:a"]))).entry > NOTHING
    assert [one.data for one in await entries(logs)] == [b"x", b"z"]


async def test_a_log_is_cut_off_beyond_its_messages(engine: Engine, logs: Logs) -> None:
    await logs.hold("a/#", "s")
    added = [await append(engine, logs, number) for number in range(1, 700)]
    left = await entries(logs)
    assert 300 <= len(left) <= 320
    assert [one.entry for one in left] == [one.entry for one in added[-len(left) :]]
    assert not follows(left[0], Place(added[0].entry))
    assert follows(left[0], Place(left[0].previous))
    assert follows(left[0], Place(left[0].entry, 0))


async def test_a_log_is_cut_off_beyond_its_bytes(engine: Engine, logs: Logs) -> None:
    await logs.hold("a/#", "s")
    for number in range(1, 100):
        await append(engine, logs, number, bytes(30_000))
    size = sum(len(one.data) for one in await entries(logs))
    assert 900_000 <= size <= 1 << 20


async def test_a_log_is_cut_off_at_its_age(cluster: Cluster) -> None:
    async with open_engine(replace(cluster, log_age=1.0)) as engine:
        engine.deadline_ms = FAR
        logs = Logs(engine)
        await logs.hold("a/#", "s")
        key = engine.keys.of_filter("a/#", "log")
        for number in range(300):  # some time in the year 1970; a stream is trimmed roughly
            await engine.call("XADD", key, f"1000-{number}", "e", b"old", "p", b"0-0")
        new = await append(engine, logs, 1)
        left = await entries(logs)
        assert left[-1].entry == new.entry
        assert len(left) <= 101


async def test_what_all_are_done_with_goes(engine: Engine, logs: Logs) -> None:
    await logs.hold("a/#", "one")
    await logs.hold("a/#", "two")
    keys = logs._keys("a/#")
    for number in range(1, 5):
        await engine.call("XADD", keys[0], f"{number}000-1", "e", b"x", "p", f"{number - 1}000-1")
    await logs.done({"a/#": {"one": (3000, 1)}})
    assert len(await entries(logs)) == 4
    await logs.done({"a/#": {"two": (2000, 1), "unknown": (1, 1)}})
    assert [one.entry for one in await entries(logs)] == [(2000, 1), (3000, 1), (4000, 1)]
    assert await engine.call("ZCARD", keys[2]) == 2


async def test_with_its_last_session_a_log_goes(engine: Engine, logs: Logs) -> None:
    await logs.hold("a/#", "one")
    await logs.hold("a/#", "two")
    await append(engine, logs, 1)
    assert await logs.release("a/#", {"one": 0}) == 1
    assert len(await entries(logs)) == 1
    assert await logs.release("a/#", {"two": 0, "three": 0}) == 0
    assert await engine.call("KEYS", b"*%b*" % engine.settings.name.encode()) == []


async def test_what_is_released_late_is_not_what_was_held_since(engine: Engine, logs: Logs) -> None:
    await logs.hold("a/#", "one", 5)
    await logs.hold("a/#", "one", 7)
    assert await logs.release("a/#", {"one": 5}) == 1
    assert await logs.release("a/#", {"one": 7}) == 0


async def test_a_node_without_a_lease_adds_nothing(engine: Engine, logs: Logs) -> None:
    await logs.hold("a/#", "s")
    engine.deadline_ms = 1
    with pytest.raises(EngineFencedError):
        await append(engine, logs, 1)
    assert await entries(logs) == []


async def test_nodes_and_clients_of_long_ago_are_forgotten(engine: Engine, logs: Logs) -> None:
    await logs.hold("a/#", "s")
    state = logs._keys("a/#")[1]
    for number in range(4_100):
        await engine.call(
            "HSET", state, f"n/old-{number}", "1 1000-0 0-0", f"q/{number}", "1000 1 x"
        )
    await engine.call("HSET", state, "q/new", f"{FAR} 1 x")
    for number in range(1, 20):
        await append(engine, logs, number)
    fields = await engine.call("HKEYS", state)
    assert isinstance(fields, list)
    assert {b"q/new", b"n/node-1", b"last", b"bytes", b"messages"} == set(fields)


def test_a_read_has_as_many_entries_as_are_little() -> None:
    few = [Entry((1, 0), NOTHING, bytes(200_000))]
    assert fits(few) == 1
    assert fits([Entry((1, 0), NOTHING, b"x")] * 3) == 256
    assert fits([]) == 16
