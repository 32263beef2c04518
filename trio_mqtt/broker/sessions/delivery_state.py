"""What of a session the delivery to its client works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.routing.batch import size_of
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.protocol.delivery import Sender
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.access.permissions import Permissions
    from trio_mqtt.broker.sessions.outlet import Outlet

# What is in flight: the message, the RETAIN flag it was sent with, its subscription identifiers
# with the `$share/NAME/FILTER` that it came by, if it is shared, and when it was received, as they
# are needed to send it again.
InFlight = tuple[Publish, bool, tuple[tuple[int, ...], TopicFilter | None], float]


class DeliveryState:
    """What waits for one client and what is in flight to it. Its subscriptions know this alone."""

    __slots__ = (
        "client_id",
        "outlet",
        "permissions",
        "queued_bytes",
        "queued_messages",
        "retained_waiting",
        "sender",
    )

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        # The way to the client while it is connected.
        self.outlet: Outlet | None = None
        # What its client may do; None while nobody has asked, or if nothing is forbidden.
        self.permissions: Permissions | None = None
        self.sender: Sender[InFlight] = Sender()
        # Messages and bytes that wait in the channels of all subscriptions.
        self.queued_messages = 0
        self.queued_bytes = 0
        # Retained messages that wait there on top of them.
        self.retained_waiting = 0

    def bytes_in_flight(self) -> int:
        """The bytes of what was sent and is not acknowledged yet."""
        sender = self.sender
        unacknowledged = [item for _, item in sender.in_flight.values()]
        return sum(size_of(item[0]) for item in (*unacknowledged, *sender.released.values()))
