"""Which nodes belong to the cluster, for how long each counts as alive, and what one that is not
any more leaves to be done.

Each broker process is a node of its own, with an identifier that no other ever has. It has a lease,
which it renews three times as often as it would end. A node whose lease has ended is dead for ever,
whether or not its process knows: what is to be done for it is done by one other, and what it still
writes is refused. A process that was cut off for so long joins again as another node.

Ends of leases are by the engine's clock. What a node knows itself is never later: it counts from
the moment at which it asked.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import trio

from trio_mqtt.cluster import leases
from trio_mqtt.cluster.engine.calls import (
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    Script,
    Value,
    as_sentence,
)
from trio_mqtt.nurseries import tasks_beside

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine

# What an attempt adds to the end of another node's lease, so that it is over when it is looked at.
_JUST_AFTER = 0.005
_PAUSE = 0.1  # seconds until a part that was refused joins again
# Seconds until a node that has given up joins again: twice as long where it did not last.
_FIRST_ANEW, _LONGEST_ANEW = 1.0, 30.0

logger = logging.getLogger("trio_mqtt.cluster")


class Part:
    """What has to do with nodes that join, leave and die. Each of these may do nothing.

    They may ask the engine; EngineGoneError and EngineRefusedError may come out of them.
    """

    async def joined(self, node: str) -> None:
        """This process is a member now, as `node`; the parts before have done this already. Begins
        anew where the engine goes in between; cancelled where this ceases to be a member."""

    async def lost(self, node: str) -> None:
        """The lease of `node`, which this process was, has ended: others take what it had. Must
        not wait for the engine, which is perhaps gone."""

    async def died(self, node: str) -> None:
        """Do what is to be done for another node that is dead. If this process is cut off in
        between, another begins anew: it has to be such that this does no harm."""

    async def left(self, node: str) -> None:
        """This process leaves in order: give up what it has as `node`."""


class Membership:
    """This process as a node of the cluster, and the others."""

    def __init__(
        self,
        engine: Engine,
        parts: Sequence[Part] = (),
        *,
        version: str = "",
        figures: Callable[[], Mapping[str, Value]] = dict,
    ) -> None:
        self._engine = engine
        self._settings = engine.settings
        self._parts = parts
        self._version = version
        self._figures = figures
        self.node = ""
        """The identifier of this process while it is a member, else empty."""
        self.alive: dict[str, float] = {}
        """All that are alive, this one too, with the ends of their leases by Trio's clock, of the
        last look at each third of a lease, and whenever one ends; another dict where others are.
        By as much as it took, one may be too early: who is missing before has left in order."""
        self._until = -math.inf
        self._former = ""  # what this was last
        self.on_renewed: Callable[[], None] = lambda: None
        """Called whenever the lease has become a longer one."""
        self.on_cut_off: Callable[[], None] = lambda: None
        """Called where it has ended while the engine is gone, and may be renewed all the same."""
        self.on_gone_on: Callable[[], None] = lambda: None
        """Called where it has been renewed then, before anybody asks the engine for anything."""
        self._changed = trio.Event()
        self._doubted = trio.Event()
        self._over = trio.Event()
        self._helping: set[str] = set()
        self._is_leaving = self._has_left = False
        self.is_to_begin_anew = False
        """Whether this process gives up its lease, to be another node."""
        self._given_up: EngineRefusedError | None = None
        self._pause = 0.0  # until this joins again, where it gives up now
        self._joined_at = -math.inf
        self._told = ""  # why it gave up, as it was told last

    @property
    def has_given_up(self) -> bool:
        """Whether this process is to be no member for a while, though its lease has not ended."""
        return self._given_up is not None

    @property
    def lease_end(self) -> float:
        """When this node's lease ends, by Trio's clock; what comes later may be refused."""
        return self._until

    @property
    def waited_for_until(self) -> float:
        """Until when this node stays who it is while it does not reach the engine."""
        return self._until + self._settings.keep_clients

    async def wait_changed(self) -> None:
        """Wait until `alive` has changed, in who is in it."""
        await self._changed.wait()

    def doubt(self) -> None:
        """Have a look at once whether this node is a member still: something was refused."""
        self._doubted.set()

    def begin_anew(self) -> None:
        """Be another node, though the lease lasts: the engine has lost some of what it was told by
        this one, and nobody can say what.
        """
        if self.node:
            self.is_to_begin_anew = True
            self._doubted.set()

    def give_up(self, error: EngineRefusedError) -> None:
        """Be a member no more, as the engine does not do what this node needs: others do not wait
        for it then. After a pause it joins anew.
        """
        if self.node and not self._over.is_set() and not self._is_leaving:
            self._given_up = error
            self._over.set()

    def _tell(self, error: EngineRefusedError) -> None:
        if str(error) != self._told:
            self._told = str(error)
            logger.error("%s This broker joins again and again until it does.", self._why(error))

    def _why(self, error: EngineRefusedError) -> str:
        return (
            f"The engine at {self._engine.shown} does not do what a node of the cluster needs:"
            f" {as_sentence(error)}"
        )

    async def keep(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be a member, and join again whenever that was lost, until cancelled. Started once this
        process is a member, and all parts have joined.

        Raises EngineRefusedError where the engine does not even let it join at first.
        """
        started = False
        while True:
            await self._engine.wait_returned()
            try:
                await self._join()
            except EngineGoneError:
                continue
            except EngineRefusedError as error:
                if not started:
                    raise EngineRefusedError(self._why(error)) from error
                self._tell(error)
                await self._until_anew()
                continue
            node = self.node
            try:
                async with tasks_beside() as nursery:
                    nursery.start_soon(self._renew_until_lost, nursery)
                    for part in self._parts:
                        await self._have_joined(part, node)
                    if not started and not self._over.is_set():
                        started = True
                        task_status.started()
                    await self._over.wait()
            finally:
                self._be_none()
            if self._given_up is not None and started:
                self._tell(self._given_up)
            for part in reversed(self._parts):
                await part.lost(node)
            self.is_to_begin_anew = False
            if self._given_up is not None:
                with suppress(EngineGoneError, EngineRefusedError):
                    await self._leave(node, is_done=False)
                if not started:
                    raise EngineRefusedError(self._why(self._given_up)) from self._given_up
                self._given_up = None
                await self._until_anew()

    async def _until_anew(self) -> None:
        if trio.current_time() > self._joined_at + self._settings.lease + self._pause:
            self._pause = 0.0  # it lasted for a while
        self._pause = min(max(2 * self._pause, _FIRST_ANEW), _LONGEST_ANEW)
        await trio.sleep(self._pause)

    async def leave(self) -> None:
        """Give up what this node has, and be none any more; what cannot be given up, as the engine
        is gone, others do. `keep` is to be cancelled afterwards.
        """
        node = self.node
        if not node:
            return
        done = self._is_leaving = True
        try:
            for part in reversed(self._parts):
                await part.left(node)
        except (EngineGoneError, EngineRefusedError):
            done = False
        self._has_left = True
        with suppress(EngineGoneError, EngineRefusedError):
            await self._leave(node, is_done=done)
        self._be_none()

    async def _leave(self, node: str, *, is_done: bool) -> None:
        keys = self._engine.keys
        await self._engine.run(
            leases.LEAVE, [keys.nodes, keys.of_node(node, "node")], node, is_done
        )

    async def _join(self) -> None:
        settings = self._settings
        node = f"{settings.node_name}-{token_hex(4)}"
        fields: dict[str, Value] = {
            "name": settings.node_name,
            "reference": settings.server_reference,
            "version": self._version,
            **self._figures(),
        }
        asked = trio.current_time()
        reply = await self._run(leases.JOIN, node, fields, self._former)
        self.node = self._former = node
        self._over = trio.Event()
        self._doubted = trio.Event()
        self._joined_at = asked
        self._note(asked, reply)

    async def _run(
        self, script: Script, node: str, fields: Mapping[str, Value], *more: Value
    ) -> Any:  # noqa: ANN401 # as scripts answer
        keys = self._engine.keys
        locks = [keys.of_node(dead, "help") for dead in self._helping]
        flat = [word for pair in fields.items() for word in pair]
        return await self._engine.first(
            script,
            [keys.nodes, keys.seen, keys.of_node(node, "node"), *locks],
            self._lease_ms,
            node,
            *more,
            *flat,
        )

    @property
    def _lease_ms(self) -> int:
        return round(self._settings.lease * 1000)

    async def _have_joined(self, part: Part, node: str) -> None:
        """Have a part join, unless this is a member no more by then."""
        async with tasks_beside() as nursery:
            nursery.start_soon(self._cancel_when_over, nursery.cancel_scope)
            await self._try_to_join(part, node)

    async def _cancel_when_over(self, scope: trio.CancelScope) -> None:
        await self._over.wait()
        scope.cancel()

    async def _try_to_join(self, part: Part, node: str) -> None:
        while not self._over.is_set():
            try:
                await part.joined(node)
            except EngineGoneError:
                await self._engine.wait_returned()
            except EngineFencedError:
                # The lease has ended; or has not, where that came as it was renewed.
                self.doubt()
                with trio.move_on_after(_PAUSE):
                    await self._over.wait()
            except EngineRefusedError as error:
                self.give_up(error)
            else:
                return

    async def _renew_until_lost(self, nursery: trio.Nursery) -> None:
        node = self.node
        due = trio.current_time() + self._settings.lease / 3
        while True:
            with trio.move_on_at(min([due, *self.alive.values()]) + _JUST_AFTER):
                await self._doubted.wait()
            self._doubted = trio.Event()
            asked = trio.current_time()
            reply: Any = None
            with trio.move_on_at(self._until):
                try:
                    if self.is_to_begin_anew:
                        # What it leaves, others do: they need not wait for the end of its lease.
                        await self._leave(node, is_done=False)
                    else:
                        reply = await self._run(leases.RENEW, node, self._figures())
                except EngineGoneError:
                    await self._engine.wait_returned()
                    due = trio.current_time()
                    continue
                except EngineRefusedError as error:
                    self.give_up(error)
                    return
            if reply is None and self._engine.is_gone and not self.is_to_begin_anew:
                asked, reply = await self._renew_late(node)
            if self._has_left:
                return
            if reply is None:
                self._over.set()
                return
            due = asked + self._settings.lease / 3
            dead_ones = self._note(asked, reply)
            if self._engine.is_held_back:
                self.on_gone_on()
                self._engine.hold_back(is_held_back=False)
            for dead in dead_ones:
                if dead not in self._helping:
                    self._helping.add(dead)
                    nursery.start_soon(self._help, node, dead)

    async def _renew_late(self, node: str) -> tuple[float, Any]:
        """The lease has ended while the engine is gone; whether it can be renewed when that is
        back: if nobody has reached it, nobody has taken anything of what this node has.
        """
        engine = self._engine
        engine.hold_back()
        self.on_cut_off()
        asked = trio.current_time()
        with trio.move_on_at(self.waited_for_until):
            while not self._has_left:
                await engine.wait_reached()
                asked = trio.current_time()
                try:
                    return asked, await self._run(leases.RENEW, node, self._figures())
                except EngineGoneError:
                    pass
                except EngineRefusedError as error:
                    self.give_up(error)
                    break
        return asked, None

    def _note(self, asked: float, reply: tuple[int, list[bytes]]) -> list[str]:
        """Note who is alive; who is dead."""
        engine_now, flat = reply
        self._until = asked + self._settings.lease
        self._engine.deadline_ms = engine_now + self._lease_ms
        self.on_renewed()
        ends = {node.decode(): float(end) for node, end in zip(flat[::2], flat[1::2], strict=True)}
        alive = {node: asked + (end - engine_now) / 1000 for node, end in ends.items() if end > 0}
        if alive.keys() == self.alive.keys():
            self.alive.update(alive)
        else:
            self.alive = alive
            self._changed.set()
            self._changed = trio.Event()
        return [node for node in ends if node not in alive]

    async def _help(self, node: str, dead: str) -> None:
        """Do what is to be done for a dead node, unless another does."""
        keys = self._engine.keys
        lock = keys.of_node(dead, "help")
        run = self._engine.run
        try:
            shared = [keys.nodes, keys.seen, lock]
            if not await run(leases.TAKE_ON, shared, self._lease_ms, dead, node):
                return
            for part in self._parts:
                await part.died(dead)
            await run(leases.DONE, [keys.nodes, lock, keys.of_node(dead, "node")], dead, node)
        except EngineFencedError:
            self.doubt()
        except (EngineGoneError, EngineRefusedError):
            pass  # at the next look there is another attempt, of this node or of another
        finally:
            self._helping.discard(dead)

    def _be_none(self) -> None:
        self.node = ""
        self.alive = {}
        self._until = -math.inf
        self._engine.deadline_ms = 0
        self._engine.hold_back(is_held_back=False)
        self._changed.set()
        self._changed = trio.Event()
