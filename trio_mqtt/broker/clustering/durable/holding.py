"""Which sessions here have which filters and follow which logs, and what that waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import trio

from trio_mqtt.broker.clustering.durable.registering import Registering, over
from trio_mqtt.broker.clustering.tracker import Tracker, releasing_of
from trio_mqtt.broker.promises import Awaited, all_of
from trio_mqtt.broker.sessions.subscription import Subscription
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.durable.floors import Floors
    from trio_mqtt.broker.clustering.durable.followers import Followers
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.positions import EntryId, Position

_OWN = "$SYS/"  # topics that each node has of its own begin with this


class _Releasing(NamedTuple):
    """A session that has a filter no more, which the engine knows once a group is kept."""

    session: Session
    epoch: int
    group: int


class Holding:
    """What parts of this node agree on that have to do with a session's logs."""

    def __init__(
        self,
        journal: ClusterJournal,
        registering: Registering,
        followers: Followers,
        floors: Floors,
    ) -> None:
        self._journal = journal
        self._registering = registering
        self._followers = followers
        self._floors = floors
        # Tasks of sessions, while this runs.
        self.nursery: trio.Nursery | None = None
        # What is over once what a session here has asked for is known everywhere.
        self._placing: dict[Session, dict[Subscription | Session, Awaited]] = {}
        # Sessions whose filters are to be released, by filter and key.
        self._released: dict[str, dict[str, _Releasing]] = {}
        # Those of which that is being done, so that what is asked for again comes after it.
        self._releasing: dict[str, Awaited] = {}
        self._wake = trio.Event()

    def tracker(self, session: Session) -> Tracker:
        """How far a session is."""
        trackers = self._journal.trackers
        found = trackers.get(session.number)
        if found is None:
            found = trackers[session.number] = Tracker(session)
        return found

    def is_here(self, tracker: Tracker) -> bool:
        """Whether a session has not gone."""
        return self._journal.trackers.get(tracker.session.number) is tracker

    def is_wanted(self, tracker: Tracker, text: str, token: object) -> bool:
        """Whether a session is here still, and follows a log since it was given a token for it."""
        return (
            self.is_here(tracker) and text in tracker.cursors and tracker.tokens.get(text) is token
        )

    # -- what is over once all know it -----------------------------------------------------------

    def known(self, session: object = None) -> Awaited | None:
        """What is over once all is known that was placed for a session, or for any; None if it is.

        What another waits for is no matter of a session's own.
        """
        if session is None:
            return all_of(one for each in self._placing.values() for one in each.values())
        placing = self._placing.get(cast("Session", session))
        return None if placing is None else all_of(placing.values())

    def begins(self, session: Session, what: Subscription | Session) -> Awaited:
        """Something is to be known everywhere, of a session."""
        awaited = Awaited()
        self._placing.setdefault(session, {})[what] = awaited
        return awaited

    def has_begun(self, session: Session, what: Subscription | Session, awaited: Awaited) -> None:
        """It is, or will not be."""
        awaited.end()
        placing = self._placing.get(session, {})
        if placing.get(what) is awaited:
            del placing[what]
            if not placing:
                del self._placing[session]

    # -- cursors --------------------------------------------------------------------------------

    def begin_cursor(self, tracker: Tracker, text: str, position: Position) -> None:
        """A session follows a log from a position on, which is written with all that it has."""
        tracker.cursors.begin(text, position)
        cursor = tracker.cursors.get(text)
        if cursor is not None:
            self._floors.rest(tracker, cursor)
        self._journal.cursor_began(tracker, text, tracker.cursors.position(text))

    def no_longer_follows(self, tracker: Tracker, text: str, *, is_over: bool) -> None:
        """A session does not follow a log any more; `is_over`: nor does it have the filter."""
        tracker.tokens.pop(text, None)
        cursor = tracker.cursors.get(text)
        if cursor is not None:
            self._floors.leave(tracker, cursor)
        numbers = tracker.cursors.end(text)
        if is_over:
            self._journal.no_longer_in_log(tracker, numbers)
        if tracker.taken is not None:
            tracker.taken.set()  # who reads for it looks again
        if tracker.following.pop(text, None) is not None:
            follower = self._followers.get(text)
            if follower is not None:
                follower.sessions.pop(tracker.session, None)
            self._registering.no_longer_follows(text)
        if is_over:
            self._journal.cursor_ended(tracker, text)
            self.release(text, tracker.session)

    # -- who has a filter -----------------------------------------------------------------------

    async def until_kept(self) -> None:
        """Wait until the engine has what sessions have asked for so far.

        Before a log holds a filter for a session, the session says that it has it: if this node
        dies in between, whoever has the session next, or ends it, comes upon that.
        """
        try:
            await self._journal.until_kept()
        except StoreError:
            await trio.sleep_forever()  # the broker ends

    async def hold(self, text: str, session: Session) -> EntryId:
        """A session has a filter: not what it may have said before counts."""
        if self._released.get(text, {}).pop(session.key, None) is not None:
            self.has_released(text, session)
        await over(self._releasing.get(text))
        epoch = self._journal.epoch_of(session.number) or 0
        return await self._registering.hold(text, session.key, epoch)

    def release(self, text: str, session: Session) -> None:
        """A session has a filter no more; where another node has it by now, that says so.

        Its log lets go of what was for it only once the session is kept without the filter: whoever
        takes it over before that finds all there. And if this node dies in between, the session
        says that it is still to be done.
        """
        journal = self._journal
        epoch = journal.epoch_of(session.number)
        if epoch is not None:
            group = journal.write(session, {releasing_of(text): b""})
            self._released.setdefault(text, {})[session.key] = _Releasing(session, epoch, group)
            self._wake.set()

    def has_released(self, text: str, session: Session) -> None:
        """Its log knows that a session has a filter no more; or it has it again."""
        self._journal.write(session, {releasing_of(text): None}, is_urgent=False)

    async def run(self) -> None:
        """Say which sessions have which filter no more, until cancelled."""
        while True:
            self._wake = trio.Event()
            if not self._released:
                await self._wake.wait()
            try:
                await self._journal.until_kept()
            except StoreError:
                await trio.sleep_forever()  # the broker ends
            for text in list(self._released):
                await self._release(text, self._journal.kept)

    async def _release(self, text: str, kept: int) -> None:
        """Say so of those sessions of which the engine knows it."""
        waiting = self._released.get(text, {})
        ready = {key: one for key, one in waiting.items() if one.group <= kept}
        for key in ready:
            del waiting[key]
        if not waiting:
            self._released.pop(text, None)
        # Where that was not kept, another node has the session, with its filter.
        is_lost = self._journal.is_lost
        keys = {key: one.epoch for key, one in ready.items() if not is_lost(one.session.number)}
        if not keys:
            return
        awaited = self._releasing[text] = Awaited()
        try:
            await self._registering.release(text, keys)
        finally:
            del self._releasing[text]
            awaited.end()
        again = self._released.get(text, {})
        for key in keys:
            if key not in again:
                self.has_released(text, ready[key].session)


def is_durable(session: Session) -> bool:
    """Whether a session outlives its connections; while it is restored it has no journal yet."""
    return bool(session.number) and (session.journal is not None or session.expiry_interval > 0)


def is_logged(subscription: Subscription) -> bool:
    """Whether messages of QoS 1 and 2 come to a subscription from a log."""
    return bool(subscription.target.qos) and not subscription.topic_filter.plain.startswith(_OWN)
