"""What clients are promised in a cluster, on its way to the engine, in groups as to any storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.journal import Journal
from trio_mqtt.cluster.storage import ClusterChanges, ClusterStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.clustering.clock import EngineClock
    from trio_mqtt.protocol.packets import Publish


class ClusterJournal(Journal):
    """Gathers, beside what any journal does, what is promised to the clients of other nodes."""

    def __init__(self, storage: ClusterStorage, clock: EngineClock) -> None:
        self._clock = clock
        self._changes: ClusterChanges
        # Is told of topics whose retained message has changed here.
        self.on_retained: Callable[[str], None] = lambda _topic: None
        super().__init__(storage)

    def new_group(self) -> ClusterChanges:
        """A group with nothing in it."""
        return ClusterChanges()

    @property
    def epoch(self) -> float:
        """What to add to the broker's clock to get the engine's time of day."""
        return self._clock.epoch

    def retained(
        self, message: Publish, at: float, author: str | None, *, is_first: bool = False
    ) -> None:
        """The retained message of a topic is this one, for all nodes."""
        # Whether there was one elsewhere nobody knows here: that it is gone must be told.
        super().retained(message, at, author)
        self.on_retained(message.topic)

    def no_longer_retained(self, topic: str) -> None:
        """There is no retained message of a topic any more, for all nodes."""
        super().no_longer_retained(topic)
        self.on_retained(topic)

    def retained_expired(self, topic: str) -> None:
        """The time of a retained message is over: others see that, too, and the engine looks."""
        self._changes.expired[topic] = None
        self._note(is_urgent=False)

    def forward(self, node: str, kind: int, data: bytes, count: int) -> None:
        """An item with messages is promised to a node: in its inbox, before they count as kept."""
        self._changes.forward(node, kind, data, count)
        self._note()
