"""Entries of logs as they are added here, or elsewhere: who follows the log is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.durable.handing import EntryPart
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.cluster.items import decode_text
from trio_mqtt.cluster.log_entries import Copy, decode_copy, decode_logged, encode_copy
from trio_mqtt.cluster.positions import NOTHING, EntryId

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.durable.followers import Followers
    from trio_mqtt.broker.clustering.durable.registering import Registering
    from trio_mqtt.broker.clustering.durable.shares import Shares
    from trio_mqtt.broker.clustering.others import Others
    from trio_mqtt.broker.clustering.travelling import Travel
    from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
    from trio_mqtt.cluster.additions import Added
    from trio_mqtt.cluster.logs import Appended

SHARE = "$share/"


def unpack(travel: Travel, data: bytes | memoryview) -> list[EntryPart]:
    """What an entry of a log holds. Raises EntryError where it is damaged."""
    node, logged = decode_logged(data)
    now = trio.current_time()
    return [
        EntryPart(node, first, others, travel.batch_of(batch, now))
        for first, others, batch in logged
    ]


class Telling:
    """Tells those who follow logs here, and the nodes on which somebody does."""

    def __init__(
        self,
        index: SubscriptionIndex,
        registering: Registering,
        followers: Followers,
        shares: Shares,
        others: Others,
        travel: Travel,
    ) -> None:
        self._index = index
        self._registering = registering
        self._followers = followers
        self._shares = shares
        self._others = others
        self._travel = travel

    # -- what comes from others -----------------------------------------------------------------

    def on_copy(self, data: memoryview) -> None:
        """Another node has added an entry to a log that is followed here."""
        copy = decode_copy(data)
        self._shares.wake(copy.topic_filter)
        kept = bytes(copy.data)
        self._followers.arrived(
            copy.topic_filter, copy.entry, copy.previous, lambda: unpack(self._travel, kept)
        )

    def on_missed(self, data: memoryview) -> None:
        """Some of those copies did not come."""
        self._followers.look(decode_text(data).split("\0"))

    # -- what is added here ---------------------------------------------------------------------

    def added(self, one: Added, appended: Appended) -> None:
        """An entry of this node's was added to a log: all who follow it get it at once."""
        entry, previous, is_unwanted = appended
        if is_unwanted:
            self._is_unwanted(one.topic_filter)
        if one.topic_filter.startswith(SHARE):
            self._added_to_shared(one, entry, previous, is_unwanted=is_unwanted)
            return
        if entry == NOTHING:
            return
        copy = encode_copy(Copy(one.topic_filter, entry, previous, one.data))
        for other in self._others.all():
            if one.topic_filter in other.logged:
                other.copy(copy, one.topic_filter)
        node, parts = one.node, one.parts
        self._followers.arrived(
            one.topic_filter,
            entry,
            previous,
            lambda: [
                EntryPart(node, first, others, batch.part(batch.content))  # type: ignore[attr-defined]
                for first, others, batch in parts
            ],
        )

    def _is_unwanted(self, topic_filter: str) -> None:
        """No session has a filter any more: if that was said to nobody, it is now.

        Not where a node follows its log: then the engine has lost who has it, and is told again.
        """
        others = self._others.all()
        if topic_filter.startswith(SHARE) or not any(topic_filter in one.logged for one in others):
            self._registering.is_unheld(topic_filter)

    def _added_to_shared(
        self, one: Added, entry: EntryId, previous: EntryId, *, is_unwanted: bool
    ) -> None:
        """There is something in a shared log: this node takes it, or one that has members."""
        if is_unwanted:
            # The last durable session has just left the group: who is left shares it as ever.
            group = self._index.group(TopicFilter(one.topic_filter))
            for _, _, batch in one.parts:
                if group is not None and isinstance(batch, Batch):
                    group.deliver_anywhere(batch)
            return
        if entry == NOTHING:
            return
        if self._shares.serves(one.topic_filter):
            self._shares.wake(one.topic_filter)
            return
        others = [other for other in self._others.all() if one.topic_filter in other.logged]
        if others:
            copy = encode_copy(Copy(one.topic_filter, entry, previous, b""))
            others[one.number % len(others)].copy(copy, one.topic_filter)
