"""Messages for durable sessions, as one node has to do with them: all parts of it together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.durable.catching_up import CatchingUp
from trio_mqtt.broker.clustering.durable.cursor_writing import CursorWriting
from trio_mqtt.broker.clustering.durable.floors import Floors
from trio_mqtt.broker.clustering.durable.followers import Followers
from trio_mqtt.broker.clustering.durable.handing import Handing
from trio_mqtt.broker.clustering.durable.holding import Holding, is_durable
from trio_mqtt.broker.clustering.durable.local import Direct
from trio_mqtt.broker.clustering.durable.log_writer import LogWriter
from trio_mqtt.broker.clustering.durable.placing import Placing
from trio_mqtt.broker.clustering.durable.registering import Registering
from trio_mqtt.broker.clustering.durable.resuming import Resuming
from trio_mqtt.broker.clustering.durable.shares import Shares
from trio_mqtt.broker.clustering.durable.sweeping import Sweeping
from trio_mqtt.broker.clustering.durable.telling import Telling, unpack
from trio_mqtt.broker.clustering.durable.under_way import UnderWay
from trio_mqtt.broker.routing.router import Router
from trio_mqtt.cluster.additions import Additions
from trio_mqtt.cluster.durable_filters import DURABLE, DurableFilters, decode_durable
from trio_mqtt.cluster.engine.calls import number_of
from trio_mqtt.cluster.items import COPY, MISSED
from trio_mqtt.cluster.logs import Logs
from trio_mqtt.cluster.membership import Part

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.arrivals import Arrivals
    from trio_mqtt.broker.clustering.following import Following
    from trio_mqtt.broker.clustering.interests import Interests
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.others import Others
    from trio_mqtt.broker.clustering.travelling import Travel
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.storage import ClusterStorage


class Durable(Part):
    """The durable sessions of this node, and the logs that they follow.

    `placing` has their subscriptions, `holding` what of them others are still to know; `resuming`
    has them come, and go.
    """

    def __init__(
        self,
        core: Core,
        engine: Engine,
        journal: ClusterJournal,
        interests: Interests,
        others: Others,
        travel: Travel,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._filters = DurableFilters(engine)
        self.logs = Logs(engine)
        self.router = Router(core.limits, core.statistics, core.options)
        # What is much for many is sent in turns, of which the core sees to all.
        self.router.spreading = core.router.spreading
        self.writer = LogWriter(core.router.index, journal, journal)
        self.direct = Direct(core.router.index, self.router)
        unpacked = partial(unpack, travel)
        self._handing = handing = Handing(self.router, journal)
        self.followers = Followers(self.logs, handing, unpacked)
        self.registering = Registering(
            engine, self.logs, self._filters, interests, self.followers, self.writer
        )
        self.shares = Shares(engine, self.logs, core.router.index, journal, interests, unpacked)
        self.registering.shared = self.shares.is_logged
        self.catching_up = CatchingUp(
            engine, self.logs, self.followers, handing, unpacked, core.limits
        )
        self.floors = Floors(journal)
        journal.on_gone = self.floors.leave_all
        self.cursors = CursorWriting(engine, self.logs, journal, self.floors)
        self.sweeping = Sweeping(engine, self.registering)
        self.holding = Holding(journal, self.registering, self.followers, self.floors)
        self.placing = Placing(
            self.holding,
            self.registering,
            self.catching_up,
            self.shares,
            self.direct,
            self.router.index,
            journal,
            interests,
        )
        under_way = UnderWay(self.logs, journal, unpacked, travel)
        self.resuming = Resuming(
            self.holding,
            self.registering,
            self.catching_up,
            under_way,
            self.cursors.store,
            self.logs,
            journal,
        )
        self.is_whole, self.resume = self.resuming.is_whole, self.resuming.resume
        self.leave, self.ended = self.resuming.leave, self.resuming.ended
        self._telling = Telling(
            core.router.index, self.registering, self.followers, self.shares, others, travel
        )

    def bind(self, storage: ClusterStorage, following: Following, arrivals: Arrivals) -> None:
        """Have a part in what is kept, and in what comes."""
        storage.additions = Additions(self.logs)
        storage.added = self._telling.added
        self._journal.epoch_of = storage.epoch_of
        self.shares.is_lost = storage.is_lost
        self.shares.is_alive = storage.sessions.is_alive
        following.loaders.append(self._load)
        following.handlers[DURABLE] = partial(self._on_durable, following)
        arrivals.handlers[COPY] = self._telling.on_copy
        arrivals.handlers[MISSED] = self._telling.on_missed
        arrivals.direct = self.direct.take
        arrivals.gather, arrivals.let_go = self._handing.gather, self._handing.let_go

    def came(self, session: Session) -> None:
        """A session is one that is kept from now on, under its number."""
        if is_durable(session):
            self.holding.tracker(session)

    # -- which filters durable sessions have ----------------------------------------------------

    def _on_durable(self, following: Following, data: memoryview) -> None:
        """A filter is durable from now on, or no more."""
        node, topic_filter, durable = decode_durable(data)
        if durable:
            self.registering.is_durable(topic_filter, following.number)
        else:
            self.registering.is_not_durable(topic_filter, following.number)
        following.asks(node)

    async def _load(self) -> None:
        """Know which filters are durable, and no others. Raises EngineGoneError."""
        reply = await self._engine.call("HGETALL", self._engine.keys.durable)
        known: dict[str, int] = {}
        if isinstance(reply, dict):
            known = {
                name.decode(errors="replace"): number_of(number, "the number of a change")
                for name, number in reply.items()
            }
        self.registering.load(known)

    # -- nodes that come and go -----------------------------------------------------------------

    async def joined(self, node: str) -> None:
        """Have the cluster know what is followed here, as this node."""
        self._filters.node = self.shares.node = node
        self.floors.be(node)
        self.followers.look()

    async def lost(self, node: str) -> None:
        """What this node has said of sessions here is as far as it goes."""
        self.floors.be("")

    async def left(self, node: str) -> None:
        """All sessions have gone, and said themselves how far they are."""
        self.floors.be("")
        await self.cursors.store.expire(node)

    def forgotten(self, node: str) -> None:
        """A node is gone for good: of what it has added last, it may have told nobody; what it
        has taken out of shared logs, and given to nobody, is for others.
        """
        self.followers.look()
        self.shares.is_dead(node)

    # -- its life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow logs and tell them how far sessions are, until cancelled."""
        async with trio.open_nursery() as nursery:
            self.holding.nursery = nursery
            nursery.start_soon(self.followers.run)
            nursery.start_soon(self.registering.run)
            nursery.start_soon(self.shares.run)
            nursery.start_soon(self.cursors.run)
            nursery.start_soon(self.sweeping.run)
            nursery.start_soon(self._look_again)
            await self.holding.run()

    async def _look_again(self) -> None:
        """After the engine was away, or has lost something, copies may be missing."""
        while True:
            await self._engine.wait_gone()
            await self._engine.wait_returned()
            self.followers.look()
