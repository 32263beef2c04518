"""Sessions in the engine: who has which, and what is kept of them (MQTT 5.0 §4.1).

At most one node has a session. It gets it by `claim`, under an epoch; whatever it writes names that
and is refused once another has claimed the session, or once the node's own lease has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import trio

from trio_mqtt.cluster import leases
from trio_mqtt.cluster import session_scripts as scripts
from trio_mqtt.cluster.claim_answers import (
    AnothersSession,
    Begin,
    Claim,
    Claimed,
    Due,
    OwnedBy,
    Owner,
    Superseded,
)
from trio_mqtt.cluster.engine.calls import Call, EngineRefusedError, Reply, Script, Value, pairs
from trio_mqtt.cluster.floors import FloorStore
from trio_mqtt.cluster.kept_session import KeptSession, identifier_field, subscription_field
from trio_mqtt.storage.rows import Changes

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine

NEVER = 0xFFFF_FFFF  # a session expiry interval that does not end (§3.1.2.11.2)
FAR = 253_402_300_799_000  # when something is due that never is


class SessionStore:
    """The sessions of a cluster, as one of its nodes sees them."""

    def __init__(self, engine: Engine, node: str) -> None:
        self._engine = engine
        self._keys = keys = engine.keys
        self._due = keys.shared("due")
        self._floors = FloorStore(engine)
        self.node = node
        # Of the sessions of this node that are kept: by the numbers that the node has given them.
        self._owners: dict[int, Owner] = {}
        self._ahead = 0.0  # by how many ms the engine's clock is more than Trio's

    # -- who has it -----------------------------------------------------------------------------

    async def claim(
        self,
        key: str,
        begin: Begin,
        *,
        token: str,
        clean: bool,
        take_from: str = "",
        gently: bool = False,
        waits: bool = False,
    ) -> Claim:
        """Have a session for this node, if nobody has it, or `take_from`: a node that is dead.

        Otherwise the node and `token` are noted as those who wait for it, unless `gently`: whoever
        does so last gets it. `waits` says that this was done before. With `clean`, what was kept is
        no longer needed.
        """
        sets = self._keys.node_sessions(self.node)
        _, reply = await self._engine.all(
            [
                Call("SADD", sets, key),
                self._run(
                    scripts.CLAIM,
                    key,
                    self.node,
                    token,
                    take_from,
                    int(gently),
                    int(waits),
                    int(clean),
                    *begin.arguments,
                ),
            ]
        )
        answer = _answer(reply)
        match answer[0]:
            case b"begun" | b"left":
                begun = answer[0] == b"begun"
                claimed = self._claimed(key, *answer[1:], begun=begun)
                if claimed.kept.node is None and claimed.kept.outlives_connections:
                    await self._is_back(claimed.kept)
                return claimed
            case b"owned":
                return OwnedBy(answer[1].decode())
            case b"superseded":
                return Superseded()
        return AnothersSession()

    async def _is_back(self, kept: KeptSession) -> None:
        """A session that no node had is a node's."""
        calls = [Call("ZREM", self._due, kept.key)]
        if kept.holder is not None:
            calls.append(Call("SREM", self._keys.of_holder(kept.holder), kept.key))
        await self._engine.all(calls)

    async def is_alive(self, node: str) -> bool:
        """Whether a node may have sessions still: its lease has not ended. If it has, it is dead
        from now on.
        """
        keys = [self._keys.nodes, self._keys.seen]
        lease = round(self._engine.settings.lease * 1000)
        reply = await self._engine.run(leases.IS_ALIVE, keys, lease, node)
        return bool(reply == 1)

    async def begin(self, key: str, epoch: bytes, begin: Begin, *, wipe: bool) -> bool:
        """What CONNECT says holds from now on, and with `wipe` nothing of before.

        False where the session is another node's by now.
        """
        call = self._run(scripts.BEGIN, key, epoch, int(wipe), *begin.arguments)
        return await self._done(call)

    async def release(
        self,
        key: str,
        epoch: bytes,
        *,
        ends_in: float | None,
        will_in: float | None,
        holder: str | None = None,
        changed: Mapping[bytes, Value] | None = None,
        gone: Iterable[bytes] = (),
    ) -> bool:
        """Give a session up: it ends in so many seconds, and its will is due in so many.

        None is never; `will_in` of a session without a will, too. It counts as one of `holder`'s.
        `changed` and `gone` are the last that is to be written of what is kept. False where the
        session is another node's by now.
        """
        ends, will = ("" if one is None else int(one * 1000) for one in (ends_in, will_in))
        left = [int(one * 1000) for one in (ends_in, will_in) if one is not None]
        at = min(FAR, self._now() + min(left)) if left else FAR
        # First: what is found there too early is only looked at, and what is not, is never done.
        calls = [Call("ZADD", self._due, at, key)]
        changed = dict(changed or {})
        if holder is not None:
            changed[b"holder"] = holder
            calls.append(Call("SADD", self._keys.of_holder(holder), key))
        fields = _flat(changed, gone)
        calls.append(
            self._run(scripts.RELEASE, key, epoch, 0, ends, will, int(will_in is None), *fields)
        )
        *_, reply = await self._engine.all(calls)
        if _answer(reply) != 1:
            await self._is_back(KeptSession(key, holder=holder))
            return False
        await self._engine.call("SREM", self._keys.node_sessions(self.node), key)
        return True

    async def forget(self, key: str, epoch: bytes) -> bool:
        """A session has ended: nothing of it is left. False where it is another node's by now."""
        forgotten = await self._done(self._run(scripts.RELEASE, key, epoch, 1, "", "", 1, 0))
        await self._engine.call("SREM", self._keys.node_sessions(self.node), key)
        return forgotten

    async def let_be(self, key: str, will: bytes | None) -> None:
        """Whether this node's claim of a session was heard is not known: it has it no longer.

        What there was of the session goes on, without `will`, which nobody has accepted.
        """
        at, *_ = await self._engine.run(
            scripts.FREE, [self._keys.of_client(key, "session")], self.node, will or b""
        )
        if at:
            await self._engine.call("ZADD", self._due, at, key)
        await self._engine.call("SREM", self._keys.node_sessions(self.node), key)

    # -- what is kept of it ---------------------------------------------------------------------

    def owns(self, number: int, key: str, epoch: bytes, will_of: int = 0) -> None:
        """From now on a session of this node stands in the engine as `key`, under an epoch.

        `will_of` tells a will that is written with it from another connection's.
        """
        self._owners[number] = Owner(key, epoch, will_of)

    def owner_of(self, number: int) -> Owner | None:
        """How a session of this node stands in the engine; None if it is no longer this node's."""
        return self._owners.get(number)

    def disowns(self, number: int) -> None:
        """A session is no longer this node's: what is gathered for it is not written."""
        self._owners.pop(number, None)

    def save(
        self,
        owner: Owner,
        changed: Mapping[bytes, Value],
        gone: Iterable[bytes] = (),
        *,
        wipe: bool = False,
    ) -> Call:
        """The call that writes fields of a session, and with `wipe` lets go of all before.

        It answers 1, or 0 where the session is another node's by now.
        """
        fields = _flat(changed, gone)
        return self._run(scripts.SAVE, owner.key, owner.epoch, int(wipe), *fields)

    def saves(
        self, changes: Changes, more: Mapping[int, Mapping[bytes, bytes | None]]
    ) -> dict[int, Call]:
        """The calls that write what has changed of sessions, by their numbers, in their order.

        `more` are other fields than those of rows, by the session's number: None is gone. Sessions
        that have ended come first: another may have begun under their name.
        """
        ended = [number for number, row in changes.sessions.items() if row is None]
        calls: dict[int, Call] = {}
        for number in ended:
            if (owner := self._owners.get(number)) is not None:
                calls[number] = self.save(owner, {}, wipe=True)
        changed: dict[int, dict[bytes, Value]] = {}
        gone: dict[int, list[bytes]] = {}
        for number, others in more.items():
            for field, value in others.items():
                if value is None:
                    gone.setdefault(number, []).append(field)
                else:
                    changed.setdefault(number, {})[field] = value
        for number, row in changes.sessions.items():
            if row is not None:
                fields = changed.setdefault(number, {})
                fields[b"expiry"] = row.expiry_interval
                owner = self._owners.get(number)
                will_of = None if row.will is None or owner is None else owner.will_of
                of_client: tuple[tuple[bytes, Value | None], ...] = (
                    (b"user", row.owner),
                    (b"will", row.will),
                    (b"author", row.author),
                    (b"will_of", will_of),
                )
                for name, said in of_client:
                    if said is None:
                        gone.setdefault(number, []).append(name)
                    else:
                        fields[name] = said
        for (number, topic_filter), subscription in changes.subscriptions.items():
            field, packed = subscription_field(topic_filter, subscription)
            if packed is None:
                gone.setdefault(number, []).append(field)
            else:
                changed.setdefault(number, {})[field] = packed
        for (number, packet_id), is_used in changes.identifiers.items():
            field = identifier_field(packet_id)
            if is_used:
                changed.setdefault(number, {})[field] = b""
            else:
                gone.setdefault(number, []).append(field)
        for number in {**changed, **dict.fromkeys(gone)}:
            owner = self._owners.get(number)
            if owner is not None and number not in calls:
                calls[number] = self.save(owner, changed.get(number, {}), gone.get(number, ()))
        return calls

    # -- what is due, and what the dead have left -----------------------------------------------

    async def next_due(self, most: int, hold: float) -> Due:
        """Sessions that something may be due for; for `hold` seconds no other node gets them."""
        reply = await self._engine.run(scripts.NEXT_DUE, [self._due], most, int(hold * 1000))
        held, wait, found = _answer(reply)
        keys = [one.decode() for one in found]
        return Due(keys, held, int(wait) / 1000 if wait else None)

    async def take_if_due(self, key: str, held: bytes) -> Claimed | None:
        """Have a session for this node if something is due for it, and nobody has it.

        `held` is what `next_due` has told of it.
        """
        sets = self._keys.node_sessions(self.node)
        _, reply = await self._engine.all(
            [Call("SADD", sets, key), self._run(scripts.TAKE_IF_DUE, key, self.node)]
        )
        answer = _answer(reply)
        if len(answer) > 1:
            return self._claimed(key, *answer[1:], begun=False)
        await self._engine.call("SREM", sets, key)
        if answer[0]:
            await self._engine.call("ZADD", self._due, answer[0], key)
        else:
            await self.no_longer_due(key, held)
        return None

    async def no_longer_due(self, key: str, held: bytes, holder: str | None = None) -> None:
        """Nothing is due for a session any more, unless somebody has said so meanwhile.

        It has ended, if it was one of `holder`'s.
        """
        await self._engine.run(scripts.NO_LONGER_DUE, [self._due], key, held)
        if holder is not None:
            await self._engine.call("SREM", self._keys.of_holder(holder), key)

    async def free(self, node: str, most: int = 100) -> int:
        """Free sessions of a node that is dead, so that what is due for them is done in time.

        How many these were: 0 once there are no more.
        """
        sets = self._keys.node_sessions(node)
        keys: list[bytes] = await self._engine.call("SRANDMEMBER", sets, most)
        if not keys:
            # Whoever has looked at one of its sessions before may still ask for them.
            await self._floors.expire(node)
            return 0
        replies = await self._engine.all(
            [self._run(scripts.FREE, key.decode(), node, "") for key in keys]
        )
        due: list[Value] = []
        resting: dict[str, Mapping[bytes, bytes]] = {}
        for key, reply in zip(keys, replies, strict=True):
            at, *fields = _answer(reply)
            if at:
                due += [at, key]
            if fields:
                resting[key.decode()] = pairs(fields)
        if resting:
            await self._floors.settle(resting)
        if due:
            await self._engine.call("ZADD", self._due, *due)
        await self._engine.call("SREM", sets, *keys)
        return len(keys)

    async def offline(self, holder: str = "") -> tuple[int, int]:
        """How many sessions of the cluster no node has, and how many of them are a holder's."""
        counts = [Call("ZCARD", self._due), Call("SCARD", self._keys.of_holder(holder))]
        in_all, held = await self._engine.all(counts)
        return _answer(in_all), _answer(held)

    # -- calls ----------------------------------------------------------------------------------

    def _run(self, script: Script, key: str, *arguments: Value) -> Call:
        """The call of a script on the session of `key`."""
        return self._engine.scripted(script, [self._keys.of_client(key, "session")], *arguments)

    async def _done(self, call: Call) -> bool:
        (reply,) = await self._engine.all([call])
        return bool(_answer(reply) == 1)

    def _claimed(
        self, key: str, epoch: bytes, now: bytes, before: Reply, *, begun: bool
    ) -> Claimed:
        """That a session is this node's, as the scripts tell it."""
        time = int(now)
        self._ahead = time - trio.current_time() * 1000
        return Claimed(epoch, time, begun, KeptSession.of(key, pairs(before)))

    def _now(self) -> int:
        """The engine's time in milliseconds, near enough for when to look at something."""
        return int(trio.current_time() * 1000 + self._ahead)


def _flat(changed: Mapping[bytes, Value], gone: Iterable[bytes]) -> list[Value]:
    """Fields as the scripts take them."""
    fields: list[Value] = [len(changed)]
    for field, value in changed.items():
        fields += field, value
    fields += gone
    return fields


def _answer(reply: Reply | EngineRefusedError) -> Reply:
    if isinstance(reply, EngineRefusedError):
        raise reply
    return reply
