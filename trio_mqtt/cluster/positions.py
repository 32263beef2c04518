"""Places in the logs of topic filters, and how far a session is in one of them. Sans-IO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

EntryId: TypeAlias = tuple[int, int]
"""Of an entry in a stream: milliseconds, and a number among those of the same millisecond."""

NOTHING: EntryId = (0, 0)  # before all entries
ALL = -1  # in place of a number of messages: however many an entry has


def entry_id(text: bytes | str) -> EntryId:
    """Raises ValueError where that is none."""
    milliseconds, _, number = (text.decode() if isinstance(text, bytes) else text).partition("-")
    return int(milliseconds), int(number or 0)


def before(entry: EntryId) -> EntryId:
    """The last that may come before an entry."""
    milliseconds, number = entry
    return (milliseconds, number - 1) if number else (milliseconds - 1, (1 << 64) - 1)


def entry_text(entry: EntryId) -> str:
    """An entry as the engine names it."""
    return f"{entry[0]}-{entry[1]}"


class Place(NamedTuple):
    """Between two messages of a log: `messages` of an entry come before it; -1 is all."""

    entry: EntryId
    messages: int = ALL

    @property
    def order(self) -> tuple[EntryId, float]:
        """Sorts places of one log."""
        return self.entry, float("inf") if self.messages == ALL else self.messages

    def __str__(self) -> str:
        text = entry_text(self.entry)
        return text if self.messages == ALL else f"{text}+{self.messages}"

    @classmethod
    def parsed(cls, text: str) -> Place:
        """Raises ValueError where that is none."""
        entry, _, count = text.partition("+")
        return cls(entry_id(entry), int(count) if count else ALL)


class Position(NamedTuple):
    """How far a session is: all before `place` is over, and beyond it what `ranges` say.

    So is all up to the floor that the node `floor_of` has told, where there is one.
    """

    place: Place
    ranges: tuple[tuple[Place, Place], ...] = ()
    floor_of: str = ""

    @classmethod
    def after(cls, entry: EntryId) -> Position:
        """All up to this entry is over, itself included."""
        return cls(Place(entry))

    def __bytes__(self) -> bytes:
        parts = [str(self.place), *(f"{begin}~{end}" for begin, end in self.ranges)]
        text = ";".join(parts)
        return (f"{text}@{self.floor_of}" if self.floor_of else text).encode()

    @classmethod
    def parsed(cls, data: bytes) -> Position:
        """Raises ValueError where that is none."""
        text, _, floor_of = data.decode().partition("@")
        place, *ranges = text.split(";")
        pairs = (one.partition("~") for one in ranges)
        return cls(
            Place.parsed(place),
            tuple((Place.parsed(begin), Place.parsed(end)) for begin, _, end in pairs),
            floor_of,
        )

    def above(self, floor: EntryId) -> Position:
        """It where all up to a floor is over too; from there on it is the session's own."""
        place = max(self.place, Place(floor), key=_order)
        ranges = tuple(one for one in self.ranges if one[1].order > place.order)
        return Position(place, ranges)

    def left_of(self, entry: EntryId, count: int) -> Sequence[int]:
        """Which of the `count` messages of an entry are not over."""
        if entry < self.place.entry:
            return ()
        first = 0
        if entry == self.place.entry:
            first = count if self.place.messages == ALL else min(self.place.messages, count)
        left: Sequence[int] = range(first, count)
        for begin, end in self.ranges:
            if end.entry < entry or begin.entry > entry:
                continue
            start = 0
            if begin.entry == entry:
                start = count if begin.messages == ALL else begin.messages
            stop = count
            if end.entry == entry and end.messages != ALL:
                stop = end.messages
            left = [index for index in left if not start <= index < stop]
        return left


def _order(place: Place) -> tuple[EntryId, float]:
    return place.order
