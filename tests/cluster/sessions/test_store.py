"""Sessions in the engine: at most one node has each, and what is written stands under its epoch."""

from __future__ import annotations

import pytest
import trio

from tests.cluster.sessions.nodes import HOUR, Nodes, claimed, said
from trio_mqtt.cluster.claim_answers import AnothersSession, Claimed, OwnedBy, Owner, Superseded
from trio_mqtt.cluster.engine.calls import EngineFencedError
from trio_mqtt.cluster.engine.engine import Engine
from trio_mqtt.cluster.floors import FloorStore, field_of
from trio_mqtt.cluster.session_store import FAR, SessionStore
from trio_mqtt.storage.rows import Changes, SessionRow, SubscriptionRow

WILL_NOW = bytes(4) + b"rest"
WILL_IN_60_S = (60).to_bytes(4, "big") + b"rest"


async def fields(engine: Engine, key: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = await engine.call("HGETALL", engine.keys.of_client(key, "session"))
    return found


async def write(engine: Engine, node: SessionStore, got: Claimed, **values: bytes) -> object:
    owner = Owner(got.kept.key, got.epoch)
    named = {name.encode(): value for name, value in values.items()}
    (reply,) = await engine.all([node.save(owner, named)])
    return reply


async def test_who_comes_first_has_it(nodes: Nodes, engine: Engine) -> None:
    got = await claimed(nodes["a"], "cat", said(user="tom"))
    assert got.has_begun
    assert got.kept.expiry_interval is None
    assert (await fields(engine, "cat"))[b"node"] == b"a"
    assert (await fields(engine, "cat"))[b"user"] == b"tom"
    assert await nodes["b"].claim("cat", said(user="tom"), token="t", clean=False) == OwnedBy("a")


async def test_it_is_anothers_users(nodes: Nodes) -> None:
    a, b = nodes["a"], nodes["b"]
    got = await claimed(a, "cat", said(user="tom"))
    for user in ("jerry", "", None):
        answer = await b.claim("cat", said(user=user), token="t", clean=True)
        assert answer == AnothersSession()
    await a.release("cat", got.epoch, ends_in=HOUR, will_in=None)
    assert await b.claim("cat", said(), token="t", clean=True) == AnothersSession()
    assert isinstance(await b.claim("cat", said(user="tom"), token="t", clean=False), Claimed)


async def test_who_proves_no_name_leaves_it_to_anybody(nodes: Nodes) -> None:
    a, b = nodes["a"], nodes["b"]
    got = await claimed(a, "cat")
    await a.release("cat", got.epoch, ends_in=HOUR, will_in=None)
    assert isinstance(await b.claim("cat", said(user=""), token="t", clean=False), Claimed)
    assert isinstance(await a.claim("cat", said(), token="t", clean=False), AnothersSession)


async def test_released_it_goes_on_at_another(nodes: Nodes, engine: Engine) -> None:
    a, b = nodes["a"], nodes["b"]
    got = await claimed(a, "cat")
    assert await write(engine, a, got, more=b"1") == 1
    assert await a.release("cat", got.epoch, ends_in=9, will_in=None, changed={b"last": b"2"})
    assert await a.offline() == (1, 0)
    more = await claimed(b, "cat")
    assert more.has_begun
    assert more.kept.others == {b"more": b"1", b"last": b"2"}
    assert more.kept.ends is not None
    assert 0 < more.kept.ends - more.now <= 9000
    assert not more.kept.is_over(more.now)
    assert more.kept.outlives_connections
    assert more.epoch > got.epoch
    assert await b.offline() == (0, 0)
    # The one before writes no more, and gives nothing up.
    assert await write(engine, a, got, more=b"3") == 0
    assert not await a.release("cat", got.epoch, ends_in=9, will_in=None)
    assert not await a.forget("cat", got.epoch)
    assert await a.offline() == (0, 0)
    assert (await fields(engine, "cat"))[b"more"] == b"1"


async def test_once_the_lease_is_over_nothing_is_written(nodes: Nodes, engine: Engine) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    engine.deadline_ms = 1
    assert isinstance(await write(engine, a, got, more=b"1"), EngineFencedError)
    with pytest.raises(EngineFencedError):
        await a.release("cat", got.epoch, ends_in=9, will_in=None)
    with pytest.raises(EngineFencedError):
        await a.claim("dog", said(), token="t", clean=False)
    assert b"more" not in await fields(engine, "cat")


async def test_the_last_of_those_who_wait_gets_it(nodes: Nodes) -> None:
    a, b, c = nodes["a"], nodes["b"], nodes["c"]
    got = await claimed(a, "cat")
    assert await b.claim("cat", said(), token="1", clean=False) == OwnedBy("a")
    assert await c.claim("cat", said(), token="2", clean=False) == OwnedBy("a")
    assert await a.release("cat", got.epoch, ends_in=9, will_in=None)
    again = await b.claim("cat", said(), token="1", clean=False, waits=True)
    assert again == Superseded()
    assert isinstance(await c.claim("cat", said(), token="2", clean=False, waits=True), Claimed)


async def test_who_waits_gets_a_clean_session_that_has_ended(nodes: Nodes) -> None:
    a, b = nodes["a"], nodes["b"]
    got = await claimed(a, "cat", said(0))
    assert await b.claim("cat", said(), token="1", clean=False) == OwnedBy("a")
    assert await a.forget("cat", got.epoch)
    more = await b.claim("cat", said(), token="1", clean=False, waits=True)
    assert isinstance(more, Claimed)
    assert more.has_begun
    assert not more.kept.outlives_connections


async def test_asked_gently_nobody_waits(nodes: Nodes, engine: Engine) -> None:
    await claimed(nodes["a"], "cat")
    answer = await nodes["b"].claim("cat", said(), token="1", clean=False, gently=True)
    assert answer == OwnedBy("a")
    assert b"next" not in await fields(engine, "cat")


async def test_a_dead_nodes_is_taken(nodes: Nodes) -> None:
    await claimed(nodes["a"], "cat", said(will=WILL_NOW))
    b = nodes["b"]
    got = await b.claim("cat", said(), token="1", clean=False, take_from="a")
    assert isinstance(got, Claimed)
    assert not got.has_begun  # its will is to be published first
    assert got.kept.node == "a"
    assert got.kept.will == WILL_NOW
    assert await b.begin("cat", got.epoch, said(), wipe=False)


async def test_a_clean_start_leaves_nothing(nodes: Nodes, engine: Engine) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat", said(user="tom"))
    await write(engine, a, got, more=b"1")
    await a.release("cat", got.epoch, ends_in=9, will_in=None)
    got = await claimed(a, "cat", said(user="tom"), clean=True)
    assert not got.has_begun
    assert got.kept.others == {b"more": b"1"}  # for who ends what hangs on it
    assert await a.begin("cat", got.epoch, said(7, author="x"), wipe=True)
    now = await fields(engine, "cat")
    assert now == {b"node": b"a", b"epoch": got.epoch, b"expiry": b"7", b"author": b"x"}


async def test_what_is_said_of_a_session_that_is_anothers_does_not_hold(
    nodes: Nodes, engine: Engine
) -> None:
    a, b = nodes["a"], nodes["b"]
    got = await claimed(a, "cat")
    await b.claim("cat", said(5), token="t", clean=False, take_from="a")
    assert not await a.begin("cat", got.epoch, said(7), wipe=True)
    assert (await fields(engine, "cat"))[b"expiry"] == b"5"


async def test_an_epoch_never_comes_again(nodes: Nodes) -> None:
    a = nodes["a"]
    epochs = []
    for _ in range(3):
        got = await claimed(a, "cat", said(0))
        epochs.append(int(got.epoch))
        await a.forget("cat", got.epoch)
    assert epochs == sorted(set(epochs))


async def test_rows_are_written_and_read(nodes: Nodes, engine: Engine) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    a.owns(7, "cat", got.epoch)
    changes = Changes()
    rows = [
        SubscriptionRow(7, "a/+", 1, 0, 1, 268_435_455, "a/+"),
        SubscriptionRow(7, "ü/#", 2, 1, 0, None, "x\0y", 1),
        SubscriptionRow(7, "$share/g/a", 0, 0, 0, None, "$share/g/a"),
    ]
    changes.subscriptions.update({(7, row.topic_filter): row for row in rows})
    changes.identifiers.update({(7, 1): True, (7, 65_535): True})
    changes.sessions[7] = SessionRow(7, "cat", "tom", 60, None, WILL_NOW, None, "author")
    calls = a.saves(changes, {7: {b"k/a": b"5"}})
    assert await engine.all(list(calls.values())) == [1]
    changes = Changes()
    changes.identifiers[7, 1] = False
    changes.subscriptions[7, "a/+"] = None
    assert await engine.all(list(a.saves(changes, {}).values())) == [1]
    await a.release("cat", got.epoch, ends_in=60, will_in=5)
    kept = (await claimed(nodes["b"], "cat", said(user="tom"))).kept
    assert sorted(kept.rows(7)) == sorted(rows[1:])
    assert kept.identifiers == [65_535]
    assert (kept.user, kept.expiry_interval) == ("tom", 60)
    assert (kept.will, kept.author) == (WILL_NOW, "author")
    assert kept.others == {b"k/a": b"5"}


async def test_of_a_session_that_has_ended_nothing_is_left_to_the_next(
    nodes: Nodes, engine: Engine
) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    a.owns(7, "cat", got.epoch)
    changes = Changes()
    changes.subscriptions[7, "a"] = SubscriptionRow(7, "a", 1, 0, 0, None, "a")
    await engine.all(list(a.saves(changes, {}).values()))
    a.owns(8, "cat", got.epoch)
    changes = Changes()
    changes.sessions[8] = SessionRow(8, "cat", None, 60, None, None, None)
    changes.sessions[7] = None
    changes.subscriptions[8, "b"] = SubscriptionRow(8, "b", 1, 0, 0, None, "b")
    changes.subscriptions[7, "c"] = SubscriptionRow(7, "c", 1, 0, 0, None, "c")
    calls = a.saves(changes, {7: {b"k/c": b"5"}})
    assert await engine.all(list(calls.values())) == [1, 1]
    assert {name for name in await fields(engine, "cat") if name[1:2] in b":/"} == {b"s:b"}


async def test_thousands_of_fields_are_written_at_once(nodes: Nodes, engine: Engine) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    owner = Owner("cat", got.epoch)
    many = {b"s:%d" % number: bytes(5) for number in range(3_500)}
    assert await engine.all([a.save(owner, many)]) == [1]
    assert await engine.all([a.save(owner, {b"s:new": b"1"}, list(many)[1:])]) == [1]
    assert len(await fields(engine, "cat")) == 3 + 2
    assert await engine.all([a.save(owner, many), a.save(owner, {}, wipe=True)]) == [1, 1]
    assert len(await fields(engine, "cat")) == 3


async def test_what_is_no_longer_this_nodes_is_not_written(nodes: Nodes) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    a.owns(7, "cat", got.epoch)
    a.disowns(7)
    changes = Changes()
    changes.identifiers[7, 1] = True
    assert a.saves(changes, {7: {b"k": b""}}) == {}


# -- what is due ----------------------------------------------------------------------------------


async def test_a_session_ends_in_time(nodes: Nodes) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    await a.release("cat", got.epoch, ends_in=0.5, will_in=None)
    due = await a.next_due(10, 60)
    assert due.keys == []
    assert due.wait is not None
    await trio.sleep(due.wait)
    ended = None
    while ended is None:
        due = await a.next_due(10, 60)
        if due.keys:
            # Where it is due, and where the session is, may be two masters, each with its time.
            ended = await a.take_if_due("cat", due.held)
    assert (await nodes["b"].next_due(10, 60)).keys == []  # for somebody else is at it
    assert ended.kept.is_over(ended.now)
    assert await nodes["b"].claim("cat", said(), token="t", clean=False) == OwnedBy("a")
    assert await a.forget("cat", ended.epoch)
    await a.no_longer_due("cat", due.held)
    assert await a.offline() == (0, 0)


async def test_who_waits_for_it_still_does_when_what_is_due_is_done(nodes: Nodes) -> None:
    a, b = nodes["a"], nodes["b"]
    got = await claimed(a, "cat", said(0, will=WILL_NOW))
    assert await b.claim("cat", said(), token="1", clean=False) == OwnedBy("a")
    await a.release("cat", got.epoch, ends_in=0, will_in=0, changed={b"will": WILL_NOW})
    due = await a.next_due(10, 60)
    ended = await a.take_if_due("cat", due.held)
    assert ended is not None
    answer = await b.claim("cat", said(), token="1", clean=False, waits=True)
    assert answer == OwnedBy("a")
    assert await a.forget("cat", ended.epoch)
    more = await b.claim("cat", said(), token="1", clean=False, waits=True)
    assert isinstance(more, Claimed)
    assert more.has_begun


async def test_if_whoever_does_it_dies_another_does(nodes: Nodes) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    await a.release("cat", got.epoch, ends_in=0, will_in=None)
    assert (await a.next_due(10, 0.01)).keys == ["cat"]
    keys: list[str] = []
    while not keys:
        keys = (await nodes["b"].next_due(10, 60)).keys
    assert keys == ["cat"]


async def test_a_client_that_is_back_is_not_due(nodes: Nodes) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    await a.release("cat", got.epoch, ends_in=0.01, will_in=None)
    due = await a.next_due(10, 60)
    while not due.keys:
        due = await a.next_due(10, 60)
    await a.claim("cat", said(), token="t", clean=False)
    assert await nodes["b"].take_if_due("cat", due.held) is None
    assert await a.offline() == (0, 0)


async def test_what_is_found_too_early_stays_due(nodes: Nodes, engine: Engine) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat")
    await a.release("cat", got.epoch, ends_in=HOUR, will_in=60)
    key = engine.keys.shared("due")
    await engine.call("ZADD", key, 5, "cat")
    due = await a.next_due(10, 60)
    assert due.keys == ["cat"]
    assert await a.take_if_due("cat", due.held) is None
    wait = (await a.next_due(10, 60)).wait
    assert wait is not None
    assert 55 < wait <= 60


async def test_one_that_never_ends_is_there_and_never_due(nodes: Nodes, engine: Engine) -> None:
    a = nodes["a"]
    got = await claimed(a, "cat", said(0xFFFF_FFFF))
    await a.release("cat", got.epoch, ends_in=None, will_in=None)
    assert await a.offline() == (1, 0)
    assert await engine.call("ZSCORE", engine.keys.shared("due"), "cat") == FAR


# -- the dead -------------------------------------------------------------------------------------


async def test_a_dead_nodes_sessions_are_free_and_their_wills_due(
    nodes: Nodes, engine: Engine
) -> None:
    a, b = nodes["a"], nodes["b"]
    await claimed(a, "clean", said(0, will=WILL_IN_60_S))
    await claimed(a, "durable", said(HOUR, will=WILL_NOW))
    await claimed(a, "delayed", said(HOUR, will=WILL_IN_60_S))
    await claimed(a, "never", said(0xFFFF_FFFF))
    moved = await claimed(a, "moved")
    await a.release("moved", moved.epoch, ends_in=HOUR, will_in=None)
    await claimed(b, "moved")
    await engine.call("SADD", engine.keys.node_sessions("a"), "moved", "nothing")
    while await b.free("a", 2):
        pass
    assert await engine.call("SCARD", engine.keys.node_sessions("a")) == 0
    assert await b.offline() == (4, 0)
    assert (await fields(engine, "moved"))[b"node"] == b"b"
    due = await b.next_due(10, 60)
    assert sorted(due.keys) == ["clean", "durable"]
    clean = await b.take_if_due("clean", due.held)
    assert clean is not None
    assert clean.kept.is_over(clean.now)
    assert clean.kept.will == WILL_IN_60_S
    durable = await b.take_if_due("durable", due.held)
    assert durable is not None
    assert not durable.kept.is_over(durable.now)
    assert durable.kept.will_due is not None
    assert durable.kept.will_due <= durable.now
    kept = (await claimed(b, "delayed")).kept
    assert kept.will_due is not None
    assert kept.ends is not None
    assert kept.ends - kept.will_due == (HOUR - 60) * 1000


async def test_whoever_frees_them_may_die_meanwhile(nodes: Nodes, engine: Engine) -> None:
    a, b = nodes["a"], nodes["b"]
    await claimed(a, "cat", said(will=WILL_NOW))
    await b.free("a")
    # As if it had not come to say that they are due.
    await engine.call("ZREM", engine.keys.shared("due"), "cat")
    await engine.call("SADD", engine.keys.node_sessions("a"), "cat")
    assert await nodes["c"].free("a") == 1
    assert (await b.next_due(10, 60)).keys == ["cat"]


async def test_a_dead_nodes_sessions_say_themselves_how_far_they_are(
    nodes: Nodes, engine: Engine
) -> None:
    a, b, store = nodes["a"], nodes["b"], FloorStore(engine)
    resting = {b"k/one": b"5-0;9-0+1~9-0+2@a", b"k/two": b"7-0@a", b"k/none": b"3-0+2@a"}
    for key in ("cat", "moved"):
        of = await claimed(a, key)
        await engine.all([a.save(Owner(key, of.epoch), {**resting, b"k/own": b"2-0"})])
    await store.tell("a", {"one": (8, 0), "two": (6, 0), "none": (9, 9)})
    await store.tell("a", {}, ["none"])

    def own(fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
        return {name: value for name, value in fields.items() if name.startswith(b"k/")}

    # Whoever has looked at it before may have moved it meanwhile.
    await engine.call("HSET", engine.keys.of_client("moved", "session"), b"k/one", b"9-9")
    await store.settle({"moved": {b"k/one": resting[b"k/one"]}})
    assert own(await fields(engine, "moved"))[b"k/one"] == b"9-9"
    raised = {b"k/one": b"8-0;9-0+1~9-0+2", b"k/two": b"7-0", b"k/none": b"3-0+2", b"k/own": b"2-0"}
    asked = await store.positions(own(await fields(engine, "cat")))
    assert {field_of(text): bytes(one) for text, one in asked.items()} == raised
    while await b.free("a"):
        pass
    assert own(await fields(engine, "cat")) == raised
    assert own(await fields(engine, "moved")) == {**raised, b"k/one": b"9-9"}
    # Whoever has read them before asks for the floors soon after.
    assert await engine.call("PTTL", engine.keys.floors("a")) > 0


async def test_of_floors_many_are_told_at_once(nodes: Nodes, engine: Engine) -> None:
    store = FloorStore(engine)
    floors = {f"{number}": (number + 1, 0) for number in range(4_100)}
    await store.tell("a", floors)
    fields = {field_of(text): b"1-0@a" for text in floors}
    positions = await store.positions(fields)
    assert {text: one.place.entry for text, one in positions.items()} == floors
    await store.tell("a", {}, floors)
    assert await engine.call("HLEN", engine.keys.floors("a")) == 0
