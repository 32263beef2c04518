"""What has changed of what must outlive the broker, on its way to a storage (MQTT 5.0 §4.1).

Whoever changes something says so here, at once. What all connections change while the storage is at
work goes to it next, as one group; what comes and goes within one group is never written. Whoever
promises something to a client has the client's outlet held until the group is kept.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

import trio

from trio_mqtt.broker.promises import Held, Promises, Waiting
from trio_mqtt.broker.settling import Settling
from trio_mqtt.broker.time_of_day import TimeOfDay
from trio_mqtt.errors import StoreError
from trio_mqtt.storage import gathered
from trio_mqtt.storage.gathered import DeliveryRun, Gathered, MessageRun
from trio_mqtt.storage.rows import NOTES, DeliveryRow, RetainedRow, SessionRow, SubscriptionRow

if TYPE_CHECKING:
    from trio_mqtt.broker.timing import Times
    from trio_mqtt.protocol.packets import Publish
    from trio_mqtt.storage.rows import Kept, Progress, Storage

logger = logging.getLogger("trio_mqtt.storage")

_AGAIN = 1.0  # seconds between two tries of what the storage could not keep


class Stored(Protocol):
    """Messages that have numbers once they are stored: the first has this one."""

    number: int

    @property
    def received_at(self) -> float:
        """When they came, on the broker's clock."""


