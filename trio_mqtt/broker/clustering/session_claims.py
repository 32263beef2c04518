"""A client connects: its session comes to this node, wherever it was (MQTT 5.0 §3.1.4)."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.key_turns import TAKEN_OVER
from trio_mqtt.broker.restored import permissions_of, restore_subscription
from trio_mqtt.broker.sessions.claims import ANOTHERS, Claim
from trio_mqtt.broker.sessions.delivery_state import session_key
from trio_mqtt.broker.sessions.kept_rows import will_of
from trio_mqtt.broker.sessions.room import holder_of
from trio_mqtt.cluster.claim_answers import AnothersSession, Begin, Claimed, OwnedBy, Superseded
from trio_mqtt.cluster.engine.calls import (
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    as_sentence,
)
from trio_mqtt.cluster.items import GIVE_UP, encode_asked
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.departures import Departures
    from trio_mqtt.broker.clustering.kept_wills import KeptWills
    from trio_mqtt.broker.clustering.key_turns import KeyTurns
    from trio_mqtt.broker.clustering.session_holds import Hold, Holds
    from trio_mqtt.broker.clustering.session_needs import Neighbours, Queues
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.claims import Asking, NoSession
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.kept_session import KeptSession
    from trio_mqtt.cluster.session_store import SessionStore

_ASK_AGAIN = 0.5  # seconds until the node that has a session is asked for it again
_AT_ONCE = 100  # subscriptions that are restored before others have their turn

logger = logging.getLogger("trio_mqtt.cluster")

GONE = "the cluster's engine cannot be reached: sessions are kept there"
REFUSED = "the cluster's engine refuses this session, which is kept there"


class _TakenAwayError(Exception):
    """Another node has the session by now."""


class SessionClaims:
    """Gives clients that connect their sessions."""

    def __init__(
        self,
        core: Core,
        engine: Engine,
        journal: Journal,
        store: SessionStore,
        others: Neighbours,
        queues: Queues,
        holds: Holds,
        turns: KeyTurns,
        departures: Departures,
        wills: KeptWills,
    ) -> None:
        self._core = core
        self._engine = engine
        self._journal = journal
        self._store = store
        self._others = others
        self._queues = queues
        self._holds = holds
        self._turns = turns
        self._departures = departures
        self._wills = wills
        # Of those who wait until another node has given a session up.
        self._given_up: dict[str, trio.Event] = {}

    async def claim(self, asking: Asking) -> Claim | NoSession | None:
        """See `SessionsElsewhere.claim`."""
        core = self._core
        key = session_key(asking.client_id, asking.mount_point)
        while True:
            before, session = self._turns.of(key), core.sessions.get(key)
            if before is not None:
                if before.outlet is not None and core.options.takeover_refused:
                    return core.sessions.refuse_takeover()
                if self._engine.is_gone:
                    return ReasonCode.SERVER_UNAVAILABLE, GONE
                before.give_way()
                await before.over.wait()
            elif asking.outlet.ended:
                return None
            elif session is None:
                break
            elif self._holds.is_lost(key):
                await self._departures.until_left(session)
            else:
                return self._claim_here(asking)
        if self._engine.is_gone:
            return self._claim_alone(asking)
        claim = None
        try:
            with self._turns.taken(key, asking.outlet):
                claim = await self._claim(key, asking)
        except (EngineGoneError, EngineFencedError):
            claim = self._claim_alone(asking)
        except EngineRefusedError as error:
            why = as_sentence(error)
            logger.error("The engine refuses the session of %r: %s", key, why)  # noqa: TRY400
            claim = ReasonCode.SERVER_UNAVAILABLE, REFUSED
        except _TakenAwayError:
            asking.outlet.end(ReasonCode.SESSION_TAKEN_OVER, TAKEN_OVER)
        finally:
            if not isinstance(claim, Claim):
                self._departures.give_up(key, asking.will)
        return claim

    def _claim_here(self, asking: Asking) -> Claim | NoSession:
        """Give the client a session that this node has, or a new one in its place."""
        return self._core.sessions.claim(
            asking.client_id,
            asking.mount_point,
            user=asking.user,
            address=asking.address,
            clean_start=asking.clean_start,
            queue_policy=asking.queue_policy,
        )

    def _claim_alone(self, asking: Asking) -> Claim | NoSession:
        """While the engine is gone, only who has no session, and keeps none, can be served.

        Nobody could promise others that no other session is theirs.
        """
        if asking.is_new and not asking.expiry_interval:
            return self._claim_here(asking)
        return ReasonCode.SERVER_UNAVAILABLE, GONE

    async def _claim(self, key: str, asking: Asking) -> Claim | NoSession | None:
        begin = Begin(asking.user, asking.expiry_interval, asking.will, asking.author)
        claimed = await self._take(key, asking, begin)
        if not isinstance(claimed, Claimed):
            return claimed
        hold = self._holds.add(key, claimed.epoch, begin, has_begun=claimed.has_begun)
        return await self._arrive(key, asking, hold, claimed)

    async def _take(self, key: str, asking: Asking, begin: Begin) -> Claimed | NoSession | None:
        """Have the session for this node, once another has given it up, or is dead."""
        token = uuid.uuid4().hex
        refuses = self._core.options.takeover_refused
        # What stands as this node's own and is not here was begun with and not ended.
        take_from, waits = self._store.node, False
        try:
            while True:
                given_up = self._given_up[key] = trio.Event()
                answer = await self._store.claim(
                    key,
                    begin,
                    token=token,
                    clean=asking.clean_start,
                    take_from=take_from,
                    gently=refuses,
                    waits=waits,
                )
                match answer:
                    case Claimed():
                        return answer
                    case AnothersSession():
                        return ANOTHERS
                    case Superseded():
                        raise _TakenAwayError
                    case OwnedBy(node) if not await self._store.is_alive(node):
                        take_from = node
                    case OwnedBy(node):
                        if refuses:
                            return self._core.sessions.refuse_takeover()
                        waits = True
                        self._others.tell(node, GIVE_UP, encode_asked(self._store.node, key))
                        with trio.move_on_after(_ASK_AGAIN):
                            await given_up.wait()
        finally:
            self._given_up.pop(key, None)

    def given_up(self, key: str) -> None:
        """Another node has said that it has given a session up."""
        waiting = self._given_up.get(key)
        if waiting is not None:
            waiting.set()

    async def _arrive(
        self, key: str, asking: Asking, hold: Hold, claimed: Claimed
    ) -> Claim | NoSession:
        """Make the session of what was kept of it."""
        core, kept = self._core, claimed.kept
        is_over = asking.clean_start or kept.is_over(claimed.now)
        present = kept.outlives_connections and not is_over
        hold.is_new = not present
        # Where messages for it had to go before it came for them, it is another session.
        is_lost = present and not await self._queues.is_whole(kept.others)
        present = present and not is_lost
        if not claimed.has_begun or is_lost:
            await self._settle(claimed, present=present)
            if not await self._store.begin(key, hold.epoch, hold.begin, wipe=not present):
                raise _TakenAwayError
            hold.has_begun = True
        if asking.expiry_interval and not present:
            problem = await self._no_room(holder_of(asking.user, asking.address))
            if problem is not None:
                core.statistics.sessions_refused += 1
                return ReasonCode.QUOTA_EXCEEDED, problem
        session = core.sessions.arrive(
            asking.client_id,
            asking.mount_point,
            user=asking.user,
            address=asking.address,
            queue_policy=asking.queue_policy,
        )
        if isinstance(session, tuple):
            return session
        if present:
            await self._restore(session, kept)
        if core.sessions.get(key) is not session:  # it has failed meanwhile
            return ReasonCode.UNSPECIFIED_ERROR, "internal error"
        if hold.is_lost:
            raise _TakenAwayError
        return Claim(session, present, kept.outlives_connections and not present)

    async def _no_room(self, holder: str) -> str | None:
        """Why the cluster keeps no more sessions, of this holder, in words; None if it does."""
        in_all, held = await self._store.offline(holder)
        return self._core.sessions.no_room_beside(in_all, held, holder)

    async def _settle(self, claimed: Claimed, *, present: bool) -> None:
        """Do what is left to be done for the session as it was: its will, or its end."""
        kept = claimed.kept
        if self._wills.is_due(kept, claimed.now, ended=not present):
            await self._wills.publish(kept, claimed.epoch)
        if kept.outlives_connections and not present:
            await self._queues.ended(kept)

    async def _restore(self, session: Session, kept: KeptSession) -> None:
        core = self._core
        session.expiry_interval = kept.expiry_interval or 0
        # Until CONNACK is sent, it is as it was.
        session.will = None if kept.will is None else will_of(kept.will)
        try:
            session.permissions = permissions_of(core, kept.author)
        except (ValueError, TypeError):
            session.will = None
        session.keep_in(self._journal)
        self._holds.keep(session)
        session.receiver.restore(kept.identifiers)
        for count, row in enumerate(kept.rows(session.number), 1):
            restore_subscription(core, self._journal, session, row)
            if not count % _AT_ONCE:
                await trio.lowlevel.checkpoint()
        await self._queues.resume(session, kept.others)
