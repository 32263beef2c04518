"""What an entry of a log holds, handed to the sessions here that are to have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, cast

from trio_mqtt.broker.clustering.tracker import Offered

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.tracker import Tracker
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.router import Router
    from trio_mqtt.broker.routing.target import Target
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.positions import EntryId


class EntryPart(NamedTuple):
    """Messages of an entry that came together, by numbers of the node that added them."""

    node: str
    first: int
    others: tuple[str, ...]  # the other logs that they are in
    batch: Batch


class Handing:
    """Hands entries of logs to sessions, each message once for each."""

    def __init__(self, router: Router, journal: ClusterJournal) -> None:
        self._router = router
        self._journal = journal
        # Who is to begin sending once all has come that comes together; None while each begins.
        self._gathered: dict[Target, None] | None = None

    def gather(self) -> None:
        """More comes than one entry: what each is to get of it waits, and leaves together."""
        if self._gathered is None:
            self._gathered = {}

    def let_go(self) -> None:
        """All has come: those who get something of it begin to send."""
        gathered, self._gathered = self._gathered, None
        if gathered:
            self._router.spreading.begin(list(gathered), None)

    def hand(
        self,
        topic_filter: str,
        entry: EntryId,
        parts: Sequence[EntryPart],
        trackers: Mapping[Session, Tracker],
    ) -> None:
        """Hand an entry to sessions that follow its log and have had all before it."""
        count = sum(part.batch.count for part in parts)
        some: dict[Session, Sequence[int]] = {}
        for session, tracker in trackers.items():
            tracker.following[topic_filter] = entry
            left = tracker.cursors.came(topic_filter, entry, count)
            left = tracker.taken_up(entry, topic_filter, left)
            if len(left) < count:
                some[session] = left
        at = 0
        for part in parts:
            indexes = range(at, at + part.batch.count)
            at += part.batch.count
            offers = self._offers(part.batch, trackers)
            alike: list[tuple[Target, Batch]] = []
            for target, messages in offers:
                # The router has no others.
                session = cast("Session", target.subscription.session)
                tracker = trackers[session]
                has_some = session in some
                overlaps = 0
                if part.others:
                    overlaps = len(tracker.following.keys() & part.others)
                if not has_some and not overlaps and messages is None:
                    alike.append((target, part.batch))
                    continue
                which = range(part.batch.count) if messages is None else messages
                if has_some:
                    left = some[session]
                    which = [one for one in which if at - part.batch.count + one in left]
                if overlaps:
                    which = [
                        one
                        for one in which
                        if tracker.is_first_copy(part.node, part.first + one, overlaps)
                    ]
                if which:
                    content = part.batch.messages
                    own = part.batch.part([content[one] for one in which])
                    self._offer(topic_filter, own, [indexes[one] for one in which], [(target, own)])
            if alike:
                self._offer(topic_filter, part.batch, indexes, alike)

    def _offer(
        self,
        topic_filter: str,
        batch: Batch,
        indexes: Sequence[int],
        offers: Sequence[tuple[Target, Batch]],
    ) -> None:
        if not batch.number:
            batch.number = self._journal.numbers(batch.count)
        self._journal.offered = Offered(topic_filter, batch, indexes)
        try:
            if self._gathered is None:
                self._router.hand(offers, batch)
            else:
                self._queue(offers, self._gathered)
        finally:
            self._journal.offered = None

    def _queue(self, offers: Sequence[tuple[Target, Batch]], gathered: dict[Target, None]) -> None:
        for _, part in offers:
            part.is_spread = True
        for target, part in offers:
            target.subscription.offer(target, part)
            gathered[target] = None
        for _, part in offers:
            part.is_spread = False

    def _offers(
        self, batch: Batch, trackers: Mapping[Session, Tracker]
    ) -> list[tuple[Target, Sequence[int] | None]]:
        """To whom a batch goes, and which of its messages; None for all of them."""
        router = self._router
        if batch.topic is not None:
            targets = router.index.match(batch.topic).targets
            return [
                (target, None)
                for target in targets
                if target.subscription.session in trackers and self._gets(target, batch)
            ]
        pieces: dict[Target, list[int]] = {}
        topics = batch.topics
        for piece, topic in enumerate(topics):
            for target in router.index.match(topic).targets:
                if target.subscription.session in trackers and self._gets(target, batch):
                    pieces.setdefault(target, []).append(piece)
        found: list[tuple[Target, Sequence[int] | None]] = []
        for target, its_pieces in pieces.items():
            if len(its_pieces) == len(topics):
                found.append((target, None))
            else:
                found.append((target, list(chain.from_iterable(map(batch.piece, its_pieces)))))
        return found

    def _gets(self, target: Target, batch: Batch) -> bool:
        """Whether it is not its own message, which it wants none of (§3.8.3.1)."""
        return not (
            target.no_local
            and batch.sender is not None
            and batch.sender.key == target.subscription.session.key
        )
