"""What is done where more waits for one client, or for all, than may."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trio_mqtt.broker.events.kinds import QUEUE_FULL, MessagesDropped, SlowConsumer
from trio_mqtt.broker.options import QueuePolicy
from trio_mqtt.broker.routing.sizes import BATCH, MESSAGE, size_of
from trio_mqtt.broker.sessions.queue_bounds import fitting_part
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.events.fan_out import EventStreams
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.sessions.delivery_state import DeliveryState
    from trio_mqtt.broker.sessions.order import Order
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.protocol.packets import Publish

SHORT = 64 * 1024  # bytes that may wait for who is away even where there is no memory left
TOLD_AGAIN = 60.0  # seconds until the same client is told of again, while it is as slow
# Seconds for which a client that comes back can take what waits, before it is disconnected again:
# its queue is still full then, and the next message does not fit into it.
DISCONNECTED_AGAIN = 60.0


class Overflow:
    """Makes what comes for a session fit, by its policy; tells who takes less than comes for it."""

    def __init__(self, limits: Limits, statistics: Statistics, event_streams: EventStreams) -> None:
        self._limits = limits
        self._statistics = statistics
        self._event_streams = event_streams
        self._most_in_all = self.looks_from = 0.0
        self.may_grow(math.inf)

    def may_grow(self, size: float) -> None:
        """By so many bytes all queues may grow, as there is memory: then long ones take no more."""
        self._most_in_all = self._statistics.queued_bytes + size
        # Bytes that wait for all, from which on each batch is looked at before it waits.
        half = self._limits.maximum_queued_bytes_in_all / 2
        self.looks_from = min(half, self._most_in_all) if size else -1

    def fit(self, session: DeliveryState, batch: Batch, qos: int) -> Batch | None:
        """What of a batch, sent at `qos` at most, waits for a session; the rest is dropped."""
        statistics, limits = self._statistics, self._limits
        most_bytes = limits.maximum_queued_bytes
        if statistics.queued_bytes + batch.size > self._most_in_all:
            short = SHORT if session.outlet is None else 2 * limits.write_buffer
            most_bytes = min(most_bytes, max(session.queued_bytes, short))
        evicted = 0
        last: Batch | None = batch
        if session.order is not None:
            last, evicted = self._evict(session, session.order, batch, qos, most_bytes)
        fitting, dropped = None, 0
        if last is not None:
            in_all = statistics.queued_bytes
            fitting, dropped = fitting_part(last, qos, session, most_bytes, limits, in_all)
        lost = evicted + dropped
        if lost:
            statistics.messages_dropped += lost
            statistics.queue_drops += lost
            session.dropped += lost
            if MessagesDropped in self._event_streams.wanted:
                self._event_streams.tell(MessagesDropped(session.client_id, lost, QUEUE_FULL))
        # Who is connected is told of at half of what may wait, where QoS 0 begins to be dropped.
        is_slow = lost or (
            session.outlet is not None
            and (
                (session.queued_messages + batch.count) * 2 > limits.maximum_queued_messages
                or (session.queued_bytes + batch.size) * 2 > limits.maximum_queued_bytes
            )
        )
        if is_slow and batch.received_at >= session.slow_told_at + TOLD_AGAIN:
            session.slow_told_at = batch.received_at
            self._tell_slow(session, fitting)
        if dropped and session.queue_policy is QueuePolicy.DISCONNECT:
            outlet = session.outlet
            if (
                outlet is not None
                and not outlet.ended
                and batch.received_at >= session.disconnected_at + DISCONNECTED_AGAIN
            ):
                session.disconnected_at = batch.received_at
                statistics.slow_consumers_disconnected += 1
                outlet.end(ReasonCode.QUOTA_EXCEEDED, "too much waits for it")
        return fitting

    def _evict(
        self, session: DeliveryState, order: Order, batch: Batch, qos: int, most_bytes: int
    ) -> tuple[Batch | None, int]:
        """Drop what has waited longest to make room for a batch.

        Returns what of the batch there may be room for, and how many messages were dropped.
        """
        limits, statistics = self._limits, self._statistics
        only_qos_0 = qos == 0 or batch.highest_qos == 0
        if only_qos_0 and session.outlet is None:
            return None, 0  # it does not wait for who is away
        share = 2 if only_qos_0 else 1
        most, most_bytes = limits.maximum_queued_messages // share, most_bytes // share
        last = _last_part(batch, most, most_bytes)
        if last is None:
            return None, batch.count
        evicted = batch.count - last.count
        while True:
            more = session.queued_messages + last.count - most
            more_bytes = last.size + max(
                session.queued_bytes - most_bytes,
                statistics.queued_bytes - limits.maximum_queued_bytes_in_all // share,
            )
            if more <= 0 and more_bytes <= 0:
                return last, evicted
            gone = order.drop(more, more_bytes, only_qos_0=only_qos_0)
            if not gone:
                return last, evicted
            evicted += gone

    def _tell_slow(self, session: DeliveryState, more: Batch | None) -> None:
        """A client takes less than comes for it; `more` waits in a moment."""
        is_connected = session.outlet is not None
        messages, size = session.queued_messages, session.queued_bytes
        if more is not None:
            messages, size = messages + more.count, size + more.size
        self._statistics.slow_consumers += 1
        if SlowConsumer in self._event_streams.wanted:
            self._event_streams.tell(
                SlowConsumer(
                    session.client_id,
                    is_connected,
                    messages,
                    size,
                )
            )


def _last_part(batch: Batch, count: int, size: int) -> Batch | None:
    """The last messages of a batch, as many as fit into an empty queue."""
    if batch.count <= count and batch.size <= size:
        return batch
    size -= BATCH
    last: list[Publish] = []
    for message in reversed(batch.messages):
        size -= size_of(message) + MESSAGE
        if size < 0 or len(last) == count:
            break
        last.append(message)
    return batch.part(last[::-1]) if last else None