class Journal:
    """Gathers changes in groups, and has the storage keep one after the other.

    `count` goes up with every change. `group` is the number of the group that is being gathered,
    and `kept` that of the last one which the storage has.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._changes = self.new_group()
        self.count = 0
        self.group = 1
        self.kept = 0
        self._time = TimeOfDay()
        self._promises = Promises()
        self._last_session = 0
        self._last_message = 0
        # The last message of the group before: those after it are not stored anywhere yet.
        self._stored_up_to = 0
        # Topics that had no retained message when the group that is gathered began, and have one.
        self._newly_retained: set[str] = set()
        # How many sessions a message is for, where that is more than one.
        self._holders: dict[int, int] = {}
        # Subscriptions for which retained messages are still looked for.
        self._searching: dict[tuple[int, str], SubscriptionRow] = {}
        # Where messages stand that are sent in place of others, by session and message.
        self._places: dict[tuple[int, int], int] = {}
        self._wake = trio.Event()
        self._settling = Settling()
        self._closing = False
        self._has_ended = trio.Event()
        self.commits: Times | None = None  # how long they took, while somebody asks
        self.failure: Exception | None = None  # why the storage keeps nothing now
        # What comes later, on the broker's clock, may be for somebody of whom nobody knows here.
        self.known_until = math.inf

    # -- the storage ----------------------------------------------------------------------------

    def new_group(self) -> Gathered:
        """A group with nothing in it."""
        return Gathered()

    async def load(self, progress: Progress | None = None) -> Kept:
        """All that is kept. What comes from now on is numbered after it."""
        kept = await self._storage.load(progress)
        newest_session = max((row.number for row in kept.sessions), default=0)
        self._last_session = max(newest_session, kept.last_session)
        newest = max((row.number for row in kept.messages), default=0)
        newest = max(newest, max((row.message for row in kept.deliveries), default=0))
        self._last_message = self._stored_up_to = newest
        return kept

    async def let_go(self) -> None:
        """Let go of the storage as it is: nothing was begun with it."""
        with trio.CancelScope(shield=True):
            await self._storage.close()

    async def run(self) -> None:
        """Have the storage keep what changes, until `close`."""
        try:
            while self._changes or self._promises or not self._closing:
                if self._changes or self._promises or self._time.was_set:
                    if not await self._keep():
                        break
                else:
                    self._wake = trio.Event()
                    await self._wake.wait()
        finally:
            self._has_ended.set()
            self._promises.end(self.kept)  # nothing more leaves

    async def _keep(self) -> bool:
        """Have the group that was gathered kept, and let go of what waits for it.

        False where that cannot be and the broker ends: nobody is told that it was kept, and nothing
        that came after it may be kept without it.
        """
        if self._changes.may_settle and not self._closing:
            await self._settling.wait(self._changes)
        if self._time.was_set:
            # All that is in this group and before it is by the clock as it was.
            self._changes.clock_set = self._time.follow()
        changes, group = self._changes, self.group
        self._changes = self.new_group()
        self._promises.keep()
        self._newly_retained.clear()
        self.group = group + 1
        self._stored_up_to = self._last_message
        while changes:
            began, at = time.perf_counter(), trio.current_time()
            try:
                with trio.CancelScope(shield=True):
                    await self._storage.append(changes)
                if self.commits is not None:
                    self.commits.add(time.perf_counter() - began)
                self._settling.kept_in(trio.current_time() - at)
                break
            except Exception as error:
                self._has_failed(error)
                if self._closing:
                    return False
                with trio.move_on_after(_AGAIN):
                    await self._until_closing()
        if self.failure is not None:
            self._works_again()
        self.kept = group
        await self._promises.fulfil(group)
        return True

    def follow_clock(self) -> None:
        """Have the times that are kept move along where the time of day was set.

        What is left of them runs by the broker's clock; the next broker has but the time of day.
        """
        if self._time.was_set:
            self._wake.set()

    @property
    def epoch(self) -> float:
        """What to add to the broker's clock, which begins anywhere, to get the time of day."""
        return self._time.epoch

    def _has_failed(self, error: Exception) -> None:
        if self.failure is None:
            sentence = "What clients are promised waits until it can be kept."
            if isinstance(error, StoreError):
                logger.error("%s %s", error, sentence)
            else:
                logger.error("The storage has a defect. %s", sentence, exc_info=error)
        self.failure = error

    def _works_again(self) -> None:
        logger.warning("The storage keeps what changes again.")
        self.failure = None

    async def _until_closing(self) -> None:
        while not self._closing:
            self._wake = trio.Event()
            await self._wake.wait()

    async def close(self) -> None:
        """Keep what is left, and let go of the storage. `run` is running, or is about to.

        Raises what the storage did, where it could not keep what is left.
        """
        self._closing = True
        self._wake.set()
        self._settling.end()
        await self._has_ended.wait()
        await self._storage.close()
        if self.failure is not None:
            raise self.failure

    # -- promises -------------------------------------------------------------------------------

    def holds(self, outlet: Held) -> int:
        """The group that must be kept before `outlet` may go on; it is told when that is so.

        0 where there is nothing to wait for.
        """
        if self._changes:
            self._promises.wait(outlet)
            return self.group
        if self.kept < self.group - 1:  # the storage is at work
            self._promises.wait_for_keeping(outlet)
            return self.group - 1
        return 0

    async def until_kept(self) -> None:
        """Wait until all that has changed so far is kept.

        Raises StoreError where the broker ends without that.
        """
        waiting = Waiting()
        group = self.holds(waiting)
        if not group or self._has_ended.is_set():
            await trio.lowlevel.checkpoint()
        else:
            await waiting.is_over.wait()
        if self.kept < group:
            why = "" if self.failure is None else f" {self.failure}"
            raise StoreError(f"The broker ended before this was kept.{why}") from self.failure

    def no_longer_holds(self, outlet: Held) -> None:
        """An outlet has ended, and waits for nothing any more."""
        self._promises.forget(outlet)

    def _note(self, *, is_urgent: bool = True) -> None:
        self.count += 1
        if is_urgent:
            self._changes.is_urgent = True
            self._settling.end()
        if not self._wake.is_set():
            self._wake.set()

    # -- sessions -------------------------------------------------------------------------------

    def new_session(self) -> int:
        """The number of a session that is to be kept."""
        self._last_session += 1
        return self._last_session

    def session(self, row: SessionRow) -> None:
        """A session is as `row` says from now on."""
        self._changes.sessions[row.number] = row
        self._note()

    def session_ended(self, session: int) -> None:
        """A session is gone, with its subscriptions and identifiers, but not what is on its way."""
        self._changes.sessions[session] = None
        self._note()

    def subscribed(self, row: SubscriptionRow) -> None:
        """A session has a subscription, with these options."""
        key = row.session, row.topic_filter
        if key in self._searching:
            row = self._searching[key] = row._replace(searching=1)
        self._changes.subscriptions[key] = row
        self._note()

    def searching(self, row: SubscriptionRow, *, is_known: bool = False) -> None:
        """For a subscription retained messages are looked for; `is_known`: the storage has that."""
        self._searching[row.session, row.topic_filter] = row
        if not is_known:
            self.subscribed(row)

    def searched(self, session: int, topic_filter: str) -> None:
        """All retained messages for a subscription have been found."""
        row = self._searching.pop((session, topic_filter), None)
        if row is not None:
            self._changes.subscriptions[session, topic_filter] = row._replace(searching=0)
            self._note(is_urgent=False)

    def unsubscribed(self, session: int, topic_filter: str) -> None:
        """A subscription has ended."""
        self._searching.pop((session, topic_filter), None)
        self._changes.subscriptions[session, topic_filter] = None
        self._note()

    def identifiers(self, session: int, packet_ids: Iterable[int], *, is_used: bool) -> None:
        """Packet identifiers of QoS 2 have come from a client, or are free again."""
        changed = self._changes.identifiers
        for packet_id in packet_ids:
            changed[session, packet_id] = is_used
        self._note()

    # -- retained messages ----------------------------------------------------------------------

    def retained(
        self, message: Publish, at: float, author: str | None, *, is_first: bool = False
    ) -> None:
        """The retained message of a topic is this one; `is_first`: there was none before."""
        topic, retained = message.topic, self._changes.retained
        if is_first and topic not in retained:
            self._newly_retained.add(topic)
        retained[topic] = RetainedRow(
            topic,
            message.payload,
            message.qos,
            at + self.epoch,
            gathered.encoded(message.properties),
            author,
            gathered.expiry(message, at + self.epoch),
        )
        self._note()

    def no_longer_retained(self, topic: str) -> None:
        """There is no retained message of a topic any more."""
        if topic in self._newly_retained:
            # Nothing is to be said of it: else each topic that ever was would stay in the group,
            # which has no end while the storage fails.
            self._newly_retained.remove(topic)
            del self._changes.retained[topic]
        else:
            self._changes.retained[topic] = None
        self._note()

    def retained_expired(self, topic: str) -> None:
        """The retained message of a topic has come to the end of its time."""
        self.no_longer_retained(topic)

    # -- notes ----------------------------------------------------------------------------------

    def note(self, name: str, content: bytes | None, expires_at: float | None = None) -> None:
        """What the broker notes by a name is this, or with None nothing, from now on.

        It is kept up to a time of day.
        """
        row = None
        key = NOTES + name
        if content is not None:
            now = trio.current_time() + self.epoch
            row = RetainedRow(key, content, 0, now, b"", None, expires_at)
        self._changes.retained[key] = row
        self._note()

    # -- deliveries -----------------------------------------------------------------------------

    def queued(self, batch: Stored, run: DeliveryRun, *, is_away: bool) -> None:
        """Messages of a batch are on their way to a session; `run` begins at number 0.

        `is_away` says that nobody is there to acknowledge them.
        """
        at = batch.received_at + self.epoch
        if not batch.number:
            batch.number = self._last_message + 1
            self._last_message += len(run.messages)
            self._changes.came(MessageRun(batch.number, run.messages, at))
        else:
            back = self._changes.came_back(MessageRun(batch.number, run.messages, at))
            holders = self._holders
            for number, message in enumerate(run.messages, batch.number):
                if message.qos and number not in back:
                    holders[number] = holders.get(number, 1) + 1
        self._changes.queued(run._replace(first=batch.number))
        if run.place:
            for number, message in enumerate(run.messages, batch.number):
                if message.qos:  # nobody would say that one of QoS 0 is over
                    self._places[run.session, number] = run.place
        self._note(is_urgent=is_away)

    def place(self, session: int, number: int) -> int:
        """Where a message stands, for what is to be sent in its place."""
        return self._places.get((session, number), number)

    def restored_place(self, row: DeliveryRow) -> None:
        """A message that was loaded stands elsewhere than where its number does."""
        self._places[row.session, row.message] = row.place

    def is_gathered(self, number: int) -> bool:
        """Whether a message belongs to the group that is gathered: no storage has it yet."""
        return number > self._stored_up_to

    def sent(self, session: int, packet_ids: Mapping[int, int], *, is_held: bool = False) -> None:
        """Messages that are still gathered have packet identifiers from now on, by number.

        `is_held` says that they do not leave before that is kept.
        """
        self._changes.sent(session, packet_ids)
        self._note(is_urgent=is_held)

    def sent_later(self, row: DeliveryRow) -> None:
        """A message that is not gathered any more has a packet identifier from now on."""
        self._changes.set_delivery(row.session, row.message, self._placed(row))
        self._note(is_urgent=row.qos == 2)

    def _placed(self, row: DeliveryRow) -> DeliveryRow:
        """The row of a message in flight, which stays where it is."""
        place = self._places.get((row.session, row.message)) if self._places else None
        return row if place is None else row._replace(place=place)

    def released(self, rows: Collection[DeliveryRow]) -> None:
        """PUBRECs have come: the messages are not needed any more, their identifiers are."""
        if not rows:
            return
        for row in rows:
            self._changes.set_delivery(row.session, row.message, self._placed(row))
            self._let_go(row.message)
        self._note()

    def delivered(self, session: int, numbers: Collection[int]) -> None:
        """Messages have reached their client, or never will."""
        if not numbers:
            return
        changes = self._changes
        if self._places:
            for number in numbers:
                self._places.pop((session, number), None)
        if min(numbers) > self._stored_up_to:
            changes.taken(session, numbers)
            if self._holders:
                for number in numbers:
                    self._let_go(number)
            else:
                changes.gone.update(numbers)
        else:
            for number in numbers:
                self._is_over(session, number)
                self._let_go(number)
        self._note(is_urgent=False)
        if not changes.may_settle:
            self._settling.end()

    def completed(self, session: int, numbers: Collection[int]) -> None:
        """PUBCOMPs have come: nothing is left of these deliveries."""
        if not numbers:
            return
        for number in numbers:
            self._is_over(session, number)
            self._places.pop((session, number), None)
        self._note(is_urgent=False)

    def _is_over(self, session: int, number: int) -> None:
        """Nothing is left of a delivery."""
        changes = self._changes
        if number > self._stored_up_to:
            changes.taken(session, (number,))
            changes.unset_delivery(session, number)
        else:
            changes.set_delivery(session, number, None)

    def _let_go(self, number: int) -> None:
        """A session does not need a message any more; the last one takes it along."""
        holders = self._holders.pop(number, 1) - 1
        if holders > 1:
            self._holders[number] = holders
        elif not holders:
            if number > self._stored_up_to:
                self._changes.gone.add(number)
            else:
                self._changes.set_message(number, None)

    def needed(self, number: int, sessions: int) -> None:
        """A message that was loaded is for so many sessions; for none, it goes."""
        if sessions > 1:
            self._holders[number] = sessions
        elif not sessions:
            self._changes.set_message(number, None)
            self._note()
