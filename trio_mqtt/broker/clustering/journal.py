"""What clients are promised in a cluster, on its way to the engine, in groups as to any storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.journal import Journal
from trio_mqtt.cluster.storage import ClusterChanges, ClusterStorage

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.clock import EngineClock


class ClusterJournal(Journal):
    """Gathers, beside what any journal does, what is promised to the clients of other nodes."""

    def __init__(self, storage: ClusterStorage, clock: EngineClock) -> None:
        self._clock = clock
        self._changes: ClusterChanges
        super().__init__(storage)

    def new_group(self) -> ClusterChanges:
        """A group with nothing in it."""
        return ClusterChanges()

    @property
    def epoch(self) -> float:
        """What to add to the broker's clock to get the engine's time of day."""
        return self._clock.epoch

    def forward(self, node: str, kind: int, data: bytes, count: int) -> None:
        """An item with messages is promised to a node: in its inbox, before they count as kept."""
        self._changes.forward(node, kind, data, count)
        self._note()
