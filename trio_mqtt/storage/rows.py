"""What a broker keeps, row by row, and what has changed of it: the interface of every storage.

A row has values that SQLite takes as they are. Times are seconds since 1970: a broker's own clock
does not outlive it. Properties are bytes as the standard writes them (MQTT 5.0 §2.2.2). Numbers are
from 1 on, and never used for another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many rows are read, and of how many; perhaps in another thread."""


class MessageRow(NamedTuple):
    """An application message that waits or is in flight, once for all sessions that it is for.

    What is left of its expiry interval counts from `received_at`, and ends at `expires_at`.
    """

    number: int
    topic: str
    payload: bytes
    qos: int
    retain: int
    received_at: float
    properties: bytes
    expires_at: float | None = None


class DeliveryRow(NamedTuple):
    """A message on its way to one session, which it reaches once.

    It stands where its number does, or as if it had the number `place`, where that is not 0.

    `message` is the number of a message; that may be gone where only PUBREL is left to be answered.
    `qos` and `retain` are those with which it is sent; `identifiers` its subscription identifiers,
    as properties. `topic_filter` is the subscription that it waits in. `packet_id` is 0 while it
    waits; `is_released` says that PUBREC has come for it.
    """

    session: int
    message: int
    topic_filter: str
    qos: int
    retain: int
    identifiers: bytes
    packet_id: int = 0
    is_released: int = 0
    place: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Sorts deliveries to a session."""
        return self.place or self.message, self.message


class IdentifierRow(NamedTuple):
    """The packet identifier of QoS 2 that the client of a session has yet to release (§4.3.3)."""

    session: int
    packet_id: int


class SubscriptionRow(NamedTuple):
    """A subscription with its options (§3.8.3).

    `asked` are the filters by which its client knows it, between them NULs, which no filter has.
    `searching` says that retained messages are still looked for, which its client is to be sent.
    """

    session: int
    topic_filter: str
    qos: int
    no_local: int
    retain_as_published: int
    identifier: int | None
    asked: str
    searching: int = 0


class SessionRow(NamedTuple):
    """A session (§4.1). It ends at `expires_at`; None is never, or that its client is connected.

    `owner` is the user whose it is, where a user name was proved. `will` is that of its client,
    encoded with its options; it is due at `will_due_at`, or, if that is None, when the client is
    found to have gone; `author` says who says it, where rules ask again.
    """

    number: int
    client_id: str
    owner: str | None
    expiry_interval: int
    expires_at: float | None
    will: bytes | None
    will_due_at: float | None
    author: str | None = None


# How the topic of a row begins that is no retained message but a note of the broker's own: no topic
# has this character (MQTT 5.0 §1.5.4).
NOTES = "\0"


class RetainedRow(NamedTuple):
    """The retained message of a topic; `author` says who it is from, where rules ask again.

    With NOTES before it the topic is the name of something that the broker notes for itself.
    """

    topic: str
    payload: bytes
    qos: int
    received_at: float
    properties: bytes
    author: str | None
    expires_at: float | None = None


Row: TypeAlias = (
    MessageRow | DeliveryRow | IdentifierRow | SubscriptionRow | SessionRow | RetainedRow
)


class Changes:
    """What has changed: for each key its row as it is from now on, or None where it is gone.

    With a session goes all that is its own: subscriptions, deliveries and identifiers. Messages are
    named for themselves. After all that, times move along by `clock_set` seconds, for the time of
    day was set by as many: those at which something ends, and when it was received.
    """

    __slots__ = ("clock_set", "deliveries", "identifiers", "messages", "retained", "sessions",
                 "subscriptions")  # fmt: skip

    def __init__(self) -> None:
        self.clock_set: float = 0.0
        self.messages: dict[int, MessageRow | None] = {}
        # By session and message.
        self.deliveries: dict[tuple[int, int], DeliveryRow | None] = {}
        # By session, and the packet identifier of QoS 2 that its client has yet to release.
        self.identifiers: dict[tuple[int, int], bool] = {}
        self.subscriptions: dict[tuple[int, str], SubscriptionRow | None] = {}
        self.sessions: dict[int, SessionRow | None] = {}
        self.retained: dict[str, RetainedRow | None] = {}

    def __bool__(self) -> bool:
        return bool(
            self.messages
            or self.deliveries
            or self.identifiers
            or self.subscriptions
            or self.sessions
            or self.retained
            or self.clock_set
        )


class Kept(NamedTuple):
    """Everything that a storage holds; deliveries in the order in which they go.

    `last_session` is a number up to which there may be remains of sessions that have gone.
    """

    messages: list[MessageRow]
    deliveries: list[DeliveryRow]
    identifiers: list[IdentifierRow]
    subscriptions: list[SubscriptionRow]
    sessions: list[SessionRow]
    retained: list[RetainedRow]
    damage: str = ""
    last_session: int = 0

    @property
    def rows(self) -> int:
        """How many there are in all."""
        return sum(len(rows) for rows in self if isinstance(rows, list))


class Storage(Protocol):
    """Keeps what must outlive a broker. One broker at a time uses it, one call at a time."""

    async def load(self, progress: Progress | None = None) -> Kept:
        """Everything that was kept; called once, before any client is accepted.

        What has expired is gone: retained messages, messages that wait, and sessions but those
        that have a will, which is due then. Raises StoreError where there is no storage to be had.
        """

    async def append(self, changes: Changes) -> None:
        """Keep the changes, all or none; returns when they are as safe as this storage promises.

        Raises StoreError where that cannot be done now, as on a full disk: then nothing of them
        is kept, and the same changes may come again, with others. What comes twice does no harm.
        Cancelled, it has either not begun or done it all.
        """

    async def close(self) -> None:
        """No more calls follow."""
