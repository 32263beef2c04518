"""The retained messages for a new subscription (MQTT 5.0 §3.8.4): looked for in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.routing.batch import JOIN, Batch, remaining_properties
from trio_mqtt.broker.routing.sizes import size_of
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.access.permissions import RulesInForce
    from trio_mqtt.broker.promises import Awaited
    from trio_mqtt.broker.routing.retained import Retained
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.broker.turns import Turn

# Searches of one client that are under way; its others wait. Each holds on to a part of the tree.
SEARCHES_AT_ONCE = 4
MOST = 256  # messages in one batch: the rules are asked about each


class RetainedSearch:
    """Finds the messages that a subscription is to be sent, with what is left of their expiry."""

    __slots__ = ("_after", "_found", "_place", "_rules_at", "_statistics", "is_done", "turns")

    def __init__(
        self,
        found: Iterator[Retained | None],
        rules_at: Callable[[str], RulesInForce],
        statistics: Statistics,
        turns: trio.Lock,
        after: Awaited | None = None,
    ) -> None:
        """`rules_at` knows the rules at each listener, by its URL.

        `turns` is the broker's: whoever has it may search, for one turn. It begins once `after` is
        over, if there is such a thing.
        """
        self._after = after
        self._found = found
        self._rules_at = rules_at
        self._statistics = statistics
        self.turns = turns
        self._place: trio.Semaphore | None = None
        self.is_done = False

    @property
    def may_begin(self) -> bool:
        """Whether nothing has to be over before."""
        return self._after is None or self._after.is_over

    async def until_it_may(self) -> None:
        """Wait until it may begin."""
        if self._after is not None:
            await self._after.wait()
            self._after = None

    @property
    def has_place(self) -> bool:
        """Whether it is among those of its client that are under way."""
        return self._place is not None

    def take_place_nowait(self, places: trio.Semaphore) -> bool:
        """Be one of those that are under way, if there is room; whether there was."""
        if places.value:
            places.acquire_nowait()
            self._place = places
        return self._place is places

    async def take_place(self, places: trio.Semaphore) -> None:
        """Be one of those that are under way, once there is room."""
        await places.acquire()
        self._place = places

    def leave_place(self) -> None:
        """It is done, or not asked for any more, or its client has gone."""
        if self._place is not None:
            self._place.release()
            self._place = None

    def go_on(self, turn: Turn | None) -> Batch | None:
        """What is found until the turn is over, but no more than is written at once.

        Without a turn, it goes on until there is something.
        """
        now = trio.current_time()
        messages: list[Publish] = []
        size = 0
        for found in self._found:
            if found is None:
                if turn is not None and turn.is_over:
                    break
                continue
            message, stored_at, author, *_ = found
            if author is not None and not author.holds(
                self._rules_at(author.client.listener), message.topic
            ):
                # Its author has lost the right to say this to anybody.
                self._statistics.deliveries_refused += 1
                continue
            properties = remaining_properties(message.properties, int(now - stored_at))
            if properties is None:
                continue
            if properties is not message.properties:
                message = Publish(
                    message.topic, message.payload, message.qos, True, properties=properties
                )
            messages.append(message)
            size += size_of(message)
            if size >= JOIN or len(messages) >= MOST:
                break
        else:
            self.is_done = True
        return Batch(messages, received_at=now, retained=True) if messages else None
