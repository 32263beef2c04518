"""The sessions of a cluster, as one node has and gives them (MQTT 5.0 §3.1.4, §4.1)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from trio_mqtt.broker.clustering.departures import Departures
from trio_mqtt.broker.clustering.due_sessions import DueSessions
from trio_mqtt.broker.clustering.kept_wills import KeptWills
from trio_mqtt.broker.clustering.key_turns import KeyTurns
from trio_mqtt.broker.clustering.left_behind import leave_behind
from trio_mqtt.broker.clustering.session_claims import SessionClaims
from trio_mqtt.broker.clustering.session_holds import Holds, begin_of
from trio_mqtt.cluster.claim_answers import Claimed, OwnedBy
from trio_mqtt.cluster.engine.calls import EngineFencedError, EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.items import GIVEN_UP, decode_asked, encode_asked
from trio_mqtt.cluster.members import read_members

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.session_holds import Hold
    from trio_mqtt.broker.clustering.session_needs import Neighbours, Queues
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions import claims
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.claim_answers import Begin, Claim
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.session_store import SessionStore


class ClusterSessions:
    """What of `Elsewhere` is about sessions, and what nodes owe each other's."""

    def __init__(
        self,
        core: Core,
        engine: Engine,
        journal: ClusterJournal,
        store: SessionStore,
        others: Neighbours,
        queues: Queues,
    ) -> None:
        self._core = core
        self._engine = engine
        self._others = others
        self._journal = journal
        self._store = store
        self._turns = turns = KeyTurns()
        self.holds = holds = Holds(journal, store, queues.came)
        self._wills = wills = KeptWills(core, journal, store.node, holds)
        self._due = due = DueSessions(core, engine, store, queues, turns, wills)
        self._departures = departures = Departures(
            core, engine, journal, store, queues, holds, turns, due.look_in
        )
        self._claims = SessionClaims(
            core, engine, journal, store, others, queues, holds, turns, departures, wills
        )
        # Those that other nodes have asked for, and who they are.
        self._asked_for: dict[str, set[str]] = {}

    # -- what the broker's parts ask for --------------------------------------------------------

    async def claim(self, asking: claims.Asking) -> claims.Claim | claims.NoSession | None:
        """See `SessionsElsewhere.claim`."""
        return await self._claims.claim(asking)

    def begun(self, session: Session) -> None:
        """See `SessionsElsewhere.begun`."""
        self.holds.begun(session)

    def share_what_is_left(self, session: Session, *, ended: bool) -> None:
        """See `SessionsElsewhere.share_what_is_left`."""
        # Of one that is lost the engine has all that counts, and others give that to members.
        if not self.holds.is_lost(session.key):
            leave_behind(session, self._core.router.index, self._journal, ended=ended)

    def left(self, session: Session, *, ended: bool) -> None:
        """See `SessionsElsewhere.left`."""
        self._departures.left(session, ended=ended)

    async def all_left(self) -> None:
        """See `SessionsElsewhere.all_left`."""
        await self._turns.all_over()

    async def finish(self) -> None:
        """All clients have gone, and so is this node soon: have their sessions leave, and wills."""
        await self.all_left()
        await self._due.finish()

    async def references(self) -> Sequence[str]:
        """See `SessionsElsewhere.references`; none while the engine is gone."""
        try:
            members = await read_members(self._engine)
        except (EngineGoneError, EngineRefusedError):
            return []
        others = [one for one in members if one.node != self._store.node]
        return [
            one.server_reference
            for one in others
            if one.server_reference and one.figures.get("state") != "draining"
        ]

    def lost(self, number: int) -> None:
        """A session of this number in the journal is another node's by now."""
        key = self.holds.key_of(number)
        hold = None if key is None else self.holds.get(key)
        if key is None or hold is None:
            return
        hold.is_lost = True
        session = self._core.sessions.get(key)
        if session is not None:
            session.withhold()
            session.disown()

    # -- what other nodes ask for ---------------------------------------------------------------

    def on_give_up(self, data: memoryview) -> None:
        """A node wants a session that this one has."""
        node, key = decode_asked(data)
        nursery = self._core.tasks
        asking = self._asked_for.get(key)
        if asking is not None:
            asking.add(node)
        elif nursery is not None:
            self._asked_for[key] = {node}
            nursery.start_soon(self._give_up, key)

    def on_given_up(self, data: memoryview) -> None:
        """A node no longer has a session that this one has asked for."""
        _, key = decode_asked(data)
        self._claims.given_up(key)

    async def _give_up(self, key: str) -> None:
        try:
            await self._until_given_up(key)
        finally:
            for node in self._asked_for.pop(key):
                self._others.tell(node, GIVEN_UP, encode_asked(self._store.node, key))

    async def _until_given_up(self, key: str) -> None:
        sessions = self._core.sessions
        while True:
            turn = self._turns.of(key)
            session = sessions.get(key)
            if turn is not None:
                turn.give_way()
                await turn.over.wait()
            elif session is not None:
                await self._departures.until_left(session)
            else:
                break
        if self.holds.get(key) is None:
            # What stands as this node's and is not here was begun with and not ended.
            with self._turns.taken(key), suppress(EngineGoneError, EngineFencedError):
                await self._store.let_be(key, None)

    def is_busy(self, key: str) -> bool:
        """Whether something is under way for a session."""
        return self._turns.of(key) is not None

    # -- tasks ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Do what is due for sessions that nobody has, until cancelled."""
        await self._due.run()

    def look(self) -> None:
        """Something may be due: look at once."""
        self._due.look()

    def is_now(self, node: str) -> None:
        """This process is a node of this name from now on."""
        self._store.node = self._wills.node = node

    async def take_back(self, session: Session) -> None:
        """Have the session of a client that was connected while this was no node, or another.

        Where another node has it, the client here is told that it was taken over.
        """
        key, begin = session.key, begin_of(session)
        with self._turns.taken(key):
            hold = await self._take_back(key, begin)
        is_here = self._core.sessions.get(key) is session
        if hold is None:
            session.disown()
            if not is_here:  # while this had the turn, nobody else has seen to that
                self.holds.remove(key)
        elif not is_here:
            self._departures.give_up(key, begin.will, ended=True)

    async def _take_back(self, key: str, begin: Begin) -> Hold | None:
        """Have the session of a key; None where another has begun, which stands."""
        answer = await self._claim_clean(key, begin, self._store.node)
        while isinstance(answer, OwnedBy) and not await self._store.is_alive(answer.node):
            answer = await self._claim_clean(key, begin, answer.node)
        if not isinstance(answer, Claimed):
            return None
        if answer.kept.outlives_connections:
            # Begun elsewhere, after the one here, which would have ended it.
            await self._store.let_be(key, None)
            return None
        if not answer.has_begun and not await self._store.begin(
            key, answer.epoch, begin, wipe=True
        ):
            return None
        return self.holds.add(key, answer.epoch, begin, has_begun=True)

    async def _claim_clean(self, key: str, begin: Begin, take_from: str) -> Claim:
        return await self._store.claim(
            key, begin, token="", clean=True, take_from=take_from, gently=True
        )
