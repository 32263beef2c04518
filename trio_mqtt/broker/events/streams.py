"""What happens in a broker, event by event, for a program that follows it.

Nothing is recorded while nobody follows, and of each kind only while somebody asks for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.samples import (
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    Subscribed,
    Unsubscribed,
)

if TYPE_CHECKING:
    from trio_mqtt.broker.session import InFlight
    from trio_mqtt.protocol.packets import Publish
    from trio_mqtt.protocol.reason_codes import ReasonCode


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A connection was accepted; nothing is known yet of who it is. `listener` is a URL."""

    address: str
    listener: str


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """A client may not subscribe to what it asked for."""

    client_id: str
    topic_filter: str
    reason_code: ReasonCode
    reason: str


@dataclass(frozen=True, slots=True)
class MessagePublished:
    """A message was taken; None is the broker itself. Its will counts as its client's message."""

    client_id: str | None
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """A client's message went nowhere."""

    client_id: str
    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class MessageDelivered:
    """A message was sent to a client, at this QoS."""

    client_id: str
    topic: str
    qos: int


@dataclass(frozen=True, slots=True)
class MessageAcknowledged:
    """A client has taken over a message of QoS 1 (PUBACK) or 2 (PUBREC)."""

    client_id: str
    topic: str
    qos: int


@dataclass(frozen=True, slots=True)
class MessagesDropped:
    """Messages that were on their way to a client will not reach it, for this reason."""

    client_id: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class KeepAliveExpired:
    """A client was silent for one and a half times its keep alive; it is disconnected."""

    client_id: str


@dataclass(frozen=True, slots=True)
class WillPublished:
    """The will of a client that left without a goodbye was published."""

    client_id: str
    topic: str


@dataclass(frozen=True, slots=True)
class RetainedChanged:
    """The retained message of a topic is another one, or was removed."""

    topic: str
    removed: bool


@dataclass(frozen=True, slots=True)
class Pinged:
    """A client has sent PINGREQ."""

    client_id: str


# Those that a `Watch` has as well.
SessionEvent = ClientConnected | ClientRefused | ClientDisconnected | Subscribed | Unsubscribed
BrokerActivity = (
    ConnectionOpened
    | SessionEvent
    | KeepAliveExpired
    | Pinged
    | SubscriptionRefused
    | MessagePublished
    | MessageRefused
    | MessageDelivered
    | MessageAcknowledged
    | MessagesDropped
    | WillPublished
    | RetainedChanged
)
ALL: frozenset[type[BrokerActivity]] = frozenset(BrokerActivity.__args__)

EXPIRED = "it has expired or is too large for the client"
NOT_ALLOWED = "the client may not receive it"
QUEUE_FULL = "too much waits for the client"


class EventStream:
    """The events as they come, for `async for`. It ends when the broker does.

    What comes while `limit` events wait to be taken is lost, and counted in `lost`.
    """

    def __init__(self, kinds: frozenset[type[BrokerActivity]], limit: int) -> None:
        self.kinds = kinds
        self.lost = 0
        self._send, self._receive = trio.open_memory_channel[BrokerActivity](limit)

    def __aiter__(self) -> AsyncIterator[BrokerActivity]:
        return self._receive

    def tell(self, event: BrokerActivity) -> None:
        """An event has happened."""
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self.lost += 1

    def end(self) -> None:
        """There is nothing more to come."""
        self._send.close()


class Followers:
    """All streams of a broker's events; `wanted` are the kinds that anybody follows."""

    __slots__ = ("_streams", "wanted")

    def __init__(self) -> None:
        self._streams: list[EventStream] = []
        self.wanted: frozenset[type[BrokerActivity]] = frozenset()

    @contextmanager
    def follow(self, kinds: Sequence[type[BrokerActivity]], limit: int) -> Iterator[EventStream]:
        """A stream of events of these kinds (none: of all)."""
        stream = EventStream(frozenset(kinds) or ALL, limit)
        self._streams.append(stream)
        self._count()
        try:
            yield stream
        finally:
            if stream in self._streams:
                self._streams.remove(stream)
                self._count()
            stream.end()

    def end(self) -> None:
        """The broker ends: nothing more will happen."""
        for stream in self._streams:
            stream.end()
        self._streams = []
        self._count()

    def _count(self) -> None:
        self.wanted = frozenset().union(*(stream.kinds for stream in self._streams))

    def tell(self, event: BrokerActivity) -> None:
        """Tell an event to those who follow its kind."""
        kind = type(event)
        for stream in self._streams:
            if kind in stream.kinds:
                stream.tell(event)

    def published(self, client_id: str | None, messages: Sequence[Publish]) -> None:
        """Messages were taken."""
        for message in messages:
            self.tell(
                MessagePublished(
                    client_id, message.topic, message.payload, message.qos, message.retain
                )
            )

    def delivered(self, client_id: str, messages: Sequence[Publish], qos: int) -> None:
        """Messages were sent to a client that has subscribed at a QoS."""
        for message in messages:
            self.tell(MessageDelivered(client_id, message.topic, min(message.qos, qos)))

    def acknowledged(self, client_id: str, items: Sequence[tuple[int, InFlight]]) -> None:
        """A client has taken over messages, each with its QoS."""
        for qos, (message, *_) in items:
            self.tell(MessageAcknowledged(client_id, message.topic, qos))
