"""From a storage to the broker's memory: what an earlier broker has kept, restored at the start."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import trio

from trio_mqtt.broker.access.bans import Ban
from trio_mqtt.broker.holdings import Holdings
from trio_mqtt.broker.restored import author_of, permissions_of, restore_subscription
from trio_mqtt.broker.routing.batch import Batch, remaining_properties
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.broker.sessions.kept_rows import decoded
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.storage.rows import NOTES

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription
    from trio_mqtt.storage.rows import DeliveryRow, Kept, MessageRow, RetainedRow, SessionRow

Progress: TypeAlias = Callable[[float], None]
"""Is told how far restoring has come, from 0 to 1; by any thread."""

logger = logging.getLogger("trio_mqtt.storage")

AT_ONCE = 1_000  # rows that are restored before others have their turn
_TOGETHER = 256  # messages that are one batch again, at most


class _Run:
    """Messages that came together, on their way to one session: they travel as one batch again."""

    __slots__ = ("after", "first", "received_at", "rows", "subscription", "target")

    def __init__(self, subscription: Subscription, target: Target, first: MessageRow) -> None:
        self.subscription = subscription
        self.target = target
        self.first = first.number
        self.after = first.number + 1
        self.received_at = first.received_at
        self.rows = [first]

    def goes_on_with(self, target: Target, row: MessageRow) -> bool:
        """Whether the next message is one of them; then it is added."""
        if (
            target is not self.target
            or row.number != self.after
            or row.received_at != self.received_at
            or len(self.rows) == _TOGETHER
        ):
            return False
        self.after += 1
        self.rows.append(row)
        return True


class _Restoring:
    """Puts what was kept where it was."""

    def __init__(
        self, core: Core, journal: Journal, kept: Kept, progress: Callable[[int, int], None]
    ) -> None:
        self._core = core
        self._journal = journal
        self._kept = kept
        self._progress = progress
        self._now = trio.current_time()
        self._messages = {row.number: row for row in kept.messages}
        # For how many sessions each message is still needed.
        self._needed: Counter[int] = Counter()
        # Those that are for several sessions are shared, by their first and last numbers.
        self._batches: dict[tuple[int, int], Batch] = {}
        self._targets: dict[tuple[object, ...], Target] = {}
        # What each session gets next, while more of it may come.
        self._runs: dict[int, _Run] = {}
        self._sessions: dict[int, Session] = {}
        self._under_way = 0  # messages that are on their way to a session
        self._steps = 0
        rows = kept.retained, kept.sessions, kept.subscriptions, kept.deliveries
        self._all_steps = sum(len(each) for each in rows)

    async def run(self) -> Holdings:
        retained = await self._retained()
        for session in self._kept.sessions:
            self._session(session)
            await self._step()
        await self._subscriptions()
        for session_number, packet_id in self._kept.identifiers:
            owner = self._sessions.get(session_number)
            if owner is not None:
                owner.receiver.restore([packet_id])
        for row in self._kept.deliveries:
            self._deliver(row)
            await self._step()
        for restored in self._sessions.values():
            restored.sender.all_restored()
        for run in self._runs.values():
            self._queue(run)
        for number in self._messages:
            self._journal.needed(number, self._needed[number])
        return Holdings(len(self._sessions), self._under_way, retained)

    async def _step(self) -> None:
        self._steps += 1
        if not self._steps % AT_ONCE:
            self._progress(self._steps, self._all_steps)
            await trio.lowlevel.checkpoint()

    async def _retained(self) -> int:
        count = 0
        for row in self._kept.retained:
            if row.topic.startswith(NOTES):
                self._note(row)
                continue
            at = self._clock(row.received_at)
            properties = decoded(row.properties)
            if remaining_properties(properties, int(self._now - at)) is None:
                self._journal.no_longer_retained(row.topic)
                continue
            message = Publish(row.topic, row.payload, row.qos, True, properties=properties)
            try:
                author = author_of(row.author)
            except (ValueError, TypeError):
                # Whether its author may say this, nobody can tell any more.
                logger.warning("Who published to %r is damaged: it is not restored.", row.topic)
                self._journal.no_longer_retained(row.topic)
                continue
            count += self._core.retained.store(message, at, author)
            await self._step()
        return count

    def _note(self, row: RetainedRow) -> None:
        """What the broker has noted for itself: a ban."""
        try:
            self._core.bans.add(Ban.restored(row.payload.decode()))
        except (ValueError, TypeError):
            logger.warning("A ban is damaged, and is not in force any more.")
            self._journal.note(row.topic.removeprefix(NOTES), None)

    def _session(self, row: SessionRow) -> None:
        try:
            permissions = permissions_of(self._core, row.author)
        except (ValueError, TypeError):
            logger.warning("Whose the will of %r is is damaged: it is not kept.", row.client_id)
            row, permissions = row._replace(will=None, author=None), None
        session = self._core.sessions.restore(row, self._journal, permissions)
        self._sessions[row.number] = session

    async def _subscriptions(self) -> None:
        for row in self._kept.subscriptions:
            session = self._sessions.get(row.session)
            if session is None:
                continue
            restore_subscription(self._core, self._journal, session, row)
            await self._step()

    def _deliver(self, row: DeliveryRow) -> None:
        """A message is on its way to a session, as it was."""
        session = self._sessions.get(row.session)
        if session is None:
            return
        message = self._messages.get(row.message)
        if message is not None and not row.is_released:
            self._needed[row.message] += 1
        if row.place:
            self._journal.restored_place(row)
        if row.packet_id:
            shared = TopicFilter(row.topic_filter) if row.topic_filter else None
            origin = _identifiers(row.identifiers), shared
            if row.is_released or message is None:
                item = (Publish(""), False, origin, self._now, row.message)
                session.sender.restore_released(row.packet_id, item)
                return
            at = self._clock(message.received_at)
            sent = (self._publish(message), bool(row.retain), origin, at, row.message)
            session.sender.restore(row.packet_id, row.qos, sent)
            self._under_way += 1
            return
        subscription = session.subscriptions.get(row.topic_filter)
        if subscription is None or message is None or self._has_expired(message):
            self._journal.completed(row.session, (row.message,))  # others may need the message
            self._needed[row.message] -= 1
            return
        self._under_way += 1
        target = self._target(subscription, row)
        run = self._runs.get(row.session)
        if run is None or not run.goes_on_with(target, message):
            self._runs[row.session] = _Run(subscription, target, message)
            if run is not None:
                self._queue(run)

    def _queue(self, run: _Run) -> None:
        """Messages wait for a session, as they did."""
        key = run.first, run.after
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = Batch(
                [self._publish(row) for row in run.rows],
                received_at=self._clock(run.received_at),
            )
            batch.number = run.first
        run.subscription.restore(run.target, batch)

    def _target(self, subscription: Subscription, row: DeliveryRow) -> Target:
        key = row.session, row.topic_filter, row.qos, row.retain, row.identifiers
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = Target(
                subscription,
                row.qos,
                bool(row.retain),
                _identifiers(row.identifiers),
                False,
                subscription.shared_filter,
                subscription.session.mount_point,
            )
        return target

    def _publish(self, row: MessageRow) -> Publish:
        return Publish(
            row.topic, row.payload, row.qos, bool(row.retain), properties=decoded(row.properties)
        )

    def _clock(self, received_at: float) -> float:
        """When that was on the broker's clock; not later than now, whatever the time of day is."""
        return min(received_at - self._journal.epoch, self._now)

    def _has_expired(self, row: MessageRow) -> bool:
        if row.expires_at is None:
            return False
        at = self._clock(row.received_at)
        properties = decoded(row.properties)
        return remaining_properties(properties, int(self._now - at)) is None


async def restore(core: Core, journal: Journal, progress: Progress | None = None) -> Holdings:
    """Restore everything that the journal's storage holds, but what has expired meanwhile."""

    def tell(begin: float, end: float, done: int, total: int) -> None:
        if progress is not None and total:
            progress(begin + (end - begin) * done / total)

    # Reading takes about a third of the time.
    kept = await journal.load(partial(tell, 0.0, 0.3))
    try:
        return await _Restoring(core, journal, kept, partial(tell, 0.3, 1.0)).run()
    except BaseException:  # whoever opens the broker may be cancelled
        await journal.let_go()
        raise


def _identifiers(data: bytes) -> tuple[int, ...]:
    found = decoded(data).get("subscription_identifier", ())
    return tuple(found)
