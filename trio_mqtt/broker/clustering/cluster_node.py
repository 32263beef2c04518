"""A node of a cluster, of all its parts: what the broker knows as `Elsewhere`."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.arrivals import Arrivals
from trio_mqtt.broker.clustering.bans_everywhere import BANS, BansEverywhere
from trio_mqtt.broker.clustering.catching_up import CatchingUp
from trio_mqtt.broker.clustering.clock import EngineClock
from trio_mqtt.broker.clustering.cluster_sessions import ClusterSessions
from trio_mqtt.broker.clustering.cluster_topics import ClusterTopics
from trio_mqtt.broker.clustering.durable.durable import Durable
from trio_mqtt.broker.clustering.figures import NodeFigures
from trio_mqtt.broker.clustering.following import Following
from trio_mqtt.broker.clustering.interests import Interests
from trio_mqtt.broker.clustering.journal import ClusterJournal
from trio_mqtt.broker.clustering.other_node import OtherNode
from trio_mqtt.broker.clustering.others import Others
from trio_mqtt.broker.clustering.presence import Presence
from trio_mqtt.broker.clustering.retained_everywhere import RetainedEverywhere
from trio_mqtt.broker.clustering.session_membership import SessionMembership
from trio_mqtt.broker.clustering.traffic import Traffic
from trio_mqtt.broker.clustering.travelling import Travel
from trio_mqtt.broker.elsewhere import ClusterView
from trio_mqtt.broker.promises import all_of
from trio_mqtt.cluster.changes import GONE, Changes
from trio_mqtt.cluster.inbox import Inboxes
from trio_mqtt.cluster.items import APPLIED, DRAIN, GIVE_UP, GIVEN_UP, decode_numbered, decode_text
from trio_mqtt.cluster.membership import Membership
from trio_mqtt.cluster.storage import ClusterStorage
from trio_mqtt.errors import MqttError
from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.promises import Awaited
    from trio_mqtt.broker.routing.target import Recipient
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.membership import Part

logger = logging.getLogger("trio_mqtt.cluster")

LEAVING = 5.0  # seconds that it may take to say goodbye to the cluster


class ClusterNode:
    """This broker as a node. `journal` is to be the core's; `bind` follows before all else."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = EngineClock(engine)
        self.changes = Changes(engine)
        self.storage = ClusterStorage(engine, self.changes)
        self._travel = Travel(self.clock)
        self.journal = ClusterJournal(self.storage, self.clock, self._travel)
        self._inboxes = Inboxes(engine)
        self._placed: set[Recipient] = set()
        # What has to do with nodes that come and go, in the order in which it joins.
        self._parts: list[Part] = []
        self._figures = NodeFigures()
        self.membership = Membership(
            engine, self._parts, version=__version__, figures=self._figures
        )
        self.interests = Interests(
            engine, self.changes, self.membership.doubt, self.membership.give_up
        )
        self.catching_up = CatchingUp(engine, self.changes, self.membership.give_up)
        self.drain: Callable[[str | None], Awaitable[None]] | None = None
        """How the broker gives up its clients, once it has any."""

    def bind(self, core: Core) -> None:
        """Belong to the broker of this core from now on."""
        self._core = core
        self.others = Others(core, self._make_other, self.engine.settings.lease)
        core.router.index.nearness.prefers_here = self.engine.settings.prefer_local
        self.retained = RetainedEverywhere(core, self.storage.retained, self.clock)
        self.journal.on_retained = self.retained.changed
        self.storage.retained_sent = self.retained.are_sent
        self.storage.retained_overtaken = self.retained.is_overtaken
        self.storage.retained_lasts = lambda: core.limits.default_retained_expiry
        self.following = Following(
            self.engine,
            self.changes,
            self.others,
            self.journal,
            self.retained,
            self.catching_up,
            self.membership.give_up,
        )
        self._bans = bans = BansEverywhere(core, self.engine, self.changes)
        self.ban, self.unban = bans.say, bans.lift
        self.following.handlers[BANS] = bans.on_change
        self.following.loaders.append(bans.load)
        self.following.lost_some = self.membership.begin_anew
        self.arrivals = Arrivals(core, self.engine, self._travel, self.membership.give_up)
        self._figures.bind(core, self.arrivals)
        self.traffic = Traffic(
            self.engine,
            self.clock,
            self.changes,
            self.storage,
            self.others,
            self.following,
            self.interests,
            self.arrivals,
        )
        self._parts.append(self.traffic)
        self.arrivals.handlers[APPLIED] = self._on_applied
        self.following.handlers[GONE] = self._on_gone
        self.storage.dropped = self._on_dropped
        self.durable = Durable(
            core, self.engine, self.journal, self.interests, self.others, self._travel
        )
        self.durable.bind(self.storage, self.following, self.arrivals)
        self.durable.placing.join = self._join
        self._parts.append(self.durable)
        self.traffic.forgotten = self.durable.forgotten
        self.topics = ClusterTopics(core, self.engine, self.membership)
        self._join_sessions(core)
        self.membership.on_gone_on = self.storage.has_lease_again
        self.storage.waits_until = lambda: self.membership.waited_for_until
        self._presence = Presence(core, self.engine, self.membership, self.journal)
        self._parts.append(self._presence)  # the last: what others need, is there by then
        core.join(self)

    def _join_sessions(self, core: Core) -> None:
        """Have sessions come to this node, and leave it."""
        store = self.storage.sessions
        self.sessions = ClusterSessions(core, self.engine, self.journal, store, self, self.durable)
        self.storage.lost = self.sessions.lost
        self.arrivals.handlers[GIVE_UP] = self.sessions.on_give_up
        self.arrivals.handlers[GIVEN_UP] = self.sessions.on_given_up
        self.arrivals.handlers[DRAIN] = self._on_drain
        self._session_part = SessionMembership(
            core, self.engine, self.journal, store, self.sessions
        )
        self._parts.append(self._session_part)
        core.sessions.elsewhere = self.sessions

    # -- what the broker's parts ask for --------------------------------------------------------

    def place(self, subscription: Recipient) -> None:
        """From now on messages reach a subscription of this broker, wherever they are published."""
        durable = self.durable.placing
        if durable.takes(subscription):
            durable.place(subscription)
            return
        is_shared = bool(subscription.topic_filter.share)
        if is_shared and durable.place_member(subscription) and subscription not in self._placed:
            return  # it joins once what is for the group waits in a log
        self._join(subscription)

    def _join(self, subscription: Recipient) -> None:
        self._core.router.index.add(subscription)
        if subscription.topic_filter.share:
            self.durable.shares.placed(subscription)
        if subscription not in self._placed:
            self._placed.add(subscription)
            self.interests.add(subscription.topic_filter)

    def displace(self, subscription: Recipient) -> None:
        """No message reaches a subscription from now on."""
        durable = self.durable.placing
        if durable.has(subscription):
            durable.displace(subscription)
            return
        self._core.router.index.remove(subscription)
        if subscription.topic_filter.share:
            durable.displace_member(subscription)
        if subscription in self._placed:
            self._placed.remove(subscription)
            self.interests.discard(subscription.topic_filter)

    def known(self, session: object = None) -> Awaited | None:
        """What is over once all living nodes know of the subscriptions here, of a session or of
        all; None if they do.
        """
        return all_of((self.interests.known(), self.durable.holding.known(session)))

    def caught_up(self) -> Awaited:
        """What is over once this node knows all that others know now."""
        return self.catching_up.wanted()

    def view(self) -> ClusterView:
        """The cluster as it looks from here."""
        engine, membership = self.engine, self.membership
        return ClusterView(
            name=engine.settings.name,
            engine=engine.shown,
            promise=engine.promise,
            node=engine.settings.node_name,
            node_id=membership.node,
            nodes=tuple(sorted(membership.alive)),
            is_cut_off=engine.is_gone,
            lag=self.arrivals.lag,
            damaged=self.arrivals.damaged,
        )

    # -- its life -------------------------------------------------------------------------------

    @asynccontextmanager
    async def belonging(self) -> AsyncIterator[None]:
        """Be a node for as long as the context lasts; whoever is cancelled still leaves in order.

        Raises EngineError where the engine does not let it in.
        """
        async with tasks_beside() as nursery:
            scope = await nursery.start(self._run)
            try:
                yield
            finally:
                with trio.move_on_after(LEAVING, shield=True):
                    await self.membership.leave()
                scope.cancel()

    async def let_go(self) -> None:
        """Have all sessions leave: their clients have gone."""
        with trio.move_on_after(LEAVING):
            await self.sessions.finish()

    def tell(self, node: str, kind: int, data: bytes) -> None:
        """Send a node an item that is not dropped."""
        other = self.others.known(node)
        if other is not None:
            other.tell(kind, data)

    async def _run(self, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            async with tasks_beside() as nursery:
                nursery.start_soon(self.others.run)
                nursery.start_soon(self.following.run)
                nursery.start_soon(self.following.run_answers)
                nursery.start_soon(self.catching_up.run)
                nursery.start_soon(self.arrivals.run)
                nursery.start_soon(self.interests.run)
                nursery.start_soon(self.traffic.watch, self.membership)
                nursery.start_soon(self.topics.run)
                nursery.start_soon(self.durable.run)
                nursery.start_soon(self.sessions.run)
                nursery.start_soon(self._session_part.run)
                nursery.start_soon(self._presence.run)
                await nursery.start(self.membership.keep)
                # Whoever cancels the broker wants its clients told, and what is promised kept.
                scope.shield = True
                task_status.started(scope)
                await trio.sleep_forever()

    # -- the others -----------------------------------------------------------------------------

    def _make_other(self, node: str) -> OtherNode:
        return OtherNode(
            node, self.engine, self._inboxes, self.journal, self._travel, self._core.statistics
        )

    def _on_drain(self, data: memoryview) -> None:
        """Somebody wants this node to give up its clients."""
        nursery, drain = self._core.tasks, self.drain
        if nursery is not None and drain is not None:
            nursery.start_soon(self._drain, drain, str(data, "utf-8", "replace") or None)

    async def _drain(
        self, drain: Callable[[str | None], Awaitable[None]], server_reference: str | None
    ) -> None:
        logger.info("Giving up all clients, as was asked for through the cluster")
        try:
            await drain(server_reference)
        except MqttError as error:
            logger.error("%s The clients stay.", error)  # noqa: TRY400
        else:
            logger.info("All clients have gone, and new ones are sent elsewhere")

    def _on_applied(self, data: memoryview) -> None:
        self.interests.applied(*decode_numbered(data))

    def _on_gone(self, data: memoryview) -> None:
        node = decode_text(data)
        if node != self.membership.node:
            self.traffic.forget(node)

    def _on_dropped(self, node: str, count: int) -> None:
        """A node's inbox had no room for so many messages."""
        other = self.others.get(node)
        if other is not None:
            other.drop(count)
