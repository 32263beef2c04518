"""Floors, without an engine: whatever is on its way there, nothing that is not over is passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_mqtt.broker.clustering.done import Done
from trio_mqtt.broker.clustering.durable.floors import LAG, Floors
from trio_mqtt.broker.clustering.journal import ClusterJournal
from trio_mqtt.broker.clustering.moved import Moved
from trio_mqtt.broker.clustering.tracker import Tracker
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.cluster.cursors import Cursors
from trio_mqtt.cluster.positions import NOTHING, EntryId, Position

NODE = "n-1"


class Journal:
    """Groups of positions that are gathered, and kept one after the other."""

    def __init__(self) -> None:
        self.group, self.kept = 1, 0
        self.trackers: dict[int, Tracker] = {}
        self.done = Done()
        self.moved = Moved()

    def is_lost(self, _number: int) -> bool:
        return False


class Played:
    """Sessions that follow a log, and what the engine knows of them at each moment."""

    def __init__(self, count: int) -> None:
        self.journal = Journal()
        self.floors = Floors(cast("ClusterJournal", self.journal))
        self.floors.be(NODE)
        self.log: list[EntryId] = []
        self.hashes: dict[str, Position] = {}
        self.page: dict[str, EntryId] = {}
        self.gathered: dict[str, Callable[[], Position]] = {}
        self.told: tuple[dict[str, EntryId], list[str]] | None = None
        self.left: dict[str, dict[int, EntryId]] = {}  # what is not over, by number
        self.away: set[str] = set()
        self.trackers: dict[str, Tracker] = {}
        self.numbers = 0
        for name in map(str, range(count)):
            self.left[name] = {}
            self._come(name, Position.after(NOTHING))
            self.gathered[name] = self._position(name)
        self.keep()

    def _come(self, name: str, position: Position) -> None:
        self.numbers += 1
        session = Session(name)
        session.number = self.numbers
        self.trackers[name] = tracker = Tracker(session)
        tracker.cursors.begin("f", position)

    def _position(self, name: str) -> Callable[[], Position]:
        cursors = self.trackers[name].cursors
        return lambda: cursors.position("f")

    # -- what happens ---------------------------------------------------------------------------

    def come(self) -> None:
        entry = (len(self.log) + 1, 0)
        self.log.append(entry)
        for name, left in self.left.items():
            self.numbers += 1
            left[self.numbers] = entry
            if name not in self.away:
                self._take(name, self.numbers, entry)

    def _take(self, name: str, number: int, entry: EntryId) -> None:
        cursors = self.trackers[name].cursors
        if cursors.came("f", entry, 1) and number:
            cursors.take("f", number, (0,))

    def over(self, name: str, which: int) -> None:
        numbers = list(self.left[name])
        if name not in self.away and numbers:
            number = numbers[which % len(numbers)]
            self.trackers[name].cursors.over([number])
            del self.left[name][number]

    def rest(self, name: str) -> None:
        cursor = self.trackers[name].cursors.get("f")
        assert cursor is not None
        if name not in self.away and not cursor.floor_of:
            self.floors.rest(self.trackers[name], cursor)
            self.gathered[name] = self._position(name)

    def go(self, name: str) -> None:
        if name not in self.away:
            self.floors.leave_all(self.trackers[name])
            position = self.trackers[name].cursors.position("f")
            self.gathered[name] = lambda: position
            self.away.add(name)

    def back(self, name: str) -> None:
        """At this node again: its last position is kept by then."""
        if name in self.away:
            self.keep()
            self.away.remove(name)
            position = self.effective(name)
            assert not self.hashes[name].floor_of
            self._come(name, position)
            numbers = {entry: number for number, entry in self.left[name].items()}
            for entry in self.log:
                if entry >= position.place.entry:
                    self._take(name, numbers.get(entry, 0), entry)

    def keep(self) -> None:
        self.hashes.update({name: position() for name, position in self.gathered.items()})
        self.gathered.clear()
        self.journal.kept, self.journal.group = self.journal.group, self.journal.group + 1

    async def look(self) -> None:
        lagging, _ = await self.floors.look("f")
        for tracker in lagging:
            self.gathered[tracker.session.key] = self._position(tracker.session.key)
        self.told = self.floors.to_tell(["f"])
        self.keep()

    def tell(self, *, is_heard: bool) -> None:
        """Floors are told, whether or not this node hears of it."""
        if self.told is None:
            return
        told, gone = self.told
        self.page.update(told)
        for text in gone:
            self.page.pop(text, None)
        if is_heard:
            self.floors.are_told(NODE, told, gone)
            self.told = None

    # -- what holds -----------------------------------------------------------------------------

    def effective(self, name: str) -> Position:
        position = Position.parsed(bytes(self.hashes[name]))
        return position.above(self.page.get("f", NOTHING)) if position.floor_of else position

    def missing(self, name: str) -> list[EntryId]:
        """What another node would not hand to a session, and is not over."""
        position = self.effective(name)
        cursors = Cursors()
        cursors.begin("f", position)
        handed = {
            entry
            for entry in self.log
            if entry >= position.place.entry and cursors.came("f", entry, 1)
        }
        return [entry for entry in self.left[name].values() if entry not in handed]


names = st.sampled_from(["0", "1", "2"])
moves = st.one_of(
    st.tuples(st.just("come")),
    st.tuples(st.just("over"), names, st.integers(0, 3)),
    st.tuples(st.just("rest"), names),
    st.tuples(st.just("go"), names),
    st.tuples(st.just("back"), names),
    st.tuples(st.just("keep")),
    st.tuples(st.just("look")),
    st.tuples(st.just("tell"), st.booleans()),
    st.tuples(st.just("wait")),
)


async def play(played: Played, moves: list[tuple[Any, ...]]) -> None:
    for move, *arguments in moves:
        if move == "wait":
            await trio.sleep(LAG / 2)
        elif move == "look":
            await played.look()
        elif move == "tell":
            played.tell(is_heard=arguments[0])
        else:
            getattr(played, move)(*arguments)
        await played.floors.tell_done()
        done = played.journal.done.take().get("f", {})
        for name in played.left:
            assert played.missing(name) == []
            # Nor would a log let go of it.
            assert all(entry > done.get(name, NOTHING) for entry in played.left[name].values())
    for name in played.left:
        played.back(name)
        while played.left[name]:
            played.over(name, 0)
        played.rest(name)
    for _ in range(3):
        await played.look()
        played.tell(is_heard=True)
    last = played.log[-1] if played.log else NOTHING
    for name, tracker in played.trackers.items():
        cursor = tracker.cursors.get("f")
        assert cursor is not None
        if cursor.floor_of:
            assert played.effective(name).place.entry == last


def runs(played: Played, moves: list[tuple[Any, ...]]) -> None:
    trio.run(play, played, moves, clock=trio.testing.MockClock(autojump_threshold=0))


@given(st.lists(moves, max_size=60))
@settings(max_examples=300, deadline=None)
def test_nobody_is_passed_whatever_is_on_its_way(moves: list[tuple[Any, ...]]) -> None:
    runs(Played(3), moves)


def resting(count: int) -> Iterator[tuple[Any, ...]]:
    for number in range(count):
        yield "rest", str(number)
    yield ("keep",)


@pytest.fixture
async def played(request: pytest.FixtureRequest, autojump_clock: trio.testing.MockClock) -> Played:
    """Three sessions, or as many as are asked for, that rest on a floor."""
    count = getattr(request, "param", 3)
    played = Played(count)
    for move, *arguments in resting(count):
        getattr(played, move)(*arguments)
    return played


def said(played: Played) -> list[int]:
    return [played.effective(name).place.entry[0] for name in sorted(played.left)]


async def test_one_floor_says_how_far_all_are(played: Played) -> None:
    for _ in range(4):
        played.come()
    for name, count in (("0", 4), ("1", 3), ("2", 2)):
        for _ in range(count):
            played.over(name, 0)
    before = dict(played.hashes)
    await played.look()
    played.tell(is_heard=True)
    assert said(played) == [2, 2, 2]
    assert played.hashes == before
    assert played.page == {"f": (2, 0)}


async def test_who_lags_is_written_alone_and_comes_back(played: Played) -> None:
    for _ in range(3):
        played.come()
        for name in ("0", "1"):
            played.over(name, 0)
    for _ in range(4):
        await played.look()
        played.tell(is_heard=True)
        await trio.sleep(LAG / 2)
    assert said(played) == [3, 3, 0]
    assert [bool(played.hashes[name].floor_of) for name in "012"] == [True, True, False]
    played.rest("2")
    played.keep()
    assert not played.hashes["2"].floor_of
    for _ in range(3):
        played.over("2", 0)
    played.rest("2")
    played.keep()
    assert played.hashes["2"].floor_of == NODE
    assert said(played) == [3, 3, 3]


async def test_where_many_are_behind_they_rest_for_longer(played: Played) -> None:
    for _ in range(3):
        played.come()
        played.over("0", 0)
    rested: list[int] = []
    for _ in range(30):
        await played.look()
        rested.append(sum(bool(one.floor_of) for one in played.hashes.values()))
        await trio.sleep(LAG / 2)
    # All have to wait for their turn; after ten seconds those that are behind say so themselves.
    assert rested[:20] == [3] * 20
    assert rested[-1] == 1


@pytest.mark.parametrize("played", [1], indirect=True)
async def test_who_has_acknowledged_out_of_order_says_so_itself(played: Played) -> None:
    """Alone, too: else all but the first would come again."""
    for _ in range(5):
        played.come()
    for _ in range(4):
        played.over("0", 1)
    for _ in range(4):
        await played.look()
        await trio.sleep(LAG / 2)
    assert not played.hashes["0"].floor_of
    assert bytes(played.hashes["0"]) == b"0-0;2-0+0~5-0"


@pytest.mark.parametrize("played", [1], indirect=True)
async def test_what_nobody_rests_on_any_more_is_forgotten(played: Played) -> None:
    played.come()
    played.over("0", 0)
    await played.look()
    played.tell(is_heard=True)
    assert played.page
    played.go("0")
    assert played.floors.take_left() == ["f"]
    await played.look()
    assert played.told == ({}, [])  # whether it has left is not kept yet
    await played.look()
    played.tell(is_heard=True)
    assert played.page == {}
    assert not played.floors._floors


@pytest.mark.parametrize("played", [2], indirect=True)
async def test_another_node_has_no_floors_yet(played: Played) -> None:

    def floors_of() -> list[str]:
        cursors = [tracker.cursors.get("f") for tracker in played.trackers.values()]
        return [one.floor_of for one in cursors if one is not None]

    assert floors_of() == [NODE, NODE]
    played.floors.be("")
    assert floors_of() == ["", ""]
    played.rest("0")
    assert floors_of() == ["", ""]
    played.floors.be("n-2")
    played.rest("0")
    assert floors_of() == ["n-2", ""]


@pytest.mark.parametrize("played", [2_500], indirect=True)
async def test_a_look_at_many_lets_others_have_their_turn(played: Played) -> None:
    played.come()
    for name in played.left:
        played.over(name, 0)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await played.look()
        nursery.cancel_scope.cancel()
    assert turns
    played.tell(is_heard=True)
    assert played.page == {"f": (1, 0)}
