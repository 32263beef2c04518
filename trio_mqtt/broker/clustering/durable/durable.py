"""Messages for durable sessions, as one node has to do with them: all parts of it together."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, TypeGuard, cast

import trio

from trio_mqtt.broker.clustering.durable.catching_up import CatchingUp
from trio_mqtt.broker.clustering.durable.followers import Follower, Followers
from trio_mqtt.broker.clustering.durable.handing import EntryPart, Handing
from trio_mqtt.broker.clustering.durable.local import Direct
from trio_mqtt.broker.clustering.durable.log_writer import LogWriter
from trio_mqtt.broker.clustering.durable.registering import Registering, over
from trio_mqtt.broker.clustering.durable.shares import Shares
from trio_mqtt.broker.clustering.durable.under_way import UnderWay
from trio_mqtt.broker.clustering.tracker import (
    RECEIVED,
    Tracker,
    inline_of,
    positions_of,
    under_way_of,
)
from trio_mqtt.broker.promises import Awaited, all_of
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.router import Router
from trio_mqtt.broker.sessions.subscription import Subscription
from trio_mqtt.cluster.additions import Additions
from trio_mqtt.cluster.cursors import NOTHING, EntryId, Position
from trio_mqtt.cluster.durable_filters import DURABLE, DurableFilters, decode_durable
from trio_mqtt.cluster.engine.calls import EngineFencedError, EngineGoneError, number_of
from trio_mqtt.cluster.items import COPY, MISSED, decode_text
from trio_mqtt.cluster.log_entries import Copy, decode_copy, decode_logged, encode_copy
from trio_mqtt.cluster.logs import Logs
from trio_mqtt.cluster.membership import Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trio_mqtt.broker.clustering.arrivals import Arrivals
    from trio_mqtt.broker.clustering.following import Following
    from trio_mqtt.broker.clustering.interests import Interests
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.others import Others
    from trio_mqtt.broker.clustering.travelling import Travel
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.routing.target import Recipient
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.additions import Added
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.logs import Appended
    from trio_mqtt.cluster.storage import ClusterStorage

logger = logging.getLogger("trio_mqtt.cluster")

SHARE = "$share/"
_OWN = "$SYS/"  # topics that each node has of its own begin with this
_DONE = 5.0  # seconds between two times that logs are told what nobody needs any more
_MOVED = 0.1  # seconds that a cursor moves before it is written


class Durable(Part):
    """The durable sessions of this node, and the logs that they follow."""

    def __init__(
        self,
        core: Core,
        engine: Engine,
        journal: ClusterJournal,
        interests: Interests,
        others: Others,
        travel: Travel,
    ) -> None:
        self._core = core
        self._engine = engine
        self._journal = journal
        self._others = others
        self._interests = interests
        self._placed: set[Recipient] = set()
        # Members of shared subscriptions whose messages wait for their sessions too.
        self._sharing: set[Subscription] = set()
        # Subscriptions that were granted QoS 0: nothing waits for them, and there is no log.
        self._plain: set[Subscription] = set()
        self._travel = travel
        self._filters = DurableFilters(engine)
        self.logs = Logs(engine)
        self.router = Router(core.limits, core.statistics, core.options)
        self.writer = LogWriter(core.router, journal, journal)
        self.direct = Direct(core.router, self.router)
        handing = Handing(self.router, journal)
        self.followers = Followers(self.logs, handing, self.unpack)
        self.registering = Registering(
            engine, self.logs, self._filters, interests, self.followers, self.writer
        )
        self.shares = Shares(engine, self.logs, core.router, journal, interests, self.unpack)
        self.registering.shared = self.shares.is_logged
        self.catching_up = CatchingUp(
            engine, self.logs, self.followers, handing, self.unpack, core.limits
        )
        self._under_way = UnderWay(self.logs, journal, self.unpack, travel)
        self.cut_off = 0
        """Sessions for which messages waited that a log had to let go of."""
        # Tasks of sessions, while this runs.
        self._nursery: trio.Nursery | None = None
        self._scopes: dict[Session, trio.CancelScope] = {}
        # What is over once what a session here has asked for is known everywhere.
        self._placing: dict[Session, dict[Subscription | Session, Awaited]] = {}
        # Sessions whose filters are to be released, by filter.
        self._released: dict[str, dict[str, int]] = {}
        # Those of which that is being done, so that what is asked for again comes after it.
        self._releasing: dict[str, Awaited] = {}
        self._wake = trio.Event()

    def bind(self, storage: ClusterStorage, following: Following, arrivals: Arrivals) -> None:
        """Have a part in what is kept, and in what comes."""
        storage.additions = Additions(self.logs)
        storage.added = self.added
        self._journal.epoch_of = storage.epoch_of
        self.shares.is_lost = storage.is_lost
        following.loaders.append(self._load)
        following.handlers[DURABLE] = partial(self._on_durable, following)
        arrivals.handlers[COPY] = self._on_copy
        arrivals.handlers[MISSED] = self._on_missed
        arrivals.direct = self.direct.take

    # -- subscriptions --------------------------------------------------------------------------

    def takes(self, subscription: Recipient) -> TypeGuard[Subscription]:
        """Whether a subscription is of a durable session, and so stands here."""
        return (
            isinstance(subscription, Subscription)
            and _is_durable(cast("Session", subscription.session))
            and not subscription.topic_filter.share
        )

    def came(self, session: Session) -> None:
        """A session is one that is kept from now on, under its number."""
        if _is_durable(session):
            self.tracker(session)

    def has(self, subscription: Recipient) -> TypeGuard[Subscription]:
        """Whether a subscription was placed here."""
        return subscription in self._placed

    def tracker(self, session: Session) -> Tracker:
        """How far a session is."""
        trackers = self._journal.trackers
        found = trackers.get(session.number)
        if found is None:
            found = trackers[session.number] = Tracker(session)
        return found

    def place(self, subscription: Subscription) -> None:
        """From now on messages reach a subscription; placing it again takes its new options."""
        session = cast("Session", subscription.session)
        self._placed.add(subscription)
        self.router.add(subscription)
        self.direct.want(subscription)
        tracker = self.tracker(session)
        text = subscription.topic_filter.text
        if not _is_logged(subscription):
            if subscription not in self._plain:
                self._plain.add(subscription)
                self._interests.add(subscription.topic_filter)
            if text in tracker.cursors:
                self._no_longer_follows(tracker, text, is_over=True)
            return
        self._no_longer_plain(subscription)
        if text in tracker.cursors or session.journal is None or self._nursery is None:
            return  # it goes on as before, or will be told how
        awaited = self._begins(session, subscription)
        token = tracker.tokens[text] = object()
        tracker.cursors.begin(text, Position.after(NOTHING))
        self._nursery.start_soon(self._begin, subscription, tracker, token, awaited)

    def place_member(self, subscription: Recipient) -> None:
        """A member of a shared subscription is here: with a durable one, messages wait in a log."""
        self.shares.placed(subscription)
        if not isinstance(subscription, Subscription) or subscription in self._sharing:
            return
        session = cast("Session", subscription.session)
        if not _is_durable(session) or not _is_logged(subscription) or self._nursery is None:
            return
        self._sharing.add(subscription)
        awaited = self._begins(session, subscription)
        self._nursery.start_soon(self._share, subscription, session, awaited)

    def displace_member(self, subscription: Recipient) -> None:
        """A member of a shared subscription is here no more."""
        self.shares.displaced(subscription)
        if isinstance(subscription, Subscription) and subscription in self._sharing:
            self._sharing.remove(subscription)
            session = cast("Session", subscription.session)
            text = subscription.topic_filter.text
            if self._journal.trackers.get(session.number) and text not in session.subscriptions:
                self._release(text, session)

    async def _share(self, subscription: Subscription, session: Session, awaited: Awaited) -> None:
        text = subscription.topic_filter.text
        try:
            await self._hold(text, session)
            await self.registering.share(text)
        finally:
            self._has_begun(session, subscription, awaited)

    def displace(self, subscription: Subscription) -> None:
        """No message reaches a subscription from now on."""
        session = subscription.session
        self._placed.discard(subscription)
        self.router.remove(subscription)
        self._no_longer_plain(subscription)
        self.direct.no_longer(subscription)
        tracker = self._journal.trackers.get(session.number)
        text = subscription.topic_filter.text
        if tracker is not None and tracker.session is session and text in tracker.cursors:
            self._no_longer_follows(
                tracker,
                text,
                is_over=subscription.topic_filter.text not in tracker.session.subscriptions,
            )

    def _no_longer_plain(self, subscription: Subscription) -> None:
        if subscription in self._plain:
            self._plain.remove(subscription)
            self._interests.discard(subscription.topic_filter)

    def known(self, session: object = None) -> Awaited | None:
        """What is over once all is known that was placed for a session, or for any; None if it is.

        What another waits for is no matter of a session's own.
        """
        if session is None:
            return all_of(one for each in self._placing.values() for one in each.values())
        placing = self._placing.get(cast("Session", session))
        return None if placing is None else all_of(placing.values())

    def _begins(self, session: Session, what: Subscription | Session) -> Awaited:
        awaited = Awaited()
        self._placing.setdefault(session, {})[what] = awaited
        return awaited

    def _has_begun(self, session: Session, what: Subscription | Session, awaited: Awaited) -> None:
        awaited.end()
        placing = self._placing.get(session, {})
        if placing.get(what) is awaited:
            del placing[what]
            if not placing:
                del self._placing[session]

    async def _begin(
        self, subscription: Subscription, tracker: Tracker, token: object, awaited: Awaited
    ) -> None:
        """A subscription is new: what comes from now on is in the log, and reaches it."""
        text = subscription.topic_filter.text
        try:
            last = await self._hold(text, tracker.session)
            if not self._is_wanted(tracker, text, token):
                if text not in tracker.tokens:
                    self._release(text, tracker.session)
                return
            position = Position.after(last)
            tracker.cursors.begin(text, position)
            self._journal.cursor_began(tracker, text, position)
            follower = await self.registering.follow(text)
            if not self._is_wanted(tracker, text, token):
                self.registering.no_longer_follows(text)
                return
            tracker.following[text] = last
            # What is ahead of it was published while nodes were told: it comes, or does not.
        finally:
            self._has_begun(tracker.session, subscription, awaited)
        await self.catching_up.read(follower, tracker, position.place, token)

    def _no_longer_follows(self, tracker: Tracker, text: str, *, is_over: bool) -> None:
        """A session does not follow a log any more; `is_over`: nor does it have the filter."""
        tracker.tokens.pop(text, None)
        numbers = tracker.cursors.end(text)
        if is_over:
            self._journal.no_longer_in_log(tracker, numbers)
        if tracker.taken is not None:
            tracker.taken.set()  # who reads for it looks again
        if tracker.following.pop(text, None) is not None:
            follower = self.followers.get(text)
            if follower is not None:
                follower.sessions.pop(tracker.session, None)
            self.registering.no_longer_follows(text)
        if is_over:
            self._journal.cursor_ended(tracker, text)
            self._release(text, tracker.session)

    async def _hold(self, text: str, session: Session) -> EntryId:
        """A session has a filter: not what it may have said before counts."""
        self._released.get(text, {}).pop(session.key, None)
        await over(self._releasing.get(text))
        epoch = self._journal.epoch_of(session.number) or 0
        return await self.registering.hold(text, session.key, epoch)

    def _release(self, text: str, session: Session) -> None:
        """A session has a filter no more; where another node has it by now, that says so."""
        epoch = self._journal.epoch_of(session.number)
        if epoch is not None:
            self._released.setdefault(text, {})[session.key] = epoch
            self._wake.set()

    # -- sessions that come and go --------------------------------------------------------------

    async def is_whole(self, fields: Mapping[bytes, bytes]) -> bool:
        """Whether logs have all that waits for a session. Raises EngineGoneError."""
        try:
            positions = positions_of(fields)
        except ValueError:
            return False
        places = {text: position.place for text, position in positions.items()}
        if await self.logs.are_whole(places):
            return True
        self.cut_off += 1
        return False

    async def resume(self, session: Session, fields: Mapping[bytes, bytes]) -> None:
        """A session goes on here, with its subscriptions.

        What was in flight is, when this returns; what waits is read while its client takes it.
        Raises EngineGoneError.
        """
        tracker = self.tracker(session)
        try:
            positions = positions_of(fields)
            under_way = under_way_of(fields)
            inline = inline_of(fields)
            tracker.received = tracker.kept = int(fields.get(RECEIVED, b"0"))
        except ValueError as error:
            logger.warning("What is kept of %r is damaged: %s", session.client_id, error)
            return
        self._journal.no_longer_marked(session.number, fields)
        for text, position in positions.items():
            if text in session.subscriptions:
                tracker.cursors.begin(text, position)
        await self._under_way.restore(tracker, under_way, inline)
        if self._nursery is not None:
            awaited = self._begins(session, session)
            self._nursery.start_soon(self._go_on, tracker, positions, awaited)

    async def _go_on(
        self, tracker: Tracker, positions: Mapping[str, Position], awaited: Awaited
    ) -> None:
        """Have a session follow its logs again: all at once, and read one after the other."""
        session = tracker.session
        followers: dict[str, tuple[Follower, object]] = {}
        with trio.CancelScope() as scope:
            self._scopes[session] = scope
            try:
                async with trio.open_nursery() as nursery:
                    for text in tracker_filters(tracker, session):
                        position = positions.get(text)
                        nursery.start_soon(self._follow_again, tracker, text, position, followers)
            finally:
                self._has_begun(session, session, awaited)
            for text in sorted(followers):
                follower, token = followers[text]
                if self._is_wanted(tracker, text, token):
                    place = tracker.cursors.position(text).place
                    await self.catching_up.read(follower, tracker, place, token)
        if self._scopes.get(session) is scope:
            del self._scopes[session]

    async def _follow_again(
        self,
        tracker: Tracker,
        text: str,
        position: Position | None,
        followers: dict[str, tuple[Follower, object]],
    ) -> None:
        token = tracker.tokens[text] = object()
        last = await self._hold(text, tracker.session)
        if self._journal.trackers.get(tracker.session.number) is not tracker:
            return
        if position is None:  # its node had not come to know where it begins
            position = Position.after(last)
            tracker.cursors.begin(text, position)
            self._journal.cursor_began(tracker, text, position)
        if not self._is_wanted(tracker, text, token):
            return
        follower = await self.registering.follow(text)
        if self._is_wanted(tracker, text, token):
            tracker.following[text] = position.place.entry
            followers[text] = follower, token
        else:
            self.registering.no_longer_follows(text)

    def _is_wanted(self, tracker: Tracker, text: str, token: object) -> bool:
        """Whether a session is here still, and follows a log since it was given a token for it."""
        is_here = self._journal.trackers.get(tracker.session.number) is tracker
        return is_here and text in tracker.cursors and tracker.tokens.get(text) is token

    def leave(self, session: Session) -> dict[bytes, bytes | None]:
        """A session's client has gone, and the session with it; what is to be written of it."""
        tracker = self._journal.trackers.pop(session.number, None)
        if tracker is None:
            return {}
        scope = self._scopes.pop(session, None)
        if scope is not None:
            scope.cancel()
        fields = self._journal.left(tracker)
        for text in list(tracker.following):
            self._no_longer_follows(tracker, text, is_over=False)
        return fields

    async def ended(self, key: str, topic_filters: Sequence[str]) -> None:
        """A session that was away has ended: it has its filters no more."""
        async with trio.open_nursery() as nursery:
            for text in topic_filters:
                nursery.start_soon(self.registering.release, text, {key: 0})

    # -- what comes -----------------------------------------------------------------------------

    def unpack(self, data: bytes | memoryview) -> list[EntryPart]:
        """What an entry of a log holds. Raises EntryError where it is damaged."""
        node, logged = decode_logged(data)
        now = trio.current_time()
        return [
            EntryPart(node, first, others, self._travel.batch_of(batch, now))
            for first, others, batch in logged
        ]

    def _on_copy(self, data: memoryview) -> None:
        """Another node has added an entry to a log that is followed here."""
        copy = decode_copy(data)
        self.shares.wake(copy.topic_filter)
        kept = bytes(copy.data)
        self.followers.arrived(
            copy.topic_filter, copy.entry, copy.previous, lambda: self.unpack(kept)
        )

    def _on_missed(self, data: memoryview) -> None:
        """Some of those copies did not come."""
        self.followers.look(decode_text(data).split("\0"))

    def _on_durable(self, following: Following, data: memoryview) -> None:
        """A filter is durable from now on, or no more."""
        node, topic_filter, is_durable = decode_durable(data)
        if is_durable:
            self.registering.is_durable(topic_filter, following.number)
        else:
            self.registering.is_not_durable(topic_filter, following.number)
        following.asks(node)

    async def _load(self) -> None:
        """Know which filters are durable, and no others. Raises EngineGoneError."""
        reply = await self._engine.call("HGETALL", self._engine.keys.durable)
        known: dict[str, int] = {}
        if isinstance(reply, dict):
            known = {
                name.decode(errors="replace"): number_of(number, "the number of a change")
                for name, number in reply.items()
            }
        self.registering.load(known)

    def added(self, one: Added, appended: Appended) -> None:
        """An entry of this node's was added to a log: all who follow it get it at once."""
        entry, previous, is_unwanted = appended
        if one.topic_filter.startswith(SHARE):
            self._added_to_shared(one, entry, previous, is_unwanted=is_unwanted)
            return
        if entry == NOTHING:
            return
        copy = encode_copy(Copy(one.topic_filter, entry, previous, one.data))
        for other in self._others.all():
            if one.topic_filter in other.logged:
                other.copy(copy, one.topic_filter)
        node, parts = one.node, one.parts
        self.followers.arrived(
            one.topic_filter,
            entry,
            previous,
            lambda: [
                EntryPart(node, first, others, batch.part(batch.content))  # type: ignore[attr-defined]
                for first, others, batch in parts
            ],
        )

    def _added_to_shared(
        self, one: Added, entry: EntryId, previous: EntryId, *, is_unwanted: bool
    ) -> None:
        """There is something in a shared log: this node takes it, or one that has members."""
        if is_unwanted:
            # The last durable session has just left the group: who is left shares it as ever.
            group = self._core.router.group(TopicFilter(one.topic_filter))
            for _, _, batch in one.parts:
                if group is not None and isinstance(batch, Batch):
                    group.deliver_anywhere(batch)
            return
        if entry == NOTHING:
            return
        if self.shares.serves(one.topic_filter):
            self.shares.wake(one.topic_filter)
            return
        others = [other for other in self._others.all() if one.topic_filter in other.logged]
        if others:
            copy = encode_copy(Copy(one.topic_filter, entry, previous, b""))
            others[one.number % len(others)].copy(copy, one.topic_filter)

    # -- nodes that come and go -----------------------------------------------------------------

    async def joined(self, node: str) -> None:
        """Have the cluster know what is followed here, as this node."""
        self._filters.node = self.shares.node = node
        self.followers.look()

    def forgotten(self, node: str) -> None:
        """A node is gone for good: of what it has added last, it may have told nobody."""
        self.followers.look()

    # -- its life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow logs and tell them how far sessions are, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self.followers.run)
            self._nursery.start_soon(self.registering.run)
            self._nursery.start_soon(self.shares.run)
            self._nursery.start_soon(self._tell_done)
            self._nursery.start_soon(self._write_cursors)
            self._nursery.start_soon(self._look_again)
            await self._release_all()

    async def _write_cursors(self) -> None:
        while True:
            await self._journal.until_moved()
            await trio.sleep(_MOVED)
            self._journal.write_cursors()

    async def _tell_done(self) -> None:
        while True:
            await trio.sleep(_DONE)
            done = self._journal.take_done()
            if done:
                try:
                    await self.logs.done(done)
                except EngineGoneError:
                    await self._engine.wait_returned()
                except EngineFencedError:
                    pass  # logs have more than they need, until cursors move on

    async def _look_again(self) -> None:
        """After the engine was away, or has lost something, copies may be missing."""
        while True:
            await self._engine.wait_gone()
            await self._engine.wait_returned()
            self.followers.look()

    async def _release_all(self) -> None:
        while True:
            while self._released:
                topic_filter, keys = self._released.popitem()
                if keys:
                    awaited = self._releasing[topic_filter] = Awaited()
                    try:
                        await self.registering.release(topic_filter, keys)
                    finally:
                        del self._releasing[topic_filter]
                        awaited.end()
            self._wake = trio.Event()
            await self._wake.wait()


def _is_durable(session: Session) -> bool:
    """Whether a session outlives its connections; while it is restored it has no journal yet."""
    return bool(session.number) and (session.journal is not None or session.expiry_interval > 0)


def _is_logged(subscription: Subscription) -> bool:
    """Whether messages of QoS 1 and 2 come to a subscription from a log."""
    return bool(subscription.target.qos) and not subscription.topic_filter.plain.startswith(_OWN)


def tracker_filters(tracker: Tracker, session: Session) -> list[str]:
    """The filters of a session that have logs."""
    return sorted(
        text
        for text, subscription in session.subscriptions.items()
        if not subscription.topic_filter.share and _is_logged(subscription)
    )
