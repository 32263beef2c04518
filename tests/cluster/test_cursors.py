"""Cursors of one session: nothing that is not over is lost, nothing that is over comes again."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_mqtt.cluster.cursors import Cursors
from trio_mqtt.cluster.positions import NOTHING, EntryId, Place, Position, entry_id

Message: TypeAlias = tuple[EntryId, int]


def replayed(position: Position, log: dict[EntryId, int]) -> list[Message]:
    """What a session is handed that reads a log from a kept position on."""
    cursors = Cursors()
    cursors.begin("f", Position.parsed(bytes(position)))
    found: list[Message] = []
    for entry, count in log.items():
        if entry >= position.place.entry:
            found += [(entry, index) for index in cursors.came("f", entry, count)]
    return found


class Played:
    """A session that takes messages of a log, and the same by a simple account of its own."""

    def __init__(self, position: Position = Position(Place(NOTHING))) -> None:  # noqa: B008
        self.cursors = Cursors()
        self.cursors.begin("f", position)
        self.log: dict[EntryId, int] = {}
        self.left: dict[int, Message] = {}
        self.number = 0

    def come(self, count: int, taken: set[int]) -> None:
        entry = (1 + len(self.log) // 3, len(self.log) % 3)
        self.log[entry] = count
        self.resume(entry, taken)

    def resume(self, entry: EntryId, taken: set[int]) -> None:
        not_over = self.cursors.came("f", entry, self.log[entry])
        indexes = [index for index in not_over if index in taken]
        if indexes:
            self.cursors.take("f", self.number + 1, indexes)
            for index in indexes:
                self.number += 1
                self.left[self.number] = entry, index

    def over(self, numbers: list[int]) -> None:
        assert self.cursors.over(numbers) == []
        for number in numbers:
            del self.left[number]


entries = st.lists(st.tuples(st.integers(1, 6), st.sets(st.integers(0, 5))), max_size=8)


@given(entries=entries, data=st.data())
def test_what_is_kept_says_exactly_what_is_left(
    entries: list[tuple[int, set[int]]], data: st.DataObject
) -> None:
    played = Played()
    for count, taken in entries:
        played.come(count, taken)
        numbers = data.draw(st.lists(st.sampled_from(sorted(played.left) or [0]), unique=True))
        played.over([number for number in numbers if number])
        if data.draw(st.booleans()):
            played.cursors.moved()
        position = played.cursors.position("f")
        assert replayed(position, played.log) == sorted(played.left.values())
        assert played.cursors.under_way == len(played.left)


@given(entries=entries, data=st.data())
def test_what_was_kept_is_taken_up_and_kept_again(
    entries: list[tuple[int, set[int]]], data: st.DataObject
) -> None:
    first = Played()
    for count, taken in entries:
        first.come(count, taken)
    numbers = data.draw(st.lists(st.sampled_from(sorted(first.left) or [0]), unique=True))
    first.over([number for number in numbers if number])
    position = first.cursors.position("f")
    second = Played(position)
    second.log = first.log
    come = data.draw(st.integers(0, len(first.log)))
    for entry in [one for one in first.log if one >= position.place.entry][:come]:
        second.resume(entry, set(range(6)))
    numbers = data.draw(st.lists(st.sampled_from(sorted(second.left) or [0]), unique=True))
    over = [second.left[number] for number in numbers if number]
    second.over([number for number in numbers if number])
    left = [one for one in sorted(first.left.values()) if one not in over]
    assert replayed(second.cursors.position("f"), first.log) == left


def test_a_client_that_never_answers_one_message_costs_one_range() -> None:
    played = Played()
    played.come(2, {0, 1})
    for _ in range(200):
        played.come(2, {0, 1})
        played.over([played.number - 1, played.number])
    position = played.cursors.moved()["f"]
    assert len(position.ranges) == 1
    assert len(bytes(position)) < 60
    assert len(played.cursors._cursors["f"].entries) == 2


def test_a_cursor_is_told_when_it_moves_and_not_again() -> None:
    played = Played()
    played.come(3, {1, 2})
    assert played.cursors.moved() == {"f": Position(Place((1, 0), 1))}
    assert played.cursors.moved() == {}
    played.over([2])
    assert str(played.cursors.moved()["f"].ranges) != "()"
    played.over([1])
    assert played.cursors.moved() == {"f": Position.after((1, 0))}


def test_numbers_of_no_log_are_said() -> None:
    played = Played()
    played.come(1, {0})
    assert played.cursors.over([7, 1, 9]) == [7, 9]


def test_what_is_over_before_it_comes_is_over_when_it_does() -> None:
    played = Played()
    played.log = {(1, 0): 3, (1, 1): 1}
    played.cursors.skip("f", (1, 0), 1)
    played.cursors.skip("f", (1, 1), 0)
    played.cursors.skip("f", (1, 0), 0)
    assert replayed(played.cursors.moved()["f"], played.log) == [((1, 0), 2)]
    played.resume((1, 0), {0, 1, 2})
    assert played.left == {1: ((1, 0), 2)}
    played.over([1])
    assert replayed(played.cursors.moved()["f"], played.log) == []


def test_the_end_of_a_cursor_says_what_was_on_its_way() -> None:
    played = Played()
    played.come(3, {0, 1, 2})
    played.over([2])
    assert played.cursors.end("f") == [1, 3]
    assert played.cursors.end("f") == []
    assert "f" not in played.cursors
    assert played.cursors.over([1]) == [1]


def test_a_number_says_which_message_it_is() -> None:
    played = Played()
    played.come(2, {1})
    played.come(2, {0, 1})
    assert played.cursors.place(3) == ("f", (1, 1), 1)
    played.over([1])
    assert played.cursors.place(1) is None
    assert played.cursors.place(4) is None


@pytest.mark.parametrize("text", ["1-2", "1-2+3", "1-2+0"])
def test_a_place_is_written_and_read(text: str) -> None:
    assert str(Place.parsed(text)) == text


def test_an_entry_is_read_as_the_engine_writes_it() -> None:
    assert entry_id(b"12-3") == entry_id("12-3") == (12, 3)
    with pytest.raises(ValueError, match="invalid"):
        Place.parsed("x")
