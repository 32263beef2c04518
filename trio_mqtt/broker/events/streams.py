"""A stream of events: each of them, in order, as long as whoever follows keeps up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import BrokerEvent, message_published

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.published import Published


class EventStream:
    """The events as they come, for `async for`. It ends when the broker does.

    What comes while `limit` events wait to be taken is lost, and counted in `missed`.
    """

    __slots__ = ("_receive", "_send", "kinds", "missed")

    def __init__(self, kinds: frozenset[type[BrokerEvent]], limit: int) -> None:
        self.kinds = kinds
        self.missed: int = 0
        self._send, self._receive = trio.open_memory_channel[BrokerEvent](limit)

    def __aiter__(self) -> AsyncIterator[BrokerEvent]:
        return self._receive

    def tell(self, event: BrokerEvent) -> None:
        """An event has happened (the broker says so)."""
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self.missed += 1

    def tell_published(self, client_id: str | None, batch: Published) -> None:
        """Messages were taken (the broker says so)."""
        for message in batch.messages:
            self.tell(message_published(client_id, message))

    def end(self) -> None:
        """There is nothing more to come."""
        self._send.close()
