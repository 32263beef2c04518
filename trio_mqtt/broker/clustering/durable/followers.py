"""How far this node is in each log that sessions here follow, and what comes next in it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.entries import EntryError
from trio_mqtt.cluster.logs import fits, follows
from trio_mqtt.cluster.positions import NOTHING, EntryId, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_mqtt.broker.clustering.durable.handing import EntryPart, Handing
    from trio_mqtt.broker.clustering.tracker import Tracker
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.logs import Logs

logger = logging.getLogger("trio_mqtt.cluster")


class Follower:
    """A log, as far as this node has it: all up to `last`.

    `sessions` get what comes next; those that are still reading are not among them.
    """

    __slots__ = ("is_behind", "last", "newest", "sessions", "topic_filter")

    def __init__(self, topic_filter: str) -> None:
        self.topic_filter = topic_filter
        self.last: EntryId | None = None  # nobody knows yet
        self.newest = NOTHING  # that this node has heard of
        self.is_behind = False  # and reads what it has not got
        self.sessions: dict[Session, Tracker] = {}


class Followers:
    """The logs that are followed here. `unpack` makes the parts of what an entry holds."""

    def __init__(
        self, logs: Logs, handing: Handing, unpack: Callable[[bytes | memoryview], list[EntryPart]]
    ) -> None:
        self._logs = logs
        self._handing = handing
        self._unpack = unpack
        self._followers: dict[str, Follower] = {}
        self._behind: dict[Follower, None] = {}
        self._wake = trio.Event()
        self.damaged = 0
        self.missed = 0  # times that something was cut off before it was read

    def get(self, topic_filter: str) -> Follower | None:
        """A log that is followed here; None if it is not."""
        return self._followers.get(topic_filter)

    def follow(self, topic_filter: str) -> Follower:
        """A log that is followed here from now on."""
        found = self._followers.get(topic_filter)
        if found is None:
            found = self._followers[topic_filter] = Follower(topic_filter)
        return found

    def forget(self, topic_filter: str) -> None:
        """Nobody here follows a log any more."""
        follower = self._followers.pop(topic_filter, None)
        if follower is not None:
            self._behind.pop(follower, None)

    # -- what comes -----------------------------------------------------------------------------

    def arrived(
        self,
        topic_filter: str,
        entry: EntryId,
        previous: EntryId,
        parts: Callable[[], Sequence[EntryPart]],
    ) -> None:
        """An entry was added to a log, wherever; `parts` makes what it holds."""
        follower = self._followers.get(topic_filter)
        if follower is None:
            return
        follower.newest = max(follower.newest, entry)
        last = follower.last
        if last is None or entry <= last or follower.is_behind:
            return
        if previous != last:
            self._is_behind(follower)
            return
        follower.last = entry
        self.hand(follower, entry, parts)

    def hand(
        self, follower: Follower, entry: EntryId, parts: Callable[[], Sequence[EntryPart]]
    ) -> None:
        """Hand an entry to the sessions that have had all before it."""
        sessions = follower.sessions
        topic_filter = follower.topic_filter
        if any(one.following[topic_filter] >= entry for one in sessions.values()):
            # They have read on further than the node.
            sessions = {
                session: tracker
                for session, tracker in sessions.items()
                if tracker.following[topic_filter] < entry
            }
        if sessions:
            try:
                self._handing.hand(topic_filter, entry, parts(), sessions)
            except EntryError as error:
                self.is_damaged(error)

    def is_damaged(self, error: EntryError) -> None:
        """An entry cannot be read, and is left out."""
        self.damaged += 1
        if self.damaged == 1:
            logger.error("An entry of a log cannot be read, and is left out: %s", error)

    def look(self, topic_filters: Sequence[str] | None = None) -> None:
        """Something may be in logs that this node was not told of: in some of them, or in all."""
        for follower in self._followers.values():
            if follower.last is not None and (
                topic_filters is None or follower.topic_filter in topic_filters
            ):
                self._is_behind(follower)

    def _is_behind(self, follower: Follower) -> None:
        follower.is_behind = True
        self._behind[follower] = None
        self._wake.set()

    async def run(self) -> None:
        """Read what this node was not told of, until cancelled."""
        while True:
            while self._behind:
                follower = next(iter(self._behind))
                try:
                    await self._read(follower)
                except EngineGoneError:
                    await self._logs.wait_returned()
                except EngineRefusedError as error:
                    logger.warning("A log cannot be read: %s", error)
                    await trio.sleep(1)
            self._wake = trio.Event()
            if not self._behind:
                await self._wake.wait()

    async def _read(self, follower: Follower) -> None:
        count = 0
        while follower in self._behind and follower.last is not None:
            place = Place(follower.last)
            newest = follower.newest
            entries = await self._logs.read(follower.topic_filter, place, count=count)
            if follower not in self._behind:
                return
            if not entries and newest < follower.newest:
                continue  # it was added while this was read
            if not entries and newest <= follower.last:
                follower.is_behind = False
                del self._behind[follower]
                return
            if not entries or not follows(entries[0], place):
                self.missed += 1
                logger.warning(
                    "The log of %r was cut off before this node had read all of it.",
                    follower.topic_filter,
                )
                if not entries:
                    follower.last = newest
                    continue
            for entry in entries:
                if entry.entry > follower.last:
                    follower.last = entry.entry
                    self.hand(follower, entry.entry, lambda data=entry.data: self._unpack(data))  # type: ignore[misc]
                    await trio.lowlevel.checkpoint()
                    if follower not in self._behind:
                        return
            count = fits(entries)
