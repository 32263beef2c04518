"""How far all those sessions here are that keep up with a log: what one write says of all of them.

A session's own position says how far it is. To write a thousand of them ten times a second is dear;
so a session that keeps up with its log **rests** on the floor of its node: its position, as it was
when it came to do so, names the node, and what counts is that or the node's floor of the log,
whichever is further. The floor is an entry up to which all is over for everybody who rests on it:
QoS 1 may be repeated from there after a crash, nothing is lost. What must not come twice is written
with the session itself, and its position with it: QoS 2 is never repeated.

What holds at each moment, whatever is on its way to the engine: *the floor of a node is never
beyond what is over for a session whose hash names it.*

- **A session comes to rest** only where it is beyond all floors that were ever told, or are about
  to be. From the moment at which that is gathered, before it is kept, the next floor counts it.
- **A session leaves the floor**: it lags, unsubscribes, ends, or goes with its client. Its own
  position is gathered; until that is kept the floor still counts it, as it was then.
- **The node dies between two writes**: each session is where its hash and the last floor say. What
  was acknowledged later comes again.
- **Another node takes the session** while this one dies: it reads the position, then the floor.
  Where that is told in between, it is true all the same, as who acknowledged that was this session.
  It writes the position as its own. Whoever buries the dead node does so for all others
  (`SessionStore.free`), unless they have moved meanwhile; then the floors are needed no more, and
  last for some days for who has read a position before.
- **The node was taken for dead** and goes on: floors are written under its lease, and named by its
  identifier. As another node it has none, and nobody rests on any.
- **A log lets go** of what is over for all who have its filter: of who rests on a floor, once both
  its hash and the floor are kept.
- **Nobody rests on a floor any more**: the engine forgets it. Until that is known it counts for who
  comes: to be beyond a floor that is gone does no harm.
- **A floor is told after** all that was gathered before it: whatever it is beyond is written.

One session that is behind holds up all. After a second behind those that are furthest, it leaves
the floor and is written by itself; once it is with them, it comes back. Where many are, all have to
wait for their turn: then they leave after ten seconds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import trio

from trio_mqtt.cluster.positions import NOTHING, EntryId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.tracker import Tracker
    from trio_mqtt.cluster.cursors import Cursor

LAG = 1.0  # seconds behind those that are furthest, after which a session is written by itself
_FAR = 10.0  # and after which many are
_FEW = 8  # of as many, one may be behind; and one always
_AT_ONCE = 1_000  # sessions that are looked at in one turn


class _Resting(NamedTuple):
    """A session whose cursor rests on a floor, and in which group of the journal that is said."""

    tracker: Tracker
    group: int


class _Floor:
    """That of one log. `told` is the furthest that was told, or is about to be; `kept` is told."""

    __slots__ = ("done", "fronts", "kept", "leaving", "new", "resting", "told")

    def __init__(self) -> None:
        self.told = self.kept = self.done = NOTHING
        self.resting: dict[Cursor, _Resting] = {}
        # Those that rest on it no more, until the group is kept in which that is said.
        self.leaving: dict[Cursor, int] = {}
        # Those that came while it was being looked at.
        self.new: dict[Cursor, None] = {}
        # When a session was the first beyond an entry, for as long as that matters.
        self.fronts: deque[tuple[float, EntryId]] = deque()

    @property
    def front(self) -> EntryId:
        """The furthest that a session was."""
        return self.fronts[-1][1] if self.fronts else NOTHING

    def front_before(self, moment: float) -> EntryId:
        """The furthest that a session was then."""
        found = NOTHING
        for at, entry in self.fronts:
            if at > moment:
                break
            found = entry
        return found

    def is_further(self, now: float, entry: EntryId) -> None:
        """A session is beyond an entry."""
        if entry <= self.front:
            return
        self.fronts.append((now, entry))
        while len(self.fronts) > 1 and self.fronts[1][0] <= now - _FAR:
            self.fronts.popleft()


class Floors:
    """The floors of this process, as the node that it is; without one nobody rests on any."""

    def __init__(self, journal: ClusterJournal) -> None:
        self._journal = journal
        self.node = ""
        self._floors: dict[str, _Floor] = {}
        self._left: dict[str, None] = {}  # floors that somebody has left

    def be(self, node: str) -> None:
        """This process is this node from now on, and has none of the floors that it had."""
        if node == self.node:
            return
        floors, self._floors, self.node = self._floors, {}, node
        self._left.clear()
        for floor in floors.values():
            for cursor, (tracker, _) in floor.resting.items():
                tracker.cursors.rests_on(cursor, "")
                self._journal.moved.add(tracker.session.number)

    def rest(self, tracker: Tracker, cursor: Cursor) -> bool:
        """Have a session rest on the floor of a log, if it is beyond; the caller writes that."""
        if not self.node:
            return False
        floor = self._floors.get(cursor.topic_filter)
        if floor is None:
            floor = self._floors[cursor.topic_filter] = _Floor()
        reached = cursor.reached()
        if reached < floor.told:
            return False
        if reached < floor.front_before(trio.current_time() - LAG):
            return False
        # Until it is kept that it has left, it must not count for two.
        if cursor in floor.leaving:
            return False
        tracker.cursors.rests_on(cursor, self.node)
        floor.resting[cursor] = _Resting(tracker, self._journal.group)
        floor.new[cursor] = None
        return True

    def leave(self, tracker: Tracker, cursor: Cursor) -> None:
        """Have a session say itself how far it is; the caller writes that with this group."""
        floor = self._floors.get(cursor.topic_filter)
        if floor is None or cursor not in floor.resting:
            return
        del floor.resting[cursor]
        floor.new.pop(cursor, None)
        floor.leaving[cursor] = self._journal.group
        tracker.cursors.rests_on(cursor, "")
        self._left[cursor.topic_filter] = None
        self._journal.moved.add(
            tracker.session.number
        )  # so that somebody looks, if only at the floor

    def leave_all(self, tracker: Tracker) -> None:
        """A session goes: see `leave`."""
        for cursor in tracker.cursors.all():
            if cursor.floor_of:
                self.leave(tracker, cursor)

    # -- what is told ---------------------------------------------------------------------------

    def take_left(self) -> list[str]:
        """The logs of which somebody has left the floor since this was asked."""
        left, self._left = self._left, {}
        return list(left)

    async def look(self, topic_filter: str) -> tuple[list[Tracker], bool]:
        """See how far those are that rest on a floor: those among them that lag, which leave it,
        and whether all others are as far as the furthest.
        """
        floor = self._floors.get(topic_filter)
        if floor is None:
            return [], True
        now = trio.current_time()
        then, long_ago = floor.front_before(now - LAG), floor.front_before(now - _FAR)
        lagging: list[Cursor] = []
        lowest: EntryId | None = None
        floor.new.clear()
        furthest = NOTHING
        for count, cursor in enumerate(list(floor.resting), 1):
            reached = cursor.reached()
            if lowest is None or reached < lowest:
                lowest = reached
            if reached < then:
                lagging.append(cursor)
            furthest = max(furthest, reached, cursor.furthest)
            if not count % _AT_ONCE:
                await trio.lowlevel.checkpoint()
        kept = self._journal.kept
        for cursor, group in list(floor.leaving.items()):
            if group <= kept:
                del floor.leaving[cursor]
        for cursor in (*floor.leaving, *floor.new):
            lowest = min(cursor.reached(), lowest or cursor.reached())
        if self._floors.get(topic_filter) is not floor:
            return [], True  # this is another node by now
        floor.is_further(now, furthest)
        if lowest is not None and lowest > floor.told:
            floor.told = lowest
        if len(lagging) > max(1, len(floor.resting) // _FEW):
            lagging = [cursor for cursor in lagging if cursor.reached() < long_ago]
        found: list[Tracker] = []
        for cursor in lagging:
            one = floor.resting.get(cursor)
            if one is not None:
                self.leave(one.tracker, cursor)
                found.append(one.tracker)
        return found, not floor.leaving and (lowest is None or lowest >= floor.front)

    def to_tell(self, topic_filters: Iterable[str]) -> tuple[dict[str, EntryId], list[str]]:
        """Of logs that were looked at, the floors to be told; and those that nobody needs."""
        told: dict[str, EntryId] = {}
        gone: list[str] = []
        for text in topic_filters:
            floor = self._floors.get(text)
            if floor is None:
                continue
            if floor.resting:
                if floor.told > floor.kept:
                    told[text] = floor.told
            elif not floor.leaving:
                gone.append(text)
        return told, gone

    def are_told(self, node: str, told: dict[str, EntryId], gone: list[str]) -> None:
        """The engine has these floors of a node, and those not any more."""
        if node != self.node:
            return
        for text, entry in told.items():
            floor = self._floors.get(text)
            if floor is not None:
                floor.kept = entry
        for text in gone:
            floor = self._floors.get(text)
            if floor is not None:
                floor.kept = NOTHING
                if not floor.resting and not floor.leaving:
                    del self._floors[text]

    async def tell_done(self) -> None:
        """Have the journal know up to where sessions are done with logs by floors that are kept."""
        journal, count = self._journal, 0
        for text, floor in list(self._floors.items()):
            count += 1
            if not count % _AT_ONCE:
                await trio.lowlevel.checkpoint()
            if floor.kept <= floor.done:
                continue
            floor.done, kept = floor.kept, journal.kept
            for tracker, group in list(floor.resting.values()):
                session = tracker.session
                if group <= kept and not journal.is_lost(session.number):
                    journal.done.add(text, session.key, floor.done)
                count += 1
                if not count % _AT_ONCE:
                    await trio.lowlevel.checkpoint()
