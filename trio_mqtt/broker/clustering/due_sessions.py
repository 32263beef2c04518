"""What is due for sessions that no node has: delayed wills, and their end (MQTT 5.0 §3.1.2.11.2).

Any node does it, one for each session: see `SessionStore.next_due`.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import SESSION_EXPIRED, SessionEnded
from trio_mqtt.cluster.engine.calls import (
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
)
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.kept_wills import KeptWills
    from trio_mqtt.broker.clustering.key_turns import KeyTurns
    from trio_mqtt.broker.clustering.session_needs import Queues
    from trio_mqtt.broker.core import Core
    from trio_mqtt.cluster.claim_answers import Claimed
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.kept_session import KeptSession
    from trio_mqtt.cluster.session_store import SessionStore

logger = logging.getLogger("trio_mqtt.cluster")

_LOOK = 1.0  # seconds until a node looks again, at most: others may have said that more is due
_AT_ONCE = 32  # sessions that are looked at beside each other


class DueSessions:
    """Does it."""

    def __init__(
        self,
        core: Core,
        engine: Engine,
        store: SessionStore,
        queues: Queues,
        turns: KeyTurns,
        wills: KeptWills,
    ) -> None:
        self._core = core
        self._engine = engine
        self._store = store
        self._queues = queues
        self._turns = turns
        self._wills = wills
        self._sooner = trio.Event()
        self._doing = trio.Lock()
        self._is_over = False

    def look(self) -> None:
        """Something may be due: look at once."""
        self._sooner.set()

    def look_in(self, seconds: float) -> None:
        """Something is due in so many seconds."""
        if seconds < _LOOK:
            self._core.timers.after(seconds, self.look)

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        while not self._is_over:
            self._sooner = trio.Event()
            wait = _LOOK
            try:
                async with self._doing:
                    if not self._is_over:
                        wait = await self._do()
            except EngineGoneError:
                await self._engine.wait_returned()
            except EngineRefusedError as error:
                logger.error("%s Sessions and wills that are due wait.", error)  # noqa: TRY400
            with trio.move_on_after(wait):
                await self._sooner.wait()

    async def finish(self) -> None:
        """Do what is due now, before this node leaves, and nothing any more after that."""
        with suppress(EngineGoneError, EngineRefusedError):
            async with self._doing:
                self._is_over = True
                while not await self._do():
                    pass

    async def _do(self) -> float:
        """Do what is due now; in how many seconds to look again."""
        if not self._engine.deadline_ms:
            return _LOOK  # it is no node now
        # So long nobody else does it, while this node lives.
        due = await self._store.next_due(_AT_ONCE, 2 * self._engine.settings.lease)
        async with trio.open_nursery() as nursery:
            for key in due.keys:
                nursery.start_soon(self._look_at, key, due.held)
        if due.keys:
            return 0.0
        return _LOOK if due.wait is None else min(_LOOK, due.wait)

    async def _look_at(self, key: str, held: bytes) -> None:
        with trio.move_on_after(_LOOK):
            while (turn := self._turns.of(key)) is not None:
                await turn.over.wait()  # it is just being given up, mostly
        if self._turns.of(key) is not None:
            return  # its client is back, or on the way
        with self._turns.taken(key):
            try:
                if self._core.sessions.get(key) is not None:  # its client is back, at this node
                    await self._store.no_longer_due(key, held)
                    return
                claimed = await self._store.take_if_due(key, held)
                if claimed is not None:
                    await self._settle(key, claimed, held)
            except (EngineGoneError, EngineFencedError, StoreError):
                pass  # it is due again, for whoever finds it
            except Exception:
                logger.exception("What is due for the session of %r could not be done", key)

    async def _settle(self, key: str, claimed: Claimed, held: bytes) -> None:
        kept, now = claimed.kept, claimed.now
        is_over = kept.is_over(now)
        if self._wills.is_due(kept, now, ended=is_over):
            await self._wills.publish(kept, claimed.epoch)
        if is_over:
            await self._end(kept)
            await self._store.forget(key, claimed.epoch)
            await self._store.no_longer_due(key, held, kept.holder)
        else:
            ends_in = None if kept.ends is None else (kept.ends - now) / 1000
            await self._store.release(
                key, claimed.epoch, ends_in=ends_in, will_in=None, holder=kept.holder
            )

    async def _end(self, kept: KeptSession) -> None:
        """A session was not taken up again in time."""
        if not kept.outlives_connections:
            return
        await self._queues.ended(kept)
        core = self._core
        core.statistics.sessions_expired += 1
        if SessionEnded in core.event_streams.wanted:
            client_id = kept.key.partition("\0")[0]
            core.event_streams.tell(SessionEnded(client_id, SESSION_EXPIRED))
