"""A client goes: its session leaves this node, and waits in the engine (MQTT 5.0 §4.1)."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, NamedTuple

import trio

from trio_mqtt.broker.clustering.session_holds import begin_of
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.cluster.engine.calls import (
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    Value,
    as_sentence,
)
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trio_mqtt.broker.clustering.key_turns import KeyTurn, KeyTurns
    from trio_mqtt.broker.clustering.session_holds import Hold, Holds
    from trio_mqtt.broker.clustering.session_needs import Queues
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.claim_answers import Begin
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.session_store import SessionStore

logger = logging.getLogger("trio_mqtt.cluster")


class _AsItWas(NamedTuple):
    """The session goes on as if it had not been taken; `will` is one that was not accepted."""

    will: bytes | None


class _Left(NamedTuple):
    """What is to be written of a session that has left; times are on the broker's clock."""

    ends_at: float | None
    will_at: float | None
    holder: str | None
    changed: dict[bytes, Value]
    gone: list[bytes]

    @classmethod
    def of(
        cls,
        begin: Begin,
        after: float,
        will_in: float | None,
        holder: str | None = None,
        fields: Mapping[bytes, bytes | None] | None = None,
    ) -> _Left:
        """That of a session of which CONNECT would say `begin`.

        It ends after so many seconds, and its will is due in so many, if it has one; it counts as
        one of `holder`'s. `fields` are those of its deliveries.
        """
        now = trio.current_time()
        ends_at = None if begin.expiry_interval >= NEVER else now + after
        will_at = None if will_in is None else now + min(will_in, after)
        said: dict[bytes, Value | None] = {b"expiry": begin.expiry_interval}
        if will_in is not None:
            said.update({b"will": begin.will, b"author": begin.author})
        said.update(fields or {})
        changed = {name: value for name, value in said.items() if value is not None}
        return cls(
            ends_at, will_at, holder, changed, [name for name in said if name not in changed]
        )


class Departures:
    """Has sessions leave, in order: what they have changed is kept first."""

    def __init__(
        self,
        core: Core,
        engine: Engine,
        journal: Journal,
        store: SessionStore,
        queues: Queues,
        holds: Holds,
        turns: KeyTurns,
        due: Callable[[float], None],
    ) -> None:
        """`due` is told in how many seconds something is due for a session that has left."""
        self._core = core
        self._engine = engine
        self._journal = journal
        self._store = store
        self._queues = queues
        self._holds = holds
        self._turns = turns
        self._due = due
        # For those who wait until a session has left.
        self._gone: dict[str, trio.Event] = {}

    async def until_left(self, session: Session) -> None:
        """End the connection of a session, and wait until the session leaves this node."""
        gone = self._gone.setdefault(session.key, trio.Event())
        session.disown()
        await gone.wait()

    def left(self, session: Session, *, ended: bool) -> None:
        """No connection has a session any more: see `SessionsElsewhere.left`."""
        key = session.key
        hold = self._holds.get(key)
        left = self._depart(session, hold, ended=ended)
        if hold is not None and self._turns.of(key) is None:
            # Else it is about to come, and whoever brings it finds that it has ended.
            self._leave_soon(key, self._turns.take(key), hold, left)
        gone = self._gone.pop(key, None)
        if gone is not None:
            gone.set()

    def give_up(self, key: str, will: bytes | None, *, ended: bool = False) -> None:
        """A session was to come, but its client has gone meanwhile, or is not let in.

        Whoever was to bring it has had the turn for it until now. `will` is what was not accepted.
        """
        hold = self._holds.get(key)
        session = self._core.sessions.get(key)
        left: _Left | _AsItWas | None = None
        if session is not None:
            left = self._depart(session, hold, ended=ended)
        elif hold is None or not hold.has_begun:
            left = _AsItWas(will)
        elif hold.begin.expiry_interval and not hold.is_new:
            left = _Left.of(hold.begin, hold.begin.expiry_interval, None)
        self._leave_soon(key, self._turns.take(key), hold, left)

    def _depart(self, session: Session, hold: Hold | None, *, ended: bool) -> _Left | None:
        """Have a session leave this node's memory: what is to be written of it.

        Nothing if nothing is left of it, or if another node has it by now.
        """
        fields = {} if ended else self._queues.leave(session)
        expiry = session.expiry_interval
        left = None
        if hold is None:
            self._core.wills.publish(session)  # which nobody else knows
        elif not hold.is_lost and (expiry or session.will is not None):
            will_in = None
            if session.will is not None:
                will_in = session.will.properties.get("will_delay_interval", 0)
            left = _Left.of(begin_of(session), expiry, will_in, session.holder, fields)
        if not ended:
            self._core.sessions.depart(session)
        return left

    def _leave_soon(
        self, key: str, turn: KeyTurn, hold: Hold | None, left: _Left | _AsItWas | None
    ) -> None:
        nursery = self._core.tasks
        if nursery is not None:
            nursery.start_soon(self._leave, key, turn, hold, left)

    async def _leave(
        self, key: str, turn: KeyTurn, hold: Hold | None, left: _Left | _AsItWas | None
    ) -> None:
        """Write what is left to be written of a session, and give it up."""
        try:
            while hold is None or not hold.is_lost:
                try:
                    await self._give_up(key, hold, left)
                    break
                except EngineGoneError:
                    await self._engine.wait_returned()
        except (EngineFencedError, StoreError):
            pass  # this node counts as dead, and others free what it had
        except EngineRefusedError as error:
            why = as_sentence(error)
            logger.error("The session of %r was not given up: %s", key, why)  # noqa: TRY400
        finally:
            if hold is not None:
                self._holds.remove(key)
                self._holds.forget(hold)
            self._turns.end(key, turn)

    async def _give_up(self, key: str, hold: Hold | None, left: _Left | _AsItWas | None) -> None:
        if isinstance(left, _AsItWas):
            await self._store.let_be(key, left.will)
            return
        if hold is None:
            return
        if hold.number:
            await self._journal.until_kept()
        if hold.is_lost:
            return
        if left is None:
            await self._store.forget(key, hold.epoch)
            return
        now = trio.current_time()
        ends_in = None if left.ends_at is None else max(0.0, left.ends_at - now)
        will_in = None if left.will_at is None else max(0.0, left.will_at - now)
        await self._store.release(
            key,
            hold.epoch,
            ends_in=ends_in,
            will_in=will_in,
            holder=left.holder,
            changed=left.changed,
            gone=left.gone,
        )
        self._due(min(one for one in (ends_in, will_in, math.inf) if one is not None))
