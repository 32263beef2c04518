"""A node of a cluster, of all its parts: what the broker knows as `Elsewhere`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.arrivals import Arrivals
from trio_mqtt.broker.clustering.clock import EngineClock
from trio_mqtt.broker.clustering.cluster_sessions import ClusterSessions
from trio_mqtt.broker.clustering.following import Following
from trio_mqtt.broker.clustering.interests import Interests
from trio_mqtt.broker.clustering.journal import ClusterJournal
from trio_mqtt.broker.clustering.lease import Lease
from trio_mqtt.broker.clustering.other_node import OtherNode
from trio_mqtt.broker.clustering.others import Others
from trio_mqtt.broker.clustering.session_membership import SessionMembership
from trio_mqtt.broker.clustering.session_needs import Queues
from trio_mqtt.broker.clustering.travelling import Travel
from trio_mqtt.cluster.changes import Changes
from trio_mqtt.cluster.inbox import Inbox, Inboxes
from trio_mqtt.cluster.items import APPLIED, GIVE_UP, GIVEN_UP, decode_numbered
from trio_mqtt.cluster.storage import ClusterStorage

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.promises import Awaited
    from trio_mqtt.broker.routing.target import Recipient
    from trio_mqtt.cluster.engine.engine import Engine


LEAVING = 2.0  # seconds that it may take to say goodbye to the cluster


class ClusterNode:
    """This broker as a node. `journal` is to be the core's; `bind` follows before all else."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.node = f"{engine.settings.node_name}-{secrets.token_hex(4)}"
        self.clock = EngineClock(engine)
        self.storage = ClusterStorage(engine, self.node)
        self.journal = ClusterJournal(self.storage, self.clock)
        self.changes = Changes(engine)
        self.interests = Interests(engine, self.changes, self.node)
        self._travel = Travel(self.clock)
        self._inboxes = Inboxes(engine)
        self.lease = Lease(engine, self.node, self.gone)
        self._placed: set[Recipient] = set()

    def bind(self, core: Core) -> None:
        """Belong to the broker of this core from now on."""
        self._core = core
        self.others = Others(core, self._make_other)
        self.following = Following(self.engine, self.changes, self.others, self.node)
        inbox = Inbox(self.engine, self.node)
        self.arrivals = Arrivals(core, self.engine, inbox, self._travel)
        self.arrivals.handlers[APPLIED] = self._on_applied
        self.storage.dropped = self._on_dropped
        self._join_sessions(core)
        core.join(self)

    def _join_sessions(self, core: Core) -> None:
        """Have sessions come to this node, and leave it."""
        store = self.storage.sessions
        self.sessions = ClusterSessions(core, self.engine, self.journal, store, self, Queues())
        self.storage.lost = self.sessions.lost
        self.arrivals.handlers[GIVE_UP] = self.sessions.on_give_up
        self.arrivals.handlers[GIVEN_UP] = self.sessions.on_given_up
        self._session_part = SessionMembership(core, self.engine, store, self.sessions)
        core.sessions.elsewhere = self.sessions

    # -- what the broker's parts ask for --------------------------------------------------------

    def place(self, subscription: Recipient) -> None:
        """From now on messages reach a subscription of this broker, wherever they are published."""
        self._core.router.add(subscription)
        if subscription not in self._placed:
            self._placed.add(subscription)
            self.interests.add(subscription.topic_filter)

    def displace(self, subscription: Recipient) -> None:
        """No message reaches a subscription from now on."""
        self._core.router.remove(subscription)
        if subscription in self._placed:
            self._placed.remove(subscription)
            self.interests.discard(subscription.topic_filter)

    def known(self) -> Awaited | None:
        """What is over once all living nodes know of the subscriptions here; None if they do."""
        return self.interests.known()

    # -- its life -------------------------------------------------------------------------------

    async def enter(self) -> None:
        """Be a node from now on, and know what the others want.

        Raises EngineGoneError and EngineRefusedError.
        """
        await self.clock.set()
        nodes = await self.lease.renew()
        await self.following.load(nodes)

    async def let_go(self) -> None:
        """Have all sessions leave: their clients have gone."""
        with trio.move_on_after(LEAVING):
            await self.sessions.all_left()

    async def leave(self) -> None:
        """Be no node any more: clients have gone, and what they were promised is kept."""
        with trio.move_on_after(LEAVING):
            await self.lease.give_up()

    async def run(self) -> None:
        """Do what the cluster asks for, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.others.run)
            nursery.start_soon(self.following.run)
            nursery.start_soon(self.arrivals.run)
            nursery.start_soon(self.interests.run)
            nursery.start_soon(self.lease.run)
            nursery.start_soon(self.sessions.run)
            nursery.start_soon(self._session_part.run)

    def tell(self, node: str, kind: int, data: bytes) -> None:
        """Send a node an item that is not dropped."""
        other = self.others.known(node)
        if other is not None:
            other.tell(kind, data)

    # -- the others -----------------------------------------------------------------------------

    def gone(self, node: str) -> None:
        """A node is gone for good."""
        self.others.forget(node)
        self.interests.forget(node)
        self.arrivals.forget(node)

    def _make_other(self, node: str) -> OtherNode:
        return OtherNode(
            node, self.engine, self._inboxes, self.journal, self._travel, self._core.statistics
        )

    def _on_applied(self, data: memoryview) -> None:
        self.interests.applied(*decode_numbered(data))

    def _on_dropped(self, node: str, count: int) -> None:
        """A node's inbox had no room for so many messages."""
        self._core.statistics.messages_dropped += count
        other = self.others.get(node)
        if other is not None:
            other.dropped += count
