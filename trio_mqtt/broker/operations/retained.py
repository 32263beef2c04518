"""Retained messages: which there are, what one says, and removing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import trio

from trio_mqtt.broker.events.kinds import RetainedChanged
from trio_mqtt.broker.operations.finding import time_of_day
from trio_mqtt.broker.operations.forms.retained import (
    DeleteRetained,
    Removed,
    RetainedChoice,
    RetainedName,
    RetainedPage,
    RetainedQuery,
    RetainedView,
)
from trio_mqtt.broker.operations.orphans import Orphans
from trio_mqtt.broker.operations.turns import made, ordered, page
from trio_mqtt.broker.turns import ShortTurn
from trio_mqtt.errors import NotFoundError
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.routing.retained import Retained

_EACH = 8  # messages between two looks at the clock


class RetainedSeen:
    """The retained messages of one broker."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._orphans = Orphans(core)

    async def retained(self, asked: RetainedQuery) -> RetainedPage:
        found = await self._chosen(asked)
        some: Sequence[Retained] = page(found, asked)
        if asked.sort:
            some = await ordered(found, _ORDERS[asked.sort], asked, descending=asked.descending)
        return RetainedPage(items=await made(some, self._view), total=len(found))

    async def retained_message(self, asked: RetainedName) -> RetainedView:
        await trio.lowlevel.checkpoint()
        found = self._core.retained.get(asked.topic)
        if found is None:
            raise NotFoundError(f"No message is retained at {asked.topic!r}.")
        return self._view(found, with_payload=True)

    async def delete_retained(self, asked: DeleteRetained) -> Removed:
        core = self._core
        found = await self._chosen(asked)
        count, turn = 0, ShortTurn()
        for one in found:
            topic = one.message.topic
            if core.retained.get(topic) is not one:
                continue  # another one has come meanwhile
            core.retained.store(Publish(topic, b"", 0, retain=True), trio.current_time())
            if core.journal is not None:
                core.journal.no_longer_retained(topic)
            if RetainedChanged in core.event_streams.wanted:
                core.event_streams.tell(RetainedChanged(topic, True))
            count += 1
            if turn.is_over:
                await turn.give_way()
        if count and core.journal is not None:
            await core.journal.until_kept()
        return Removed(count=count)

    async def _chosen(self, asked: RetainedChoice) -> list[Retained]:
        is_wanted = self._wanted(asked)
        found: list[Retained] = []
        turn = ShortTurn()
        for number, one in enumerate(self._core.retained.search(asked.topic_filter)):
            if one is not None and is_wanted(one):
                found.append(one)
            if not number % _EACH and turn.is_over:
                await turn.give_way()
        await trio.lowlevel.checkpoint()
        return found

    def _wanted(self, asked: RetainedChoice) -> Callable[[Retained], bool]:
        search, orphans = asked.search.casefold(), self._orphans
        before = trio.current_time() - asked.older_than

        def is_wanted(kept: Retained) -> bool:
            return (
                (not search or search in kept.message.topic.casefold())
                and (asked.author is None or orphans.author_of(kept) == asked.author)
                and (not asked.older_than or kept.stored_at <= before)
                and (not asked.orphaned or orphans.state_of(kept) == asked.orphaned)
            )

        return is_wanted

    def _view(self, kept: Retained, *, with_payload: bool = False) -> RetainedView:
        message, author = kept.message, kept.author
        interval = message.properties.get("message_expiry_interval")
        stored_at = time_of_day(kept.stored_at)
        return RetainedView(
            topic=message.topic,
            size=message.payload_size,
            qos=message.qos,
            stored_at=stored_at,
            expires_at=None if interval is None else stored_at + interval,
            author=self._orphans.author_of(kept),
            orphaned=self._orphans.state_of(kept),
            username=None if author is None else author.client.username,
            address=None if author is None else author.client.address,
            payload=message.payload if with_payload else None,
            content_type=message.properties.get("content_type"),
        )


_ORDERS: dict[str, Callable[[Retained], Any]] = {
    "topic": lambda kept: kept.message.topic,
    "stored_at": lambda kept: kept.stored_at,
    "size": lambda kept: kept.message.payload_size,
}
