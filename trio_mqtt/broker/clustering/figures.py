"""What a node says of itself to the cluster, each time that it renews its lease."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.arrivals import Arrivals
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.engine.calls import Value

SERVING, DRAINING = "serving", "draining"


class NodeFigures:
    """Counts and rates, as `trio_mqtt.administration.NodeStatus` names them."""

    def __init__(self) -> None:
        self._core: Core | None = None
        self._arrivals: Arrivals | None = None
        self._counted = (0, 0, 0.0)  # messages received and sent, and when

    def bind(self, core: Core, arrivals: Arrivals) -> None:
        """Tell of these from now on."""
        self._core, self._arrivals = core, arrivals
        self._counted = self._count(core)

    def __call__(self) -> Mapping[str, Value]:
        """The figures now; rates are those since the last call."""
        core, arrivals = self._core, self._arrivals
        if core is None or arrivals is None:
            return {}
        before, self._counted = self._counted, self._count(core)
        received, sent, seconds = (
            now - then for now, then in zip(self._counted, before, strict=True)
        )
        per_second = 1 / seconds if seconds > 0 else 0.0
        return {
            "clients": core.statistics.clients_connected,
            "sessions": core.statistics.sessions,
            "received": round(received * per_second, 2),
            "sent": round(sent * per_second, 2),
            "lag": round(arrivals.lag, 6),
            "state": DRAINING if core.successors.is_draining else SERVING,
        }

    @staticmethod
    def _count(core: Core) -> tuple[int, int, float]:
        statistics = core.statistics
        return statistics.messages_received, statistics.messages_sent, trio.current_time()
