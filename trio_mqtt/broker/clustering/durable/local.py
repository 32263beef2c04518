"""What durable sessions here get without a log: messages of QoS 0, and what they want at QoS 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.clustering.nobody import Nobody
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.target import Target

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.router import Router
    from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
    from trio_mqtt.broker.routing.target import Recipient


class Direct:
    """Stands in the broker's router for the filters of durable sessions here.

    What another node has passed on is given to `take`.
    """

    def __init__(self, index: SubscriptionIndex, durable: Router) -> None:
        self.session = Nobody("durable sessions", None)
        self.topic_filter = TopicFilter("#")
        self.target = Target(self, 0, True, (), False)
        self.serial = 0
        self._index = index
        self._durable = durable
        self._wanted: dict[str, dict[Recipient, None]] = {}
        # Subscriptions that were granted QoS 0: what they get at QoS 0 may be of any.
        self._quiet: set[Recipient] = set()

    def want(self, subscription: Recipient) -> None:
        """A subscription stands in the router of durable sessions, with the options of now."""
        topic_filter = subscription.topic_filter
        wanted = self._wanted.setdefault(topic_filter.text, {})
        if not wanted:
            self._index.add_elsewhere(topic_filter, self)
        wanted[subscription] = None
        self._quiet.discard(subscription)
        if not subscription.target.qos:
            self._quiet.add(subscription)

    def no_longer(self, subscription: Recipient) -> None:
        """It stands there no more."""
        topic_filter = subscription.topic_filter
        self._quiet.discard(subscription)
        wanted = self._wanted.get(topic_filter.text)
        if wanted is None:
            return
        wanted.pop(subscription, None)
        if not wanted:
            del self._wanted[topic_filter.text]
            self._index.remove_elsewhere(topic_filter, self)

    def offer(self, target: Target, batch: Batch) -> None:
        """Take a batch of which these sessions want something."""
        self.take(batch)

    def take(self, batch: Batch) -> None:
        """Hand on what comes by no log."""
        if not batch.highest_qos:
            self._durable.publish_here(batch)
            return
        if batch.above_qos_0 < batch.count:
            self._durable.publish_here(batch.part([one for one in batch.messages if not one.qos]))
        if not self._quiet:
            return
        for message in batch.messages:
            if message.qos:
                self._take_quietly(batch.part([message]), message.topic)

    def _take_quietly(self, batch: Batch, topic: str) -> None:
        sender = batch.sender
        for target in self._durable.index.match(topic).targets:
            is_own = sender is not None and sender.key == target.subscription.session.key
            if not target.qos and not (is_own and target.no_local):
                target.subscription.offer(target, batch)

    def begin_sending(self) -> int:
        """Nothing of it waits for others to begin."""
        return 0

    def has_room_for(self, count: int, size: int) -> bool:
        """What has no room is dropped."""
        return True
