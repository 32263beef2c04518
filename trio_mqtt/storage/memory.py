"""A storage in memory: it outlives brokers, not the process."""

from __future__ import annotations

import time
from operator import attrgetter

import trio

from trio_mqtt.storage.rows import (
    Changes,
    DeliveryRow,
    IdentifierRow,
    Kept,
    MessageRow,
    Progress,
    RetainedRow,
    SessionRow,
    SubscriptionRow,
)


class _Session:
    """A session, and what goes with it."""

    __slots__ = ("deliveries", "identifiers", "row", "subscriptions")

    def __init__(self, row: SessionRow) -> None:
        self.row = row
        self.deliveries: dict[int, DeliveryRow] = {}  # by message
        self.identifiers: dict[int, bool] = {}
        self.subscriptions: dict[str, SubscriptionRow] = {}


class MemoryStorage:
    """Hands sessions and retained messages from one broker of a program to the next.

    storage = trio_mqtt.MemoryStorage()
    async with trio_mqtt.open_broker(storage=storage): ...
    async with trio_mqtt.open_broker(storage=storage): ...  # goes on where the first ended
    """

    def __init__(self) -> None:
        self._messages: dict[int, MessageRow] = {}
        self._sessions: dict[int, _Session] = {}
        self._retained: dict[str, RetainedRow] = {}

    async def load(self, progress: Progress | None = None) -> Kept:
        """What the broker before has kept here, as `Storage.load` promises."""
        await trio.lowlevel.checkpoint()
        self._forget_what_expired(time.time())
        sessions = self._sessions.values()
        kept = Kept(
            list(self._messages.values()),
            sorted(
                (row for session in sessions for row in session.deliveries.values()),
                key=attrgetter("order"),
            ),
            [
                IdentifierRow(session.row.number, each)
                for session in sessions
                for each in session.identifiers
            ],
            [row for session in sessions for row in session.subscriptions.values()],
            [session.row for session in sessions],
            list(self._retained.values()),
        )
        if progress is not None:
            progress(kept.rows, kept.rows)
        return kept

    def _forget_what_expired(self, now: float) -> None:
        for session in list(self._sessions.values()):
            if _is_over(session.row.expires_at, now) and session.row.will is None:
                del self._sessions[session.row.number]
        for session in self._sessions.values():
            session.deliveries = {
                number: row
                for number, row in session.deliveries.items()
                if row.is_released or not self._is_void(row, now)
            }
        needed = {
            row.message
            for session in self._sessions.values()
            for row in session.deliveries.values()
        }
        self._messages = {key: row for key, row in self._messages.items() if key in needed}
        self._retained = {
            topic: row for topic, row in self._retained.items() if not _is_over(row.expires_at, now)
        }

    def _is_void(self, delivery: DeliveryRow, now: float) -> bool:
        message = self._messages.get(delivery.message)
        # Sent once, it does not expire (§4.3.3).
        return message is None or (not delivery.packet_id and _is_over(message.expires_at, now))

    async def append(self, changes: Changes) -> None:
        """Keep the changes in memory, as `Storage.append` promises."""
        await trio.lowlevel.checkpoint()
        for number, message in changes.messages.items():
            if message is None:
                self._messages.pop(number, None)
            else:
                self._messages[number] = message
        for topic, retained in changes.retained.items():
            if retained is None:
                self._retained.pop(topic, None)
            else:
                self._retained[topic] = retained
        for number, session in changes.sessions.items():
            if session is None:
                self._sessions.pop(number, None)
            elif number in self._sessions:
                self._sessions[number].row = session
            else:
                self._sessions[number] = _Session(session)
        self._append_to_sessions(changes)
        if changes.clock_set:
            self._move_times(changes.clock_set)

    def _move_times(self, seconds: float) -> None:
        for number, message in self._messages.items():
            if message.expires_at is not None:
                self._messages[number] = message._replace(
                    received_at=message.received_at + seconds,
                    expires_at=message.expires_at + seconds,
                )
        for topic, retained in self._retained.items():
            if retained.expires_at is not None:
                self._retained[topic] = retained._replace(
                    received_at=retained.received_at + seconds,
                    expires_at=retained.expires_at + seconds,
                )
        for session in self._sessions.values():
            row = session.row
            session.row = row._replace(
                expires_at=None if row.expires_at is None else row.expires_at + seconds,
                will_due_at=None if row.will_due_at is None else row.will_due_at + seconds,
            )

    def _append_to_sessions(self, changes: Changes) -> None:
        """What belongs to a session; where it has gone, so has that."""
        for (of, message), delivery in changes.deliveries.items():
            if of in self._sessions:
                deliveries = self._sessions[of].deliveries
                if delivery is None:
                    deliveries.pop(message, None)
                else:
                    deliveries[message] = delivery
        for (of, topic_filter), subscription in changes.subscriptions.items():
            if of in self._sessions:
                subscriptions = self._sessions[of].subscriptions
                if subscription is None:
                    subscriptions.pop(topic_filter, None)
                else:
                    subscriptions[topic_filter] = subscription
        for (of, identifier), is_kept in changes.identifiers.items():
            if of in self._sessions:
                identifiers = self._sessions[of].identifiers
                if is_kept:
                    identifiers[identifier] = True
                else:
                    identifiers.pop(identifier, None)

    async def close(self) -> None:
        """Let the next broker load it (`Storage.close`)."""
        # There is nothing to let go of: the next broker loads it.
        await trio.lowlevel.checkpoint()


def _is_over(expires_at: float | None, now: float) -> bool:
    return expires_at is not None and expires_at <= now
