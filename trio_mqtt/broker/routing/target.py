"""How messages reach a session: what routing asks of subscriptions, and a subscription's target."""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.published import Author
from trio_mqtt.protocol.packets import Publish


class Subscriber(Author, Protocol):
    """A session, as far as routing knows of it."""

    @property
    def outlet(self) -> object | None:
        """Where what reaches it leaves; None while its client is away."""

    @property
    def journal(self) -> object | None:
        """Where what is on its way to it is kept; None where it ends with the broker."""

    @property
    def queued_messages(self) -> int:
        """How many messages wait for it."""

    @property
    def sender(self) -> Sized:
        """What was sent and is not acknowledged yet."""

    @property
    def mount_point(self) -> str:
        """What stands before all of its topics, and its client never sees."""


class Recipient(Protocol):
    """A subscription, as far as routing knows of it."""

    @property
    def session(self) -> Subscriber:
        """Whose it is."""

    @property
    def topic_filter(self) -> TopicFilter:
        """Which messages it gets, and with whom it shares them."""

    @property
    def target(self) -> Target:
        """How messages that only it matches reach the session."""

    @property
    def serial(self) -> int:
        """Tells which of two subscriptions is the older one."""

    def offer(self, target: Target, batch: Batch) -> None:
        """Take a batch, to send it to the client now or later."""

    def begin_sending(self) -> int:
        """Send what waits, if that has not begun; the bytes of it, 0 if nothing begins."""

    def has_room_for(self, count: int, size: int) -> bool:
        """Whether so many messages of so many bytes, of any QoS, can wait for the session too."""


class Direct(Protocol):
    """A subscription that may be sent a message as it came, at once."""

    def send_at_once(self, target: Target, message: Publish, is_v5: bool, now: float) -> bool:
        """Send a message that comes alone, `now` on the broker's clock; False: it is to be offered.

        It has come in a frame of MQTT 5, or of MQTT 3, and has neither RETAIN, DUP nor properties.
        """


class Distant(Recipient, Protocol):
    """Who passes messages on to where somebody wants them, such as another node of a cluster."""

    def share(self, shared_filter: TopicFilter, batch: Batch) -> None:
        """Take messages for those there who share `$share/NAME/FILTER`."""


class Target:
    """How messages of a topic reach a session: through which subscription, and as what.

    A subscription has one for the topics that only it matches. Where several of a session match,
    one carries the message at the highest QoS granted, with the identifiers of all (§3.3.4).
    """

    __slots__ = ("changes", "direct", "identifiers", "no_local", "origin", "qos",
                 "retain_as_published", "subscription")  # fmt: skip

    def __init__(
        self,
        subscription: Recipient,
        qos: int,
        retain_as_published: bool,
        identifiers: tuple[int, ...],
        no_local: bool,
        shared_filter: TopicFilter | None = None,
        mount_point: str = "",
        direct: Direct | None = None,
    ) -> None:
        self.subscription = subscription
        self.qos = qos
        self.retain_as_published = retain_as_published
        self.identifiers = identifiers
        self.changes = (identifiers, mount_point) if identifiers or mount_point else None
        self.no_local = no_local
        # Where messages may go as they come, if nothing is otherwise in them.
        self.direct = direct if self.changes is None else None
        # What is remembered of a message in flight: its identifiers, and who shares it.
        self.origin = identifiers, shared_filter
