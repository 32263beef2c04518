"""How far one durable session is in the logs of its filters, whatever order its client answers in.

An entry of a log is a list of messages. A session is told of each entry that comes, in the order of
the log, takes the messages that are on their way to its client, by numbers of the node's own, and
hears when they are over. All that is not taken is over at once. What is kept of it is a `Position`:
up to where all is over, and what is over beyond that.

A position may name a node whose *floor* of the log counts for it as well: an entry up to which all
is over for each session that says so. See `broker/clustering/durable/floors.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence

from trio_mqtt.cluster.positions import ALL, NOTHING, EntryId, Place, Position, before

_MANY = 16  # entries of which some may be over, one after the other


class _Entry:
    """An entry of which messages are on their way, or entries one after the other that are over."""

    __slots__ = ("count", "entry", "last", "left", "over")

    def __init__(self, entry: EntryId, count: int) -> None:
        self.entry = self.last = entry
        self.count = count
        self.left = 0  # messages that are not over
        self.over: bytearray | None = None  # of each whether it is; None for all

    def take(self, indexes: Iterable[int]) -> None:
        if self.over is None:
            self.over = bytearray(b"\1" * self.count)
        for index in indexes:
            self.left += self.over[index]
            self.over[index] = 0

    def is_over(self, index: int) -> bool:
        """One of its messages is over; whether that is news."""
        if self.over is None or self.over[index]:
            return False
        self.over[index] = 1
        self.left -= 1
        if not self.left:
            self.over = None
        return True


class Cursor:
    """How far a session is in one log."""

    __slots__ = ("_compact_at", "entries", "floor_of", "furthest", "known", "place", "restored",
                 "topic_filter")  # fmt: skip

    def __init__(self, topic_filter: str, position: Position) -> None:
        self.topic_filter = topic_filter
        self.place = position.place
        # What is over beyond that, as it was kept; until all of it has come.
        self.restored: Position | None = position
        self.known = position  # what was told last
        self.floor_of = position.floor_of
        self.entries: deque[_Entry] = deque()  # that have come, without those that are over
        self._compact_at = _MANY
        self.furthest = NOTHING  # the last entry of which all is over

    def came(self, entry: EntryId, count: int) -> tuple[_Entry, Sequence[int]]:
        restored = self.restored
        left: Sequence[int] = range(count)
        if restored is not None:
            left = restored.left_of(entry, count)
            if entry > max((end.entry for _, end in restored.ranges), default=restored.place.entry):
                self.restored = None
        found = _Entry(entry, count)
        self.entries.append(found)
        return found, left

    def skip(self, entry: EntryId, index: int) -> None:
        """A message that has not come yet is over."""
        known = self.restored or Position(self.place)
        one = Place(entry, index), Place(entry, index + 1)
        self.restored = known._replace(ranges=tuple(sorted((*known.ranges, one), key=_begin)))

    def reached(self) -> EntryId:
        """The entry up to which all is over, itself included."""
        entries = self.entries
        while entries and not entries[0].left:
            self.place = Place(entries.popleft().last)
        if len(entries) >= self._compact_at:
            self._compact()
            self._compact_at = max(_MANY, 2 * len(self.entries))
        entry, messages = self.place
        return entry if messages == ALL else before(entry)

    def position(self) -> Position:
        """How far it is now; what is over need not be remembered one by one any more."""
        entries = self.entries
        while entries and not entries[0].left:
            self.place = Place(entries.popleft().last)
        place = self.place
        ranges: list[tuple[Place, Place]] = []
        if entries:
            over = entries[0].over
            low = over.index(0) if over is not None else 0
            if low:
                place = max(place, Place(entries[0].entry, low), key=_order)
            self._compact()
            ranges += self._ranges()
        if self.restored is not None:
            # What has not come again yet.
            last = Place(entries[-1].last) if entries else place
            ranges += [one for one in self.restored.ranges if one[1].order > last.order]
        return Position(place, tuple(ranges), self.floor_of)

    def _compact(self) -> None:
        """Entries one after the other that are over are one."""
        entries = self.entries
        if sum(not one.left for one in entries) < 2:
            return
        kept: deque[_Entry] = deque()
        for one in entries:
            if not one.left and kept and not kept[-1].left:
                kept[-1].last = one.last
            else:
                kept.append(one)
        self.entries = kept

    def _ranges(self) -> Iterator[tuple[Place, Place]]:
        """What is over beyond the first message that is not."""
        begin: Place | None = None
        for number, one in enumerate(self.entries):
            over = one.over
            if over is None:
                begin = begin or Place(one.entry, 0)
                continue
            index = 0 if number else over.index(0)
            while True:
                if begin is None:
                    index = over.find(1, index)
                    if index < 0:
                        break
                    begin = Place(one.entry, index)
                index = over.find(0, index)
                if index < 0:
                    break  # it goes on with the next entry
                yield begin, Place(one.entry, index)
                begin = None
        if begin is not None:
            yield begin, Place(self.entries[-1].last)


class _Run:
    """Messages of an entry on their way, by numbers one after the other."""

    __slots__ = ("after", "cursor", "entry", "first", "indexes", "left")

    def __init__(self, cursor: Cursor, entry: _Entry, first: int, indexes: Sequence[int]) -> None:
        self.cursor = cursor
        self.entry = entry
        self.first = first
        self.after = first + len(indexes)
        self.indexes = indexes
        self.left = len(indexes)


class Cursors:
    """All cursors of one session."""

    __slots__ = ("_cursors", "_firsts", "_moved", "_runs", "_seen")

    def __init__(self) -> None:
        self._cursors: dict[str, Cursor] = {}
        # Those that have moved since somebody looked, and others that have since they were told.
        self._moved: dict[Cursor, None] = {}
        self._seen: dict[Cursor, None] = {}
        # By the first of their numbers, in ascending order.
        self._firsts: list[int] = []
        self._runs: dict[int, _Run] = {}

    def __contains__(self, topic_filter: str) -> bool:
        return topic_filter in self._cursors

    @property
    def under_way(self) -> int:
        """How many messages are on their way."""
        return sum(run.left for run in self._runs.values())

    def begin(self, topic_filter: str, position: Position) -> None:
        """The session follows a log from a position on."""
        self._cursors[topic_filter] = Cursor(topic_filter, position)

    def end(self, topic_filter: str) -> list[int]:
        """The session follows a log no more; the numbers of what was on its way from there."""
        cursor = self._cursors.pop(topic_filter, None)
        if cursor is None:
            return []
        self._moved.pop(cursor, None)
        self._seen.pop(cursor, None)
        numbers: list[int] = []
        for run in [one for one in self._runs.values() if one.cursor is cursor]:
            numbers += [
                number
                for number, index in enumerate(run.indexes, run.first)
                if run.entry.over is not None and not run.entry.over[index]
            ]
            self._forget(run)
        return numbers

    def came(self, topic_filter: str, entry: EntryId, count: int) -> Sequence[int]:
        """An entry of a log has come, after all before it; which of its messages are not over.

        Those of them that are not taken are over.
        """
        cursor = self._cursors[topic_filter]
        self._moved[cursor] = None
        return cursor.came(entry, count)[1]

    def take(self, topic_filter: str, first: int, indexes: Sequence[int]) -> None:
        """Messages of the entry that came last are on their way; their numbers begin at `first`."""
        cursor = self._cursors[topic_filter]
        entry = cursor.entries[-1]
        entry.take(indexes)
        self._runs[first] = _Run(cursor, entry, first, indexes)
        firsts = self._firsts
        if not firsts or firsts[-1] < first:
            firsts.append(first)
        else:
            firsts.insert(bisect_right(firsts, first), first)

    def over(self, numbers: Collection[int]) -> list[int]:
        """Messages have reached the client, or never will; those numbers that are of no log."""
        others: list[int] = []
        run: _Run | None = None
        for number in numbers:
            if run is None or not run.first <= number < run.after:
                run = self._run(number)
            if run is None:
                others.append(number)
                continue
            entry = run.entry
            if entry.is_over(run.indexes[number - run.first]):
                run.left -= 1
                self._moved[run.cursor] = None
                if not entry.left and entry.entry > run.cursor.furthest:
                    run.cursor.furthest = entry.entry
            if not run.left:
                self._forget(run)
                run = None
        return others

    def skip(self, topic_filter: str, entry: EntryId, index: int) -> None:
        """A message of an entry that is still to come is over."""
        cursor = self._cursors.get(topic_filter)
        if cursor is not None:
            cursor.skip(entry, index)
            self._moved[cursor] = None

    def place(self, number: int) -> tuple[str, EntryId, int] | None:
        """Which message a number is: the filter of the log, the entry, and the message in it."""
        run = self._run(number)
        if run is None:
            return None
        return run.cursor.topic_filter, run.entry.entry, run.indexes[number - run.first]

    def get(self, topic_filter: str) -> Cursor | None:
        """That of a log which the session follows; None if it does not."""
        return self._cursors.get(topic_filter)

    def all(self) -> list[Cursor]:
        """Those of all logs that the session follows."""
        return list(self._cursors.values())

    def rests_on(self, cursor: Cursor, node: str) -> None:
        """The floor of a node counts for a cursor from now on; that of none, if it is empty."""
        cursor.floor_of = node
        self._moved[cursor] = None

    def look(self) -> list[Cursor]:
        """The cursors that have moved since somebody looked, and rest on a floor."""
        moved, self._moved = self._moved, {}
        self._seen.update(moved)
        return [cursor for cursor in moved if cursor.floor_of]

    def on_their_own(self) -> list[Cursor]:
        """Those that have moved since they were told, and rest on none."""
        return [cursor for cursor in self._seen if not cursor.floor_of]

    def moved(self) -> dict[str, Position]:
        """The cursors that have moved since this was asked, and where they are."""
        found: dict[str, Position] = {}
        for cursor in {**self._seen, **self._moved}:
            position = cursor.position()
            if position != cursor.known:
                cursor.known = position
                found[cursor.topic_filter] = position
        # What rests on a floor moves that too, for which somebody looks.
        self._moved = {cursor: None for cursor in self._moved if cursor.floor_of}
        self._seen.clear()
        return found

    def position(self, topic_filter: str) -> Position:
        """Where a cursor is."""
        return self._cursors[topic_filter].position()

    def _run(self, number: int) -> _Run | None:
        at = bisect_right(self._firsts, number) - 1
        if at < 0:
            return None
        run = self._runs[self._firsts[at]]
        return run if number < run.after else None

    def _forget(self, run: _Run) -> None:
        del self._runs[run.first]
        firsts = self._firsts
        if firsts[0] == run.first:
            del firsts[0]
        else:
            del firsts[bisect_right(firsts, run.first) - 1]


def _begin(pair: tuple[Place, Place]) -> tuple[EntryId, float]:
    return pair[0].order


def _order(place: Place) -> tuple[EntryId, float]:
    return place.order
