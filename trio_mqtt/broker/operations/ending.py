"""Ending what a program reads of a broker, once that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.events.kinds import BrokerEvent
    from trio_mqtt.broker.routing.published import Published


class EndsWithBroker:
    """Follows no events, but hears that there are no more: then `end` is called, perhaps twice."""

    kinds: frozenset[type[BrokerEvent]] = frozenset()

    def __init__(self, end: Callable[[], None]) -> None:
        self.end = end

    def tell(self, event: BrokerEvent) -> None:
        """Of none."""

    def tell_published(self, client_id: str | None, batch: Published) -> None:
        """Of none."""
