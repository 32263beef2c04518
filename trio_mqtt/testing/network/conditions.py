"""What becomes of packets and connections, as the test has said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import trio

from trio_mqtt.protocol.topics import topic_matches_filter
from trio_mqtt.records import record
from trio_mqtt.testing.network.frames import Direction, NetworkPacket

BOTH: tuple[Direction, Direction] = ("to broker", "to client")

OnPacket = Callable[[NetworkPacket], object]


@record
class Selection:
    """Packets that something is to happen to."""

    kind: str
    direction: Direction | None = None
    topic_filter: str | None = None
    client_id: str | None = None

    def has(self, packet: NetworkPacket) -> bool:
        """Whether the packet is one of them."""
        return (
            packet.kind == self.kind
            and self.direction in (None, packet.direction)
            and self.client_id in (None, packet.client_id)
            and (
                self.topic_filter is None
                or bool(packet.topic and topic_matches_filter(packet.topic, self.topic_filter))
            )
        )


class Order:
    """What is to happen to the next packets of a selection, and to how many of them."""

    def __init__(
        self,
        selection: Selection,
        action: Literal["drop", "duplicate", "cut", "reorder"],
        count: int,
        patience: float = 0.0,
    ) -> None:
        self.selection = selection
        self.action = action
        self.left = count
        self.patience = patience  # seconds for which one that is to be overtaken waits


class Conditions:
    """What holds now in one direction."""

    def __init__(self) -> None:
        self.thawed = trio.Event()
        self.heal()

    def heal(self) -> None:
        """All goes on at once."""
        self.delay = 0.0
        self.rate: float | None = None
        self.bytes_left: int | None = None  # until the connection that brings them is cut
        self.packets_left: int | None = None
        self.thawed.set()

    @property
    def is_frozen(self) -> bool:
        """Whether nothing arrives."""
        return not self.thawed.is_set()

    def freeze(self) -> None:
        """Nothing arrives until `thaw`."""
        if self.thawed.is_set():
            self.thawed = trio.Event()

    def thaw(self) -> None:
        """What was held goes on."""
        self.thawed.set()


class Steering:
    """All that the test has said, for both directions, and the orders for single packets."""

    def __init__(self, *, sees_packets: bool) -> None:
        self.sees_packets = sees_packets  # else bytes pass as they come
        self.conditions: dict[Direction, Conditions] = {one: Conditions() for one in BOTH}
        self.orders: list[Order] = []
        self.watchers: list[OnPacket] = []

    def heal(self) -> None:
        """From now on the network does what networks should."""
        for one in self.conditions.values():
            one.heal()
        self.orders.clear()
        self.watchers.clear()

    def order_for(self, packet: NetworkPacket) -> Order | None:
        """The order that this packet is the next for; it counts."""
        for order in self.orders:
            if order.selection.has(packet):
                order.left -= 1
                if order.left <= 0:
                    self.orders.remove(order)
                return order
        return None
