"""What clients are promised in a cluster, on its way to the engine, in groups as to any storage."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.done import Done
from trio_mqtt.broker.clustering.inline import Inline
from trio_mqtt.broker.clustering.moved import Moved
from trio_mqtt.broker.clustering.published import parted
from trio_mqtt.broker.clustering.tracker import RECEIVED
from trio_mqtt.broker.journal import Journal
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.sessions.delivery_state import in_flight_of
from trio_mqtt.cluster.additions import Addition
from trio_mqtt.cluster.engine.calls import EngineFencedError, EngineGoneError
from trio_mqtt.cluster.floors import field_of
from trio_mqtt.cluster.given import Giving, encode_indexes, is_over
from trio_mqtt.cluster.storage import ClusterChanges, ClusterStorage
from trio_mqtt.errors import StoreError
from trio_mqtt.storage.gathered import encoded_identifiers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from trio_mqtt.broker.clustering.clock import EngineClock
    from trio_mqtt.broker.clustering.handed import Handed
    from trio_mqtt.broker.clustering.tracker import Offered, Tracker
    from trio_mqtt.broker.clustering.travelling import Travel
    from trio_mqtt.broker.journal import Stored
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.additions import Left
    from trio_mqtt.cluster.logs import Publisher
    from trio_mqtt.cluster.positions import Position
    from trio_mqtt.protocol.packets import Publish
    from trio_mqtt.storage.gathered import DeliveryRun
    from trio_mqtt.storage.rows import DeliveryRow


logger = logging.getLogger("trio_mqtt.cluster")


class ClusterJournal(Journal):
    """Gathers, beside what any journal does, what is promised to clients of other nodes, and logs.

    Messages on their way to durable sessions are in logs: of each session is kept how far it is,
    now and then, and what must not come twice.
    """

    def __init__(self, storage: ClusterStorage, clock: EngineClock, travel: Travel) -> None:
        self._clock = clock
        self._travel = travel
        self._cluster_storage = storage
        self._changes: ClusterChanges
        # Is told of topics whose retained message has changed here.
        self.on_retained: Callable[[str], None] = lambda _topic: None
        # By the numbers of their sessions.
        self.trackers: dict[int, Tracker] = {}
        # Is told of those that are to say themselves how far they are, as their sessions go.
        self.on_gone: Callable[[Tracker], None] = lambda _tracker: None
        # The epoch under which this node has a session, by its number; None if it has it no more.
        self.epoch_of: Callable[[int], int | None] = lambda _number: None
        # What is being offered to sessions: of that they say what is on its way to them.
        self.offered: Offered | None = None
        # The session with which what is logged now was before.
        self.leaving: Left | None = None
        # Who publishes what is logged now, where that is a will.
        self.author: Publisher | None = None
        # Sessions that are to keep what is handed to them now; None while nobody asks.
        self.handed: Handed | None = None
        # Those whose cursors have moved since they were written, or are to be.
        self.moved = Moved()
        self.done = Done()
        # Since when this node's writes are refused as those of a dead one; whether it is told that
        # nothing is kept.
        self._fenced_since: float | None = None
        self._has_told = False
        storage.kept = self._are_kept
        super().__init__(storage)

    # -- the engine that is gone ----------------------------------------------------------------

    def is_cut_off(self, why: str) -> None:
        """Nothing that must be kept is taken from now on: what the others want is not known."""
        self.known_until = -math.inf
        if self.failure is None:
            self.failure = StoreError(f"{why[:1].upper()}{why[1:]}.")

    def forget_what_came_from(self, senders: Collection[str], left_by: Collection[int]) -> None:
        """See `ClusterStorage.forget_what_came_from`."""
        self._cluster_storage.forget_what_came_from(senders, left_by, self._changes)

    def goes_on(self) -> None:
        """It is known again."""
        self.failure = None
        self._fenced_since, self._has_told = None, False

    async def close(self) -> None:
        """Keep what is left, if the engine takes it: nobody was told of it; let go of it."""
        self._cluster_storage.give_up()
        self.failure = None  # what was taken, is tried once more
        try:
            await super().close()
        except StoreError as error:
            logger.warning("%s What clients were not promised yet, is not kept.", error)

    def _has_failed(self, error: Exception) -> None:
        cause, now = error.__cause__, trio.current_time()
        if isinstance(cause, EngineGoneError):  # that is told already
            self.failure, self._fenced_since = error, None
            return
        if isinstance(cause, EngineFencedError):
            # It joins again, and that is told; unless it believes that it need not.
            if self._fenced_since is None:
                self._fenced_since = now
            if now < self._fenced_since + self._cluster_storage.lease:
                self.failure = error
                return
        if not self._has_told:
            self.failure, self._has_told = None, True
        super()._has_failed(error)

    def _works_again(self) -> None:
        self._fenced_since = None
        if self._has_told:
            self._has_told = False
            super()._works_again()
        else:
            self.failure = None

    # -- what is gathered -----------------------------------------------------------------------

    def new_group(self) -> ClusterChanges:
        """A group with nothing in it, after the one that was gathered."""
        before = getattr(self, "_changes", None)
        if before is not None:
            self._write(before)
        return ClusterChanges()

    @property
    def epoch(self) -> float:
        """What to add to the broker's clock to get the engine's time of day."""
        return self._clock.epoch

    def retained(
        self, message: Publish, at: float, author: str | None, *, is_first: bool = False
    ) -> None:
        """The retained message of a topic is this one, for all nodes."""
        # Whether there was one elsewhere nobody knows here: that it is gone must be told.
        super().retained(message, at, author)
        self._changes.retained_at[message.topic] = at + self.epoch
        self.on_retained(message.topic)

    def no_longer_retained(self, topic: str) -> None:
        """There is no retained message of a topic any more, for all nodes."""
        super().no_longer_retained(topic)
        self._changes.retained_at[topic] = trio.current_time() + self.epoch
        self.on_retained(topic)

    def retained_expired(self, topic: str) -> None:
        """The time of a retained message is over: others see that, too, and the engine looks."""
        self._changes.expired[topic] = None
        self._note(is_urgent=False)

    def forward(self, node: str, kind: int, data: bytes, count: int) -> None:
        """An item with messages is promised to a node: in its inbox, before they count as kept."""
        self._changes.forward(node, kind, data, count)
        self._note()

    # -- logs -----------------------------------------------------------------------------------

    def numbers(self, count: int) -> int:
        """Numbers for so many messages: the first of them."""
        first = self._last_message + 1
        self._last_message += count
        return first

    def log(self, filters: Sequence[str], batch: Batch) -> None:
        """All messages of a batch, which are of QoS 1 and 2, belong in the logs of filters."""
        if self.author is not None:
            self._add(filters, batch, self.author)
        elif batch.highest_qos == 2 and batch.sender is not None:
            self._log_qos_2(filters, batch)
        else:
            self._add(filters, batch)
        self._note()

    def _add(
        self, filters: Sequence[str], batch: Batch, publisher: Publisher | None = None
    ) -> None:
        first, data = self.numbers(batch.count), self._travel.pack(batch)
        addition = Addition(filters, first, batch.count, data, batch, publisher, self.leaving)
        self._changes.additions.append(addition)

    def _log_qos_2(self, filters: Sequence[str], batch: Batch) -> None:
        """Messages that must not come twice: those that are sent again are looked up one by one."""
        number = getattr(batch.sender, "number", 0)
        tracker, epoch = self.trackers.get(number), self.epoch_of(number)
        if tracker is None or epoch is None:  # what it sends again, after all, is another message
            self._add(filters, batch)
            return
        for part, publisher in parted(batch, tracker, epoch):
            self._add(filters, part, publisher)

    # -- sessions -------------------------------------------------------------------------------

    def write_cursors(self, tracker: Tracker) -> None:
        """Have the cursors of a session written with this group."""
        self._changes.fields.setdefault(tracker.session.number, {})
        self._note(is_urgent=False)

    def _put(self, session: int, fields: Mapping[bytes, bytes | None]) -> None:
        if fields:
            self._changes.fields.setdefault(session, {}).update(fields)

    def _write(self, changes: ClusterChanges) -> None:
        """A group is whole: with whatever is written of a session, its cursors are."""
        for number in {*changes.fields, *(number for number, _ in changes.identifiers)}:
            tracker = self.trackers.get(number)
            if tracker is None:
                continue
            fields, done = tracker.moved()
            if fields or number in changes.fields:
                # What is gone by what was said before is so only with the cursor beyond it.
                changes.fields.setdefault(number, {}).update(fields)
            if done:
                changes.done[number] = tracker.session.key, done

    def _are_kept(self, changes: ClusterChanges) -> None:
        """What cursors are beyond is needed no more: were a node to begin with one that was kept
        before, it would miss that. So are those messages of clients that their sessions know of.
        """
        for number, fields in changes.fields.items():
            tracker, received = self.trackers.get(number), fields.get(RECEIVED)
            if tracker is not None and received and not self._cluster_storage.is_lost(number):
                tracker.kept = int(received)
        for number, (key, done) in changes.done.items():
            if not self._cluster_storage.is_lost(number):
                for topic_filter, entry in done.items():
                    self.done.add(topic_filter, key, entry)

    def is_lost(self, number: int) -> bool:
        """Whether something of a session was not written: it was another node's by then."""
        return self._cluster_storage.is_lost(number)

    def cursor_began(self, tracker: Tracker, topic_filter: str, position: Position) -> None:
        """A session follows a log, from a position on."""
        self.write(tracker.session, {field_of(topic_filter): bytes(position)})

    def cursor_ended(self, tracker: Tracker, topic_filter: str) -> None:
        """A session follows a log no more."""
        self.write(tracker.session, {field_of(topic_filter): None})

    def write(
        self, session: Session, fields: Mapping[bytes, bytes | None], *, is_urgent: bool = True
    ) -> int:
        """Fields of a session are these from now on, while it is here; the group that has it."""
        tracker = self.trackers.get(session.number)
        if tracker is not None and tracker.session is session:
            self._put(session.number, fields)
            self._note(is_urgent=is_urgent)
        return self.group if self._changes else self.group - 1

    def left_behind(self, left: Left) -> None:
        """Fields of a session are over, as logs say until it says so itself."""
        for topic_filter, fields in left.fields.items():
            self._put(left.number, dict.fromkeys(fields))
            self._changes.left_behind[topic_filter, left.key] = left.number
        self._note()

    def no_longer_in_log(self, tracker: Tracker, numbers: Collection[int]) -> None:
        """What was sent goes on (§3.10.4), by whatever log it came: it is kept by itself."""
        if numbers:
            for packet_id, (qos, item) in tracker.session.sender.in_flight.items():
                one = in_flight_of(packet_id, item)
                message, retain, (identifiers, _), received_at, number = one
                if number in numbers:
                    data = self._travel.pack(Batch([message], received_at=received_at))
                    inline = Inline.of(
                        "", qos, encoded_identifiers(identifiers), data, retain=retain
                    )
                    fields = tracker.keep(number, inline._replace(packet_id=packet_id))
                    self._put(tracker.session.number, fields)
            self._note()

    def left(self, tracker: Tracker) -> dict[bytes, bytes | None]:
        """A session leaves this node: what is to be written of it."""
        number = tracker.session.number
        self.moved.discard(number)
        self.on_gone(tracker)
        fields = tracker.at_the_end()
        # With what was gathered of it, so that all of it is as of one moment.
        self._put(number, fields)
        self._note()
        return fields

    def session_ended(self, session: int) -> None:
        """A session is gone, with its cursors and all that is under way to it."""
        tracker = self.trackers.pop(session, None)
        if tracker is not None:
            self.on_gone(tracker)
        self.moved.discard(session)
        super().session_ended(session)

    def identifiers(self, session: int, packet_ids: Iterable[int], *, is_used: bool) -> None:
        """Packet identifiers of QoS 2 have come from a client, or are free again."""
        packet_ids = list(packet_ids)
        tracker = self.trackers.get(session)
        if tracker is not None:
            self._put(session, tracker.identifiers(packet_ids, is_used=is_used))
        super().identifiers(session, packet_ids, is_used=is_used)

    # -- deliveries -----------------------------------------------------------------------------

    def queued(self, batch: Stored, run: DeliveryRun, *, is_away: bool) -> None:
        """Messages of a batch are on their way to a session."""
        offered = self.offered
        tracker = self.trackers.get(run.session)
        if offered is None or tracker is None:
            if not batch.number:
                batch.number = self.numbers(len(run.messages))
            if tracker is not None and isinstance(batch, Batch):
                self._keep_inline(tracker, batch, run)
                self._note(is_urgent=is_away)
            return
        indexes = offered.indexes
        if batch is not offered.batch:
            # A part of it: by the messages themselves it is known which.
            places = {id(one): at for one, at in zip(offered.batch.messages, indexes, strict=True)}
            indexes = [places[id(one)] for one in run.messages]
            if not batch.number:
                batch.number = self.numbers(len(indexes))
        tracker.cursors.take(offered.topic_filter, batch.number, indexes)

    def given(self, handed: Handed) -> None:
        """What was handed is from an entry of a shared log: that is noted, and with sessions."""
        sessions: dict[int, tuple[str, int]] = {}
        for number, (key, indexes) in handed.sessions.items():
            sessions[number] = key, self.epoch_of(number) or 0
            self._put(number, {handed.mark: encode_indexes(indexes)})
        if sessions:
            entry, before = handed.entry.entry, handed.entry.given
            giving = Giving(handed.shared_filter, entry, handed.node, sessions, before)
            self._changes.given.append(giving)
            self._note()

    def no_longer_marked(self, session: int, fields: Iterable[bytes]) -> None:
        """Of what is kept of a session, marks that nobody looks for any more go."""
        now = (trio.current_time() + self._clock.epoch) * 1000
        self._put(session, {field: None for field in fields if is_over(field, now)})

    def _keep_inline(self, tracker: Tracker, batch: Batch, run: DeliveryRun) -> None:
        """Messages that are in no log are on their way to a session."""
        if self.handed is not None:
            self.handed.take(tracker, run.messages)
        for number, message in enumerate(run.messages, batch.number):
            if message.qos:
                inline = Inline.of(
                    run.topic_filter,
                    min(message.qos, run.qos),
                    bytes(run.identifiers),
                    self._travel.pack(batch.part([message])),
                    retain=run.keeps_retain and message.retain,
                )
                self._put(run.session, tracker.keep(number, inline))

    def is_gathered(self, number: int) -> bool:
        """Whether what is sent of a message is told by `sent`: it always is."""
        return True

    def sent(self, session: int, packet_ids: Mapping[int, int], *, is_held: bool = False) -> None:
        """Messages have packet identifiers from now on, by number."""
        if not is_held:
            return
        tracker = self.trackers.get(session)
        if tracker is not None:
            fields = tracker.sent(packet_ids)
            if fields:
                self._put(session, fields)
                self._note()

    def released(self, rows: Collection[DeliveryRow]) -> None:
        """PUBRECs have come: the messages are not needed any more, their identifiers are."""
        for row in rows:
            tracker = self.trackers.get(row.session)
            if tracker is not None:
                self._put(row.session, tracker.released({row.message: row.packet_id}))
        if rows:
            self._note()

    def delivered(self, session: int, numbers: Collection[int]) -> None:
        """Messages have reached their client, or never will."""
        tracker = self.trackers.get(session)
        if tracker is not None and numbers:
            gone = tracker.over(numbers)
            if gone:
                # Not before the cursor is beyond them: both are written together.
                self._put(session, gone)
                self._note(is_urgent=False)
            self.moved.add(session)

    def completed(self, session: int, numbers: Collection[int]) -> None:
        """PUBCOMPs have come: nothing is left of these deliveries."""
        self.delivered(session, numbers)
