"""Durable sessions that come to this node and go: what was kept of them, and what is to be."""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.durable.holding import is_logged
from trio_mqtt.broker.clustering.tracker import RECEIVED, inline_of, released_of, under_way_of
from trio_mqtt.cluster.additions import Left
from trio_mqtt.cluster.floors import positions_of
from trio_mqtt.cluster.positions import Position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio_mqtt.broker.clustering.durable.catching_up import CatchingUp
    from trio_mqtt.broker.clustering.durable.followers import Follower
    from trio_mqtt.broker.clustering.durable.holding import Holding
    from trio_mqtt.broker.clustering.durable.registering import Registering
    from trio_mqtt.broker.clustering.durable.under_way import UnderWay
    from trio_mqtt.broker.clustering.inline import Inline
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.tracker import Tracker
    from trio_mqtt.broker.promises import Awaited
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.floors import FloorStore
    from trio_mqtt.cluster.kept_session import KeptSession
    from trio_mqtt.cluster.logs import Logs

logger = logging.getLogger("trio_mqtt.cluster")


class Resuming:
    """Has sessions go on here where they were, and says where they are when they go."""

    def __init__(
        self,
        holding: Holding,
        registering: Registering,
        catching_up: CatchingUp,
        under_way: UnderWay,
        floors: FloorStore,
        logs: Logs,
        journal: ClusterJournal,
    ) -> None:
        self._holding = holding
        self._registering = registering
        self._catching_up = catching_up
        self._under_way = under_way
        self._floors = floors
        self._logs = logs
        self._journal = journal
        self._scopes: dict[Session, trio.CancelScope] = {}
        self.cut_off = 0
        """Sessions for which messages waited that a log had to let go of."""

    async def is_whole(self, fields: Mapping[bytes, bytes]) -> bool:
        """Whether logs have all that waits for a session. Raises EngineGoneError."""
        try:
            positions = await self._floors.positions(fields)
        except ValueError:
            return False
        places = {text: position.place for text, position in positions.items()}
        if await self._logs.are_whole(places):
            return True
        self.cut_off += 1
        return False

    async def resume(self, session: Session, fields: Mapping[bytes, bytes]) -> None:
        """A session goes on here, with its subscriptions.

        What was in flight is, when this returns; what waits is read while its client takes it.
        Raises EngineGoneError.
        """
        holding = self._holding
        tracker = holding.tracker(session)
        try:
            positions = await self._floors.positions(fields)
            were = positions_of(fields)
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
                if were[text].floor_of:
                    # It says itself how far it is, before that node's floors are forgotten.
                    self._journal.cursor_began(tracker, text, position)
        for text in released_of(fields):
            subscription = session.subscriptions.get(text)
            if subscription is not None and is_logged(subscription):
                holding.has_released(text, session)
            else:  # its node did not come to it
                holding.release(text, session)
        inline = await self._are_still_here(tracker, inline)
        await self._under_way.restore(tracker, under_way, inline)
        if holding.nursery is not None:
            awaited = holding.begins(session, session)
            holding.nursery.start_soon(self._go_on, tracker, positions, awaited)

    async def _are_still_here(self, tracker: Tracker, inline: list[Inline]) -> list[Inline]:
        """Those messages that are with a session still: what its node had given back to a shared
        log, before it died and could say so here, are others' by now.
        """
        filters = {one.topic_filter for one in inline if one.topic_filter.startswith("$share/")}
        if not filters:
            return inline
        session = tracker.session
        said = await self._logs.left(filters, session.key)
        left = Left(session.number, session.key)
        for one in inline:
            if one.field in said.get(one.topic_filter, ()):
                left.fields.setdefault(one.topic_filter, []).append(one.field)
        if not left.fields:
            return inline
        self._journal.left_behind(left)
        gone = set(chain.from_iterable(left.fields.values()))
        return [one for one in inline if one.field not in gone]

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
                    for text in _logs_of(session):
                        position = positions.get(text)
                        nursery.start_soon(self._follow_again, tracker, text, position, followers)
            finally:
                self._holding.has_begun(session, session, awaited)
            for text in sorted(followers):
                follower, token = followers[text]
                if self._holding.is_wanted(tracker, text, token):
                    place = tracker.cursors.position(text).place
                    await self._catching_up.read(follower, tracker, place, token)
        if self._scopes.get(session) is scope:
            del self._scopes[session]

    async def _follow_again(
        self,
        tracker: Tracker,
        text: str,
        position: Position | None,
        followers: dict[str, tuple[Follower, object]],
    ) -> None:
        holding = self._holding
        token = tracker.tokens[text] = object()
        last = await holding.hold(text, tracker.session)
        if not holding.is_here(tracker):
            return
        if position is None:  # its node had not come to know where it begins
            position = Position.after(last)
            holding.begin_cursor(tracker, text, position)
        if not holding.is_wanted(tracker, text, token):
            return
        follower = await self._registering.follow(text)
        if holding.is_wanted(tracker, text, token):
            tracker.following[text] = position.place.entry
            followers[text] = follower, token
        else:
            self._registering.no_longer_follows(text)

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
            self._holding.no_longer_follows(tracker, text, is_over=False)
        return fields

    async def ended(self, kept: KeptSession) -> None:
        """A session that was away has ended: it has its filters no more."""
        key, subscribed = kept.key, [text for text, _ in kept.subscriptions]
        async with trio.open_nursery() as nursery:
            for text in dict.fromkeys((*subscribed, *released_of(kept.others))):
                nursery.start_soon(self._registering.release, text, {key: 0})


def _logs_of(session: Session) -> list[str]:
    """The filters of a session that have logs."""
    return sorted(
        text
        for text, subscription in session.subscriptions.items()
        if not subscription.topic_filter.share and is_logged(subscription)
    )
