"""How the whole cluster fares, for the topics below `$SYS/broker/cluster/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.system_topics import ROOT
from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.members import Member, number_in, read_members

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.membership import Membership

# Topics, by the figures of all nodes that they are the sums of.
_SUMS = {
    "clients/connected": "clients",
    "sessions/count": "sessions",
    "publish/received": "received",
    "publish/sent": "sent",
}


class ClusterTopics:
    """Sums up what the nodes say of themselves, while somebody wants to know."""

    def __init__(self, core: Core, engine: Engine, membership: Membership) -> None:
        self._core = core
        self._engine = engine
        self._membership = membership
        self._members: Sequence[Member] = ()
        core.system_topics.more.append(self.topics)

    def topics(self) -> Iterator[tuple[str, str]]:
        """Names below `$SYS/broker/`, and their values now."""
        settings = self._engine.settings
        yield "cluster/name", settings.name
        yield "cluster/node", settings.node_name
        yield "cluster/nodes/count", str(len(self._membership.alive))
        if not self._members:
            return
        for topic, name in _SUMS.items():
            total = sum(number_in(member.figures, name) for member in self._members)
            yield f"cluster/{topic}", f"{total:.2f}" if "." in f"{total:g}" else f"{total:.0f}"

    async def run(self) -> None:
        """Look at what they say, as often as they do, until cancelled."""
        while True:
            if self._membership.node and (
                not self._members or self._core.router.index.has_below(ROOT)
            ):
                with suppress(EngineGoneError, EngineRefusedError):
                    self._members = await read_members(self._engine)
            await trio.sleep(self._engine.settings.lease / 3)
