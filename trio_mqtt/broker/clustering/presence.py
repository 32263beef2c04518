"""Whether this broker is a node that knows what the others want, and what people are told of it.

While the engine is gone, what clients are promised waits: it is kept as soon as the engine is back,
and is acknowledged then. Once this node's lease has ended, others do not wait for it any more when
their clients subscribe: it cannot know who wants a message, and takes none of QoS 1 and 2 until it
has joined again and has read what it missed, or has a lease again since no other node has reached
the engine either. QoS 0 between its own clients goes on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import (
    BrokerEvent,
    EngineLost,
    EngineReturned,
    LeaseLost,
    NodeDied,
    NodeJoined,
    NodeLeft,
)
from trio_mqtt.cluster.engine.calls import EngineUnableError
from trio_mqtt.cluster.membership import Part

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.membership import Membership

logger = logging.getLogger("trio_mqtt.cluster")

_CALM = 5.0  # seconds: more than there are between two attempts to reach an engine

NO_NODE = "this broker is cut off from its cluster for longer than its lease"


class Presence(Part):
    """The last part to join: what the others need, is there by then."""

    def __init__(
        self, core: Core, engine: Engine, membership: Membership, journal: ClusterJournal
    ) -> None:
        self._core = core
        self._engine = engine
        self._membership = membership
        self._journal = journal
        self._is_current = False
        self._has_been = ""  # the node that this process was last
        membership.on_renewed = self._renewed
        membership.on_cut_off = self._cut_off

    async def joined(self, node: str) -> None:
        """All is known that the others want; what clients publish is taken."""
        self._is_current = True
        self._renewed()
        self._journal.goes_on()
        text = f"This broker is {node} in the cluster {self._engine.settings.name}."
        if self._has_been:
            text = f"This broker is in the cluster again, as {node}: its clients are served."
        self._tell(logging.WARNING if self._has_been else logging.INFO, NodeJoined(node), text)
        self._has_been = node

    async def lost(self, node: str) -> None:
        """What the others want is not known any more."""
        was_current, self._is_current = self._is_current, False
        self._journal.is_cut_off(NO_NODE)
        if not was_current:
            return  # it has not joined: nobody was told that it had
        lease = self._engine.settings.lease
        why = f"{node} was cut off from its cluster for longer than its lease of {lease:g} s"
        if self._membership.is_to_begin_anew:
            why = f"{node} gives up its lease, as its engine has lost some of what it was told"
        elif self._membership.has_given_up:
            why = f"{node} has left its cluster, whose engine does not do what it needs"
        self._tell(
            logging.ERROR,
            LeaseLost(node),
            f"{why}: its sessions are for other nodes to take, and nothing of QoS 1 and 2 is"
            " acknowledged until it has joined again. QoS 0 goes on.",
        )

    def _renewed(self) -> None:
        if self._is_current:
            self._journal.known_until = self._membership.lease_end

    def _cut_off(self) -> None:
        settings = self._engine.settings
        logger.warning(
            "%s does not reach its engine for longer than its lease of %g s: nothing of QoS 1 and 2"
            " is taken. Its clients stay for %g s more, if the engine comes back to it meanwhile.",
            self._has_been,
            settings.lease,
            settings.keep_clients,
            extra={"event": "cut_off"},
        )

    async def run(self) -> None:
        """Tell what becomes of the engine and of the other nodes, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_engine)
            nursery.start_soon(self._watch_nodes)

    async def _watch_engine(self) -> None:
        engine = self._engine
        while True:
            error = await engine.wait_gone()
            since, why = trio.current_time(), str(error)
            self._tell(
                logging.WARNING,
                EngineLost(engine.shown, why),
                f"{why} What clients are promised waits for it.",
            )
            # What keeps it away may be another reason than what began it: each is told once.
            reasons, times, seconds = {why}, 1, 0.0
            while True:
                while (other := await engine.wait_other_reason(reasons)) is not None:
                    reasons.add(other)
                    logger.warning("%s", other)
                seconds = trio.current_time() - since
                if not isinstance(error, EngineUnableError):
                    break
                # An engine without room takes something now and then: it is there once that lasts.
                with trio.move_on_after(_CALM):
                    error = await engine.wait_gone()
                    times += 1
                    continue
                break
            often = f", {times} times" if times > 1 else ""
            self._tell(
                logging.WARNING,
                EngineReturned(engine.shown, seconds),
                f"The engine at {engine.shown} is there again, after {seconds:.1f} s{often}.",
            )

    async def _watch_nodes(self) -> None:
        known: dict[str, float] = {}
        here = ""
        name = self._engine.settings.name
        while True:
            await self._membership.wait_changed()
            if not self._membership.node:
                continue
            mine = {here, self._membership.node}  # of what it was itself, it has told
            here = self._membership.node
            now = trio.current_time()
            alive = self._membership.alive
            for node in alive.keys() - known.keys() - mine:
                self._tell(logging.INFO, NodeJoined(node), f"{node} is in the cluster {name}.")
            for node in known.keys() - alive.keys() - mine:
                if known[node] > now:
                    self._tell(logging.INFO, NodeLeft(node), f"{node} has left the cluster.")
                else:
                    self._tell(
                        logging.WARNING,
                        NodeDied(node),
                        f"{node} is dead: its lease has ended. Its sessions are free to be taken.",
                    )
            known = alive  # with the ends of leases as they go on

    def _tell(self, level: int, event: BrokerEvent, text: str) -> None:
        about = {name: getattr(event, name) for name in event.__dataclass_fields__}  # type: ignore[attr-defined]
        logger.log(level, "%s", text, extra={"event": _WORDS[type(event)], **about})
        if type(event) in self._core.event_streams.wanted:
            self._core.event_streams.tell(event)


_WORDS: dict[type[BrokerEvent], str] = {
    EngineLost: "engine_lost",
    EngineReturned: "engine_returned",
    LeaseLost: "lease_lost",
    NodeDied: "node_died",
    NodeJoined: "node_joined",
    NodeLeft: "node_left",
}
