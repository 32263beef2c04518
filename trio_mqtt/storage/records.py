"""What a storage keeps, in the terms of the standard, and the interface of every storage.

Times are seconds since 1970: a broker's own clock does not outlive it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trio_mqtt.protocol.properties import Properties


@dataclass(frozen=True, slots=True)
class StoredAuthor:
    """The client that published a retained message, as access rules know it (`ClientInfo`)."""

    client_id: str
    username: str | None
    authenticated: bool
    address: str = ""
    protocol_version: str = ""
    listener: str = ""
    certificate_name: str | None = None
    certificate_subject: str | None = None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """An application message. What is left of its expiry interval counts from `stored_at`.

    Retained ones have an `author` where access rules must be asked about it again.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    stored_at: float
    properties: Properties
    author: StoredAuthor | None = None


@dataclass(frozen=True, slots=True)
class StoredSubscription:
    """A subscription with its options (MQTT 5.0 §3.8.3) and the messages that wait for it.

    The messages have the QoS and the RETAIN flag with which they are to be sent, and their
    subscription identifiers as a property.
    """

    topic_filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    identifier: int | None
    waiting: tuple[StoredMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredSession:
    """What a session consists of (MQTT 5.0 §4.1). It ends at `expires_at`; None is never."""

    client_id: str
    expires_at: float | None
    subscriptions: tuple[StoredSubscription, ...] = ()
    in_flight: tuple[tuple[int, StoredMessage], ...] = ()
    """Packet identifier and message of what was sent and not acknowledged, in order of sending."""
    released: tuple[int, ...] = ()
    """Packet identifiers of QoS 2 for which PUBREL was sent to the client."""
    received: tuple[int, ...] = ()
    """Packet identifiers of QoS 2 that came from the client, which has yet to send PUBREL."""
    owner: str | None = None
    """The user whose session it is, where a user name was proved."""


@dataclass(frozen=True, slots=True)
class RetainedChange:
    """The retained message of a topic is another one, or (None) there is none any more."""

    topic: str
    message: StoredMessage | None


@dataclass(frozen=True, slots=True)
class SessionChange:
    """A session is as given, or (None) it has ended."""

    client_id: str
    session: StoredSession | None


Change = RetainedChange | SessionChange


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything that a storage holds."""

    retained: tuple[StoredMessage, ...] = ()
    sessions: tuple[StoredSession, ...] = ()


class Storage(Protocol):
    """Keeps what must outlive a broker. One broker at a time uses it."""

    async def load(self) -> Stored:
        """Everything that was kept; called once, before any client is accepted."""

    async def append(self, changes: Sequence[Change]) -> None:
        """Keep the changes, in order, all or none; returns when they are as safe as they get."""

    async def close(self) -> None:
        """No more calls follow."""
