"""Telling each event to all streams and samples that want it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from trio_mqtt.broker.events.kinds import (
    ALL_KINDS,
    BrokerEvent,
    MessageAcknowledged,
    MessageDelivered,
    MessagePublished,
)
from trio_mqtt.broker.events.log import EventLog
from trio_mqtt.broker.events.samples import EventSample
from trio_mqtt.broker.events.streams import EventStream

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.published import Published
    from trio_mqtt.broker.timers import Timers
    from trio_mqtt.protocol.packets import Publish


class Follower(Protocol):
    """Who is told of events: at once, so that it must not take long."""

    @property
    def kinds(self) -> frozenset[type[BrokerEvent]]:
        """Of these kinds."""

    def tell(self, event: BrokerEvent) -> None:
        """An event has happened."""

    def tell_published(self, client_id: str | None, batch: Published) -> None:
        """Messages were taken."""

    def end(self) -> None:
        """There is nothing more to come."""


class EventStreams:
    """All streams and samples of one broker's events, and its log.

    `wanted` are the kinds that anybody follows: who would tell an event looks there first, so that
    nothing is made while nobody does.
    """

    __slots__ = ("_following", "log", "wanted")

    def __init__(self, timers: Timers) -> None:
        self.wanted: frozenset[type[BrokerEvent]] = frozenset()
        self.log = EventLog(timers, self.kinds_changed)
        self._following: list[Follower] = [self.log]
        self.log.look()

    @contextmanager
    def stream(self, kinds: Sequence[type[BrokerEvent]], limit: int) -> Iterator[EventStream]:
        """A stream of events of these kinds (none: of all)."""
        stream = EventStream(frozenset(kinds) or ALL_KINDS, limit)
        with self.followed_by(stream):
            yield stream

    @contextmanager
    def sample(self, kinds: Sequence[type[BrokerEvent]], limit: int) -> Iterator[EventSample]:
        """A sample of events of these kinds (none: of all)."""
        sample = EventSample(frozenset(kinds) or ALL_KINDS, limit)
        with self.followed_by(sample):
            yield sample

    @contextmanager
    def followed_by(self, one: Follower) -> Iterator[None]:
        """Have a follower told for as long as the context lasts."""
        self._following.append(one)
        self.kinds_changed()
        try:
            yield
        finally:
            if one in self._following:
                self._following.remove(one)
                self.kinds_changed()
            one.end()

    def add(self, follower: Follower) -> None:
        """Have a part of the broker follow it until its end."""
        self._following.append(follower)
        self.kinds_changed()

    def end(self) -> None:
        """The broker ends: nothing more will happen."""
        for one in self._following:
            one.end()
        self._following = []
        self.kinds_changed()

    def kinds_changed(self) -> None:
        """Somebody follows other kinds than before."""
        self.wanted = frozenset().union(*(one.kinds for one in self._following))

    def tell(self, event: BrokerEvent) -> None:
        """Tell an event to those who follow its kind."""
        kind = type(event)
        for one in self._following:
            if kind in one.kinds:
                one.tell(event)

    def published(self, client_id: str | None, batch: Published) -> None:
        """Messages were taken."""
        for one in self._following:
            if MessagePublished in one.kinds:
                one.tell_published(client_id, batch)

    def delivered(self, client_id: str, messages: Iterable[Publish], qos: int) -> None:
        """Messages were sent to a client that has subscribed at a QoS."""
        for message in messages:
            self.tell(MessageDelivered(client_id, message.topic, min(message.qos, qos)))

    def acknowledged(self, client_id: str, taken: Iterable[tuple[int, str]]) -> None:
        """A client has taken over messages: the QoS and the topic of each."""
        for qos, topic in taken:
            self.tell(MessageAcknowledged(client_id, topic, qos))
