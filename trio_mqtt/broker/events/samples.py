"""What a program that embeds the broker can follow: who comes and goes, and a sample of messages.

Events are recorded only while somebody watches, into a bounded sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.batch import Batch

SAMPLE_BYTES = 1024 * 1024  # of payloads that a sample holds between two looks
SAMPLE_OF_ONE_READ = 10  # messages: one busy client must not fill the sample alone


class PublishedMessage(Protocol):
    """An application message as a watcher sees it."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def retain(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ClientConnected:
    """A client was accepted. `protocol_version` is "3.1", "3.1.1" or "5"."""

    client_id: str
    address: str
    protocol_version: str
    username: str | None
    session_present: bool


@dataclass(frozen=True, slots=True)
class ClientRefused:
    """A connection ended before its client was accepted; nobody has proved its `username`."""

    client_id: str | None
    address: str
    reason: str
    username: str | None = None


@dataclass(frozen=True, slots=True)
class ClientDisconnected:
    """The connection of an accepted client ended; `reason` is empty where it said goodbye."""

    client_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A client subscribed; `qos` is what it was granted."""

    client_id: str
    topic_filter: str
    qos: int


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """A client gave up a subscription."""

    client_id: str
    topic_filter: str


@dataclass(frozen=True, slots=True)
class MessagesPublished:
    """Messages of one client, in the order of arrival; None is the broker itself."""

    client_id: str | None
    messages: Sequence[PublishedMessage]


BrokerEvent = (
    ClientConnected
    | ClientRefused
    | ClientDisconnected
    | Subscribed
    | Unsubscribed
    | MessagesPublished
)


class Watch:
    """A bounded sample of what happens, taken off when the watcher likes.

    Between two looks it holds at most `limit` events, of which messages may fill half and
    `SAMPLE_BYTES`: the rest is only counted, so that watching costs the same at any rate.
    """

    __slots__ = ("_bytes", "_events", "_full", "_limit", "_messages", "missed_events",
                 "missed_messages")  # fmt: skip

    def __init__(self, limit: int) -> None:
        self._events: list[BrokerEvent] = []
        self._limit = limit
        self._messages = 0
        self._bytes = 0
        # No message has room until the next look: most batches of a busy broker see only this.
        self._full = False
        self.missed_events = 0
        self.missed_messages = 0

    def record(self, event: BrokerEvent) -> None:
        if len(self._events) < self._limit:
            self._events.append(event)
        else:
            self.missed_events += 1

    def record_messages(self, batch: Batch) -> None:
        if self._full:
            self.missed_messages += batch.count
            return
        room = min(self._limit // 2 - self._messages, self._limit - len(self._events))
        if room <= 0 or self._bytes >= SAMPLE_BYTES:
            self._full = True
            self.missed_messages += batch.count
            return
        sample: list[PublishedMessage] = []
        for message in batch.sample(min(room, SAMPLE_OF_ONE_READ)):
            self._bytes += len(message.payload)
            if self._bytes > SAMPLE_BYTES:
                break
            sample.append(message)
        self._messages += len(sample)
        self.missed_messages += batch.count - len(sample)
        client_id = None if batch.sender is None else batch.sender.client_id
        if sample:
            self._events.append(MessagesPublished(client_id, sample))

    def take(self) -> list[BrokerEvent]:
        """The events recorded since the last call, oldest first."""
        events = self._events
        self._events = []
        self._messages = self._bytes = 0
        self._full = False
        return events


class Watchers:
    """All who watch one broker.

    `present` tells whether anybody does, `sampling` whether anybody wants messages as well.
    """

    __slots__ = ("_samples", "_watches", "present", "sampling")

    def __init__(self) -> None:
        self._watches: list[Watch] = []
        self._samples: list[Watch] = []
        self.present = False
        self.sampling = False

    def record(self, event: BrokerEvent) -> None:
        for watch in self._watches:
            watch.record(event)

    def record_messages(self, batch: Batch) -> None:
        for watch in self._samples:
            watch.record_messages(batch)

    @contextmanager
    def watch(self, limit: int, *, messages: bool = True) -> Iterator[Watch]:
        watch = Watch(limit)
        self._watches.append(watch)
        if messages:
            self._samples.append(watch)
        self.present, self.sampling = True, bool(self._samples)
        try:
            yield watch
        finally:
            self._watches.remove(watch)
            if messages:
                self._samples.remove(watch)
            self.present, self.sampling = bool(self._watches), bool(self._samples)
