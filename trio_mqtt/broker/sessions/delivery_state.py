"""What of a session the delivery to its client works with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trio_mqtt.broker.options import QueuePolicy
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.sizes import size_of
from trio_mqtt.protocol.delivery import Sender
from trio_mqtt.protocol.packets import Publish, PublishRun
from trio_mqtt.storage.gathered import encoded_identifiers
from trio_mqtt.storage.rows import DeliveryRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio_mqtt.broker.access.permissions import Permissions
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.order import Order
    from trio_mqtt.broker.sessions.outlet import Outlet

_NOT_COUNTED = 1 << 62  # bytes: more than there may be, so that they are counted

# What is in flight: the message, the RETAIN flag it was sent with, its subscription identifiers
# with the `$share/NAME/FILTER` that it came by, if it is shared, and when it was received, as they
# are needed to send it again; and its number in the journal (0 if it is not kept).
InFlight = tuple[Publish, bool, tuple[tuple[int, ...], TopicFilter | None], float, int]


class RunInFlight:
    """Messages of one run that were sent one after the other: one item for all of them.

    As long as one of them is not acknowledged it holds the whole `run`, of `size` bytes.
    """

    __slots__ = ("_origin", "_received_at", "beyond", "run", "size")

    def __init__(
        self,
        run: PublishRun,
        size: int,
        origin: tuple[tuple[int, ...], TopicFilter | None],
        received_at: float,
    ) -> None:
        self.run = run
        self.size = size
        self._origin = origin
        self._received_at = received_at
        # By how much the packet identifier of a message is more than its number in the run.
        self.beyond = 0

    def one(self, packet_id: int) -> InFlight:
        """What is in flight by one of the packet identifiers."""
        message = self.run.message(packet_id - self.beyond)
        return message, False, self._origin, self._received_at, 0


Sent = InFlight | RunInFlight


def in_flight_of(packet_id: int, item: Sent) -> InFlight:
    """What is in flight by a packet identifier."""
    return item.one(packet_id) if isinstance(item, RunInFlight) else item


def session_key(client_id: str, mount_point: str) -> str:
    """Whose session it is: a client's, and below a mount point another one than elsewhere.

    No client identifier has a null character (§1.5.4), so no client can name another's.
    """
    return f"{client_id}\0{mount_point}" if mount_point else client_id


class DeliveryState:
    """What waits for one client and what is in flight to it. Its subscriptions know this alone."""

    __slots__ = (
        "client_id",
        "disconnected_at",
        "dropped",
        "in_flight_at_most",
        "journal",
        "mount_point",
        "number",
        "order",
        "outlet",
        "permissions",
        "queue_policy",
        "queued_bytes",
        "queued_messages",
        "retained_waiting",
        "sender",
        "slow_told_at",
    )

    def __init__(self, client_id: str, mount_point: str = "") -> None:
        self.client_id = client_id
        # What stands before its topics; its client never sees that.
        self.mount_point = mount_point
        # The journal that keeps it, and its number there; None where it ends with the broker.
        self.journal: Journal | None = None
        self.number = 0
        # The way to the client while it is connected.
        self.outlet: Outlet | None = None
        # What its client may do; None while nobody has asked, or if nothing is forbidden.
        self.permissions: Permissions | None = None
        self.sender: Sender[Sent] = Sender()
        # The bytes of what is large and in flight, and may be acknowledged by now.
        self.in_flight_at_most = _NOT_COUNTED  # it may have begun with some
        # Messages and bytes that wait in the queues of all subscriptions.
        self.queued_messages = 0
        self.queued_bytes = 0
        # Retained messages that wait there on top of them.
        self.retained_waiting = 0
        # What happens when that is as much as may be; and the order of it, where the oldest goes.
        self.queue_policy = QueuePolicy.DROP_NEWEST
        self.order: Order | None = None
        # Messages for which there was no room since the session began here.
        self.dropped = 0
        # When it was last told that the client takes less than comes for it.
        self.slow_told_at = -math.inf
        # When its client was disconnected for that.
        self.disconnected_at = -math.inf

    @property
    def key(self) -> str:
        """What tells it from all others: see `session_key`."""
        return session_key(self.client_id, self.mount_point)

    def bytes_in_flight(self) -> int:
        """The bytes that are held for what was sent and is not acknowledged yet."""
        sender = self.sender
        items = [(packet_id, item) for packet_id, (_, item) in sender.in_flight.items()]
        items += sender.released.items()
        runs = {id(item.run): item.size for _, item in items if isinstance(item, RunInFlight)}
        return sum(runs.values()) + sum(
            size_of(item[0]) for _, item in items if not isinstance(item, RunInFlight)
        )

    def may_be_in_flight(self, size: int, maximum: int) -> bool:
        """Whether what is large, and of so many bytes, may be sent now: it is counted then.

        What is in flight is looked at only where it may be as much as the `maximum`.
        """
        if self.in_flight_at_most + size > maximum:
            self.in_flight_at_most = in_flight = self.bytes_in_flight()
            if in_flight and in_flight + size > maximum:
                return False
        self.in_flight_at_most += size
        return True


def kept_among(items: Iterable[tuple[int, Sent]]) -> list[int]:
    """The numbers in the journal of what is kept among items, by their packet identifiers."""
    return [number for one in items if (number := in_flight_of(*one)[4])]


def delivery_row(
    session: int, packet_id: int, qos: int, item: InFlight, is_released: int = 0
) -> DeliveryRow:
    """What is in flight to a session, as the journal keeps it."""
    _, retain, (identifiers, shared_filter), _, number = item
    return DeliveryRow(
        session,
        number,
        "" if shared_filter is None else shared_filter.text,
        qos,
        1 if retain else 0,
        encoded_identifiers(identifiers) if identifiers else b"",
        packet_id,
        is_released,
    )
