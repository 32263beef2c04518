"""Traffic as a part of the membership: what a node does for it when nodes come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.cluster.changes import GONE
from trio_mqtt.cluster.engine.calls import Call
from trio_mqtt.cluster.inbox import Inbox
from trio_mqtt.cluster.membership import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.clustering.arrivals import Arrivals
    from trio_mqtt.broker.clustering.clock import EngineClock
    from trio_mqtt.broker.clustering.following import Following
    from trio_mqtt.broker.clustering.interests import Interests
    from trio_mqtt.broker.clustering.others import Others
    from trio_mqtt.cluster.changes import Changes
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.membership import Membership
    from trio_mqtt.cluster.storage import ClusterStorage


class Traffic(Part):
    """Has messages pass between this node and the others, as they come and go."""

    def __init__(
        self,
        engine: Engine,
        clock: EngineClock,
        changes: Changes,
        storage: ClusterStorage,
        others: Others,
        following: Following,
        interests: Interests,
        arrivals: Arrivals,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._changes = changes
        self._storage = storage
        self._others = others
        self._following = following
        self._interests = interests
        self._arrivals = arrivals
        self.forgotten: Callable[[str], None] = lambda _node: None
        """Is told of nodes that are gone for good."""

    async def joined(self, node: str) -> None:
        """Know what the others want, and read what they have for this node."""
        await self._clock.set()
        self._storage.be(node)
        self._others.be(node)
        self._arrivals.read(Inbox(self._engine, node))
        await self._following.load(node)
        self._interests.be(node)

    async def lost(self, node: str) -> None:
        """This process is no node: nobody hears what its clients want."""
        self._interests.be_none()

    async def died(self, node: str) -> None:
        """Have everybody forget a node."""
        await self._forget_everywhere(node)

    async def left(self, node: str) -> None:
        """Have everybody forget this one."""
        await self._forget_everywhere(node)

    async def _forget_everywhere(self, node: str) -> None:
        keys = self._engine.keys
        interests = keys.of_node(node, "interest")
        await self._changes.make(interests, {}, [(GONE, node.encode())])
        await self._engine.all([Call(b"UNLINK", interests)])

    async def watch(self, membership: Membership) -> None:
        """Forget others whose lease has ended, until cancelled, though nobody has said so yet."""
        while True:
            lease = self._engine.settings.lease
            with trio.move_on_after(lease / 3):
                await membership.wait_changed()
            # A process that stood still past its lease has seen nobody of late: who is not among
            # those that it saw then may have come since.
            if membership.node and trio.current_time() < membership.lease_end:
                for node in self._others.not_among(membership.alive):
                    self.forget(node)
                self._interests.forget_who_is_not(membership.alive, lease)

    def forget(self, node: str) -> None:
        """A node is gone for good: nobody is reached there, and it is waited for no more."""
        self._others.forget(node)
        self._interests.forget(node)
        self.forgotten(node)
