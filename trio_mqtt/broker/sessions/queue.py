"""What waits in a subscription: a bounded queue of batches that belongs to the session."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import trio

from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.broker.sessions import queue_bounds
from trio_mqtt.broker.sessions.order import PIECE
from trio_mqtt.broker.sessions.retained_first import RetainedFirst
from trio_mqtt.storage.gathered import DeliveryRun, encoded_identifiers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.routing.retained_search import RetainedSearch
    from trio_mqtt.broker.sessions.delivery_state import DeliveryState
    from trio_mqtt.broker.sessions.outlet import Outlet
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.protocol.packets import Publish

# Seconds after which a batch counts as coming alone to a subscription. It is then written by who
# brings it: waking the subscription's task would cost more than the writing. What follows closer
# goes through the queue, where the batches of many publishers gather and leave as one; those of one
# publisher would not, as each read of it is routed before the next.
ALONE = 0.0003


# What waits where nothing has waited yet: an empty deque of one's own takes 760 bytes.
_NOTHING: deque[Any] = deque(maxlen=0)


class Server(Protocol):
    """The connection, as far as a subscription knows of it."""

    def run(self, subscription: Any) -> None:  # noqa: ANN401 # one that is a Queue
        """Start the task that sends what waits in a subscription."""


class Queue:
    """The batches of a subscription that wait, and the one that is being sent.

    While the client is away it is the offline queue; the task of the next connection goes on where
    the last one stopped. The session and the broker know how much waits in all.
    """

    __slots__ = ("_at", "_author", "_current", "_idle", "_limits", "_offered_at", "_retained",
                 "_statistics", "_waiting", "closed", "session", "target")  # fmt: skip
    __deletable__ = ("target",)  # what mypyc asks to be told

    # How messages that only this subscription matches reach the session.
    target: Target

    # Which messages it gets.
    topic_filter: TopicFilter

    def __init__(self, session: DeliveryState, limits: Limits, statistics: Statistics) -> None:
        self.session = session
        self.closed = False
        self._limits = limits
        self._statistics = statistics
        # Every batch holds at least one message, so the bounds on queued messages bound it too; but
        # what is restored was queued within other bounds, perhaps.
        self._waiting: deque[tuple[Target, Batch]] = _NOTHING
        # The task, while it has nothing to do, or who starts it, while it never had.
        self._idle: trio.lowlevel.Task | Server | None = None
        # When the last batch has come while it had nothing to do, on the broker's clock.
        self._offered_at = -ALONE
        # And whose it was: what tells its sender from others of that time, 0 for the broker itself.
        self._author = 0
        # What was taken off the queue and is not sent yet, and how far it is.
        self._current: tuple[Target, Batch] | None = None
        self._at = 0
        # The retained messages that are to be sent before all else, while there are any.
        self._retained: RetainedFirst | None = None

    def waits_since(self, moment: float) -> bool:
        """Whether something waits that came up to this moment: what came first goes first."""
        current = self._current
        if current is not None and not current[1].retained:
            return current[1].received_at <= moment
        return bool(self._waiting) and self._waiting[0][1].received_at <= moment

    def has_room_for(self, count: int, size: int) -> bool:
        """Whether so many messages of so many bytes, of any QoS, can wait for the session too."""
        return queue_bounds.has_room_for(self.session, self._limits, count, size)

    def offer_retained(self, search: RetainedSearch) -> None:
        """Let the retained messages that SUBSCRIBE asks for be sent before what comes from now on.

        They come on top of the bounds: no more of them wait than are written at once. What an
        earlier SUBSCRIBE has asked for and was not sent is among them.
        """
        if self._retained is not None:
            self._retained.end()
        self._retained = RetainedFirst(self.session, search)

    def begin_search(self, outlet: Outlet) -> None:
        """Take the first steps in search of the retained messages."""
        retained = self._retained
        if retained is None:
            return
        retained.begin(outlet)
        if retained.is_over:
            self._end_search()
        elif self._idle is not None:
            self._wake(self._idle)

    def _end_search(self) -> None:
        """All retained messages have been found, and given to the journal, or nobody wants them."""
        self._retained = None
        journal = self.session.journal
        if journal is not None:
            journal.searched(self.session.number, self.topic_filter.text)

    def _put(self, target: Target, batch: Batch) -> None:
        self._line().append((target, batch))
        order = self.session.order
        if order is not None:
            order.put(self, batch, self.session.queued_messages)
        # Where something waits and nobody has woken it, it is spread, and will be.
        if self._idle is not None and not batch.is_spread and len(self._waiting) == 1:
            self._wake(self._idle)

    def begin_sending(self) -> int:
        """Wake the task that sends what waits, if it sleeps; the bytes that the session has so."""
        if self._idle is None or not self._waiting:
            return 0
        self._wake(self._idle)
        return self.session.queued_bytes

    def _line(self) -> deque[tuple[Target, Batch]]:
        """What waits, to put something there."""
        if self._waiting is _NOTHING:
            self._waiting = deque()
        return self._waiting

    def _take(self) -> tuple[Target, Batch]:
        """The next batch of the queue, which must hold one."""
        return self._waiting.popleft()

    # -- where the oldest goes for what is new ----------------------------------------------------

    def waiting(self) -> Iterator[Batch]:
        """What waits, and is none of the retained messages that SUBSCRIBE asked for."""
        if self._current is not None and not self._current[1].retained:
            yield self._current[1]
        for _, batch in self._waiting:
            yield batch

    @property
    def batches(self) -> int:
        """How many these are."""
        return sum(1 for _ in self.waiting())

    def first_unsent(self, batch: Batch) -> int | None:
        """From which message on a batch was not sent; None if it is not what is sent next."""
        if self._current is not None and self._current[1] is batch:
            return self._at
        return 0 if self._waiting and self._waiting[0][1] is batch else None

    def drop(self, batch: Batch, start: int, count: int) -> list[Batch]:
        """Let go of so many messages from `start` on of what is sent next; its rest, in pieces."""
        current = self._current
        if current is not None and current[1] is batch:
            target = current[0]
            self._count_begun(batch)
            self._at = 0
            self._current = None
        else:
            current = None
            target, _ = self._take()
        self._forget(batch)
        self._no_longer_kept(target, batch, start, start + count)
        pieces = []
        for at in range(start + count, batch.count, PIECE):
            piece = batch.part(batch.messages[at : at + PIECE])
            piece.number = batch.number and batch.number + at  # the journal knows it
            self._count(piece)
            pieces.append(piece)
        self._line().extendleft((target, piece) for piece in reversed(pieces))
        if current is not None and pieces:
            self._current = self._take()
        return pieces

    def _wake(self, idle: trio.lowlevel.Task | Server) -> None:
        self._idle = None
        if isinstance(idle, trio.lowlevel.Task):
            trio.lowlevel.reschedule(idle)
        else:
            idle.run(self)

    def _not_idle(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._idle = None
        return trio.lowlevel.Abort.SUCCEEDED

    def close(self, *, searched: bool = False) -> list[tuple[Target, Batch]]:
        """End the subscription and its task; return what waited and was not sent.

        If it is `searched`, retained messages that were still to be found are among that.
        """
        self.closed = True
        waiting = self.withdraw(searched=searched)
        if isinstance(self._idle, trio.lowlevel.Task):
            self._wake(self._idle)
        self._idle = None
        del self.target  # it refers back, and each would keep the other
        return waiting

    def abandon(self) -> Iterator[None]:
        """End the subscription and its task; what waits goes to nobody, step by step."""
        waiting, self._waiting = self._waiting, _NOTHING
        self.close()
        return self._let_go(waiting, self.session.journal)

    def _let_go(
        self, waiting: deque[tuple[Target, Batch]], journal: Journal | None
    ) -> Iterator[None]:
        session = self.session
        while waiting:
            target, batch = waiting.popleft()
            self._forget(batch)
            if journal is not None:  # its session may be kept no longer
                journal.delivered(session.number, _kept_of(target, batch, 0, batch.count))
            yield

    def withdraw(self, *, searched: bool = False) -> list[tuple[Target, Batch]]:
        """Take back what waits and was not sent."""
        waiting: list[tuple[Target, Batch]] = []
        if self._current is not None:
            target, batch = self._current
            self._forget(batch)
            self._count_begun(batch)
            self._no_longer_kept(target, batch, self._at)
            waiting.append((target, batch.part(batch.messages[self._at :])))
            self._current = None
            self._at = 0
        if self._retained is not None:
            rest = self._retained.rest(searched=searched)
            waiting.extend((self.target, batch) for batch in rest)
            self._retained.end()
            self._end_search()
        while self._waiting:
            target, batch = self._take()
            self._forget(batch)
            if batch.number:
                self._no_longer_kept(target, batch)
                batch = batch.part(batch.messages)  # which is kept anew for whoever gets it
            waiting.append((target, batch))
        return waiting

    def restore(self, target: Target, batch: Batch) -> None:
        """What waited when an earlier broker ended waits again; the journal knows of it."""
        self._count(batch)
        self._put(target, batch)

    def _keep(self, target: Target, batch: Batch, place: int = 0) -> Batch:
        """Have messages outlive the broker: those of QoS 1 and 2, as the session does.

        Returns what is kept: by a shared subscription a session may get a message once more, which
        is another delivery then. `place` is that of others for which it is sent.
        """
        session = self.session
        if session.journal is not None and batch.highest_qos and target.qos:
            if batch.number and self.topic_filter.share:
                batch = batch.part(batch.messages)
            run = DeliveryRun(
                session.number,
                0,
                batch.taken_apart(),
                self.topic_filter.text,
                bool(self.topic_filter.share),
                target.qos,
                target.retain_as_published or batch.retained,
                bytearray(encoded_identifiers(target.identifiers)),
                place,
            )
            session.journal.queued(batch, run, is_away=session.outlet is None)
        return batch

    def _no_longer_kept(
        self, target: Target, batch: Batch, start: int = 0, stop: int | None = None
    ) -> None:
        """The messages of a batch from `start` on, up to `stop`, have left the session."""
        session = self.session
        if session.journal is not None:
            numbers = _kept_of(target, batch, start, batch.count if stop is None else stop)
            session.journal.delivered(session.number, numbers)

    def _replace(self, target: Target, batch: Batch, messages: Sequence[Publish]) -> Batch | None:
        """Make `messages` what is left of the current batch."""
        journal, place = self.session.journal, 0
        if journal is not None and batch.number:
            kept = _kept_of(target, batch, self._at, batch.count)
            place = journal.place(self.session.number, kept[0]) if kept else 0
        self._forget(batch)
        self._count_begun(batch)
        self._no_longer_kept(target, batch, self._at)
        self._at = 0
        self._current = None
        if not messages:
            return None
        part = batch.part(messages)
        if part.retained:
            self.session.retained_waiting += part.count
        else:
            self._count(part)
        self._current = target, part
        self._keep(target, part, place)
        return part

    def _count(self, batch: Batch) -> None:
        self.session.queued_messages += batch.count
        self.session.queued_bytes += batch.size
        self._statistics.queued_bytes += batch.size

    def _forget(self, batch: Batch) -> None:
        if batch.retained:
            self.session.retained_waiting -= batch.count
        else:
            self.session.queued_messages -= batch.count
            self.session.queued_bytes -= batch.size
            self._statistics.queued_bytes -= batch.size

    def _count_begun(self, batch: Batch) -> None:
        """The current batch ends before it is done: count what was sent of it."""
        if self._at:
            begun = batch.messages[: self._at]
            self._statistics.payload_bytes_sent += sum(one.payload_size for one in begun)


def _kept_of(target: Target, batch: Batch, start: int, stop: int) -> list[int]:
    """The numbers by which the journal knows some messages of a batch."""
    first = batch.number
    if not first or not target.qos:
        return []
    messages = batch.messages
    return [first + index for index in range(start, stop) if messages[index].qos]
