"""Who stands in the router for the filters of durable sessions, and has their messages in logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from trio_mqtt.broker.clustering.nobody import Nobody
from trio_mqtt.broker.routing.filter_tree import FilterTree
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
    from trio_mqtt.broker.routing.target import Recipient

_REMEMBERED = 10_000  # topics; when there are more, all are forgotten at once


class Logging(Protocol):
    """Where messages go that are to be in logs."""

    def log(self, filters: Sequence[str], batch: Batch) -> None:
        """All messages of a batch, which are of QoS 1 and 2, belong in the logs of filters."""


class _Named:
    """A filter in a tree."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class LogWriter:
    """Has each message of QoS 1 and 2 added to the logs of all filters that it matches."""

    def __init__(self, index: SubscriptionIndex, logging: Logging, journal: object) -> None:
        self.session = Nobody("logs", journal)
        self.topic_filter = TopicFilter("#")  # it has as many as durable sessions have
        self.target = Target(self, 2, True, (), False)
        self.serial = 0
        self._index = index
        self._logging = logging
        self._tree = FilterTree()
        self._filters: dict[str, _Named] = {}
        self._remembered: dict[str, tuple[str, ...]] = {}

    def __contains__(self, topic_filter: str) -> bool:
        return topic_filter in self._filters

    def all(self) -> list[str]:
        """The filters."""
        return list(self._filters)

    def want(self, text: str) -> None:
        """From now on what a filter matches belongs in its log."""
        if text in self._filters:
            return
        self._filters[text] = named = _Named(text)
        topic_filter = TopicFilter(text)
        # The tree keeps what it is given; nobody else looks into this one.
        self._tree.node(topic_filter).subscriptions[cast("Recipient", named)] = None
        self._remembered.clear()
        self._index.add_elsewhere(topic_filter, self)

    def no_longer(self, text: str) -> None:
        """No session has a filter any more."""
        named = self._filters.pop(text, None)
        if named is None:
            return
        topic_filter = TopicFilter(text)
        path = self._tree.path(topic_filter)
        others = path[-1].subscriptions
        others.pop(cast("Recipient", named), None)
        # Those who share a filter, and those who have it for themselves, are reached at one place.
        if not others:
            self._index.remove_elsewhere(topic_filter, self)
        self._tree.prune(topic_filter, path)
        self._remembered.clear()

    def filters_of(self, topic: str) -> tuple[str, ...]:
        """The filters that a topic matches."""
        found = self._remembered.get(topic)
        if found is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            found = self._remembered[topic] = tuple(
                sorted(
                    cast("_Named", named).text
                    for node in self._tree.nodes(topic)
                    for named in node.subscriptions
                )
            )
        return found

    # -- as a recipient -------------------------------------------------------------------------

    def offer(self, target: Target, batch: Batch) -> None:
        """Take a batch that some of the filters match."""
        above = batch.above_qos_0
        if not above:
            return
        if above < batch.count:
            batch = batch.part([one for one in batch.messages if one.qos])
        if batch.topic is not None:
            self._log(self.filters_of(batch.topic), batch)
            return
        pieces: dict[tuple[str, ...], list[int]] = {}
        for piece, topic in enumerate(batch.topics):
            pieces.setdefault(self.filters_of(topic), []).append(piece)
        if len(pieces) == 1:
            self._log(next(iter(pieces)), batch)
            return
        for filters, its_pieces in pieces.items():
            self._log(filters, batch.some(its_pieces))

    def _log(self, filters: Sequence[str], batch: Batch) -> None:
        if filters:
            self._logging.log(filters, batch)

    def begin_sending(self) -> int:
        """Nothing of it waits for others to begin."""
        return 0

    def has_room_for(self, count: int, size: int) -> bool:
        """Logs let go of what is oldest."""
        return True
