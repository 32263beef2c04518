"""Sessions as nodes join, leave and die, and as the engine goes and returns."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.membership import Part
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.cluster_sessions import ClusterSessions
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.session_store import SessionStore

LOST = "this broker has lost the cluster that keeps its sessions"
_AT_ONCE = 64  # sessions that are claimed beside each other


class SessionMembership(Part):
    """What is done then."""

    def __init__(
        self,
        core: Core,
        engine: Engine,
        journal: ClusterJournal,
        store: SessionStore,
        sessions: ClusterSessions,
    ) -> None:
        self._core = core
        self._journal = journal
        self._engine = engine
        self._store = store
        self._sessions = sessions

    async def run(self) -> None:
        """Have the sessions of clients that came while the engine was gone, until cancelled."""
        while True:
            await self._engine.wait_gone()
            await self._engine.wait_returned()
            with suppress(EngineGoneError, EngineRefusedError):
                await self._take_back()

    async def joined(self, node: str) -> None:
        """Who is connected, and was while this was no node, or another, is this one's client."""
        self._sessions.is_now(node)
        await self._take_back()

    async def _take_back(self) -> None:
        sessions = self._sessions
        waiting = [
            one
            for one in self._core.sessions.all()
            if one.is_connected and not sessions.holds.has(one.key)
        ]

        failure: EngineGoneError | EngineRefusedError | None = None

        async def take_back() -> None:
            nonlocal failure
            while waiting and failure is None:
                session = waiting.pop()
                if not sessions.is_busy(session.key) and self._is_there(session):
                    try:
                        await sessions.take_back(session)
                    except (EngineGoneError, EngineRefusedError) as error:
                        failure = error

        async with trio.open_nursery() as nursery:
            for _ in range(min(_AT_ONCE, len(waiting))):
                nursery.start_soon(take_back)
        if failure is not None:
            raise failure

    def _is_there(self, session: Session) -> bool:
        return self._core.sessions.get(session.key) is session

    async def lost(self, node: str) -> None:
        """What this node had is for others to take: durable sessions go, with their clients."""
        keys: set[str] = set()
        numbers: set[int] = set()
        for key, hold in self._sessions.holds.all():
            hold.is_lost = True
            numbers.add(hold.number)
            session = self._core.sessions.get(key)
            if session is not None and session.expiry_interval:
                session.withhold()
                session.end(ReasonCode.SERVER_SHUTTING_DOWN, LOST)
            if hold.begin.expiry_interval if session is None else session.expiry_interval:
                keys.add(key)
                # Nor is anything of it kept late: that a message has come which is forgotten.
                self._sessions.holds.forget(hold)
        self._journal.forget_what_came_from(keys, numbers - {0})

    async def died(self, node: str) -> None:
        """What a dead node had is free."""
        while await self._store.free(node):
            self._sessions.look()

    async def left(self, node: str) -> None:
        """Whoever was connected has gone, and its session waits for it."""
        await self._sessions.all_left()
