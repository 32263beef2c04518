"""Rounds of a plan over three nodes: clients come by any of them; they and the engine fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import trio

from tests.durability.cluster.nodes import ClusterProcesses, Node
from tests.durability.cluster.plan import Blow, ClusterRound, Trouble
from tests.durability.history import Cut, Down, Healed, History, Stopping, Up, Violated
from tests.durability.performance import SETTLE_SECONDS, Performance
from tests.durability.plan import ROLES

RECEIVE_MAXIMUM = 100
ROUND_SECONDS = 60.0  # at most, with all that has to start again
SETTLE = 8.0  # seconds: more than a will's delay, a lease, and what a busy machine adds


class _ClusterRounds(Performance):
    def __init__(self, folder: Path, settle: float) -> None:
        super().__init__(RECEIVE_MAXIMUM)
        self.processes = ClusterProcesses(folder)
        self.settle_seconds = settle
        self.doors: dict[str, tuple[int, ...]] = {}
        self.gone_through: dict[str, int] = {}
        self.is_down = False  # the engine
        self.were_cut: dict[str, float] = {}
        for client in self.clients.values():
            client.was_cut = self.was_cut

    @property
    def nodes(self) -> list[Node]:
        return self.processes.nodes

    def place(self, client: str) -> tuple[int, str]:
        """The next node of the client's that runs; where none does, whichever it is."""
        doors = self.doors.get(client, (0, 1, 2))
        for _ in doors:
            number = self.gone_through[client] = self.gone_through.get(client, -1) + 1
            node = self.nodes[doors[number % len(doors)]]
            if node.is_running:
                break
        return node.port, node.name

    def was_cut(self, name: str) -> float:
        """When a node was last cut off or paused, or all of them by what became of the engine."""
        if self.is_down or any(node.is_struck for node in self.nodes if node.name == name):
            return trio.current_time()
        return max(self.were_cut.get(one, -math.inf) for one in (name, ""))

    async def run(self, rounds: list[ClusterRound]) -> History:
        async with trio.open_nursery() as nursery:
            try:
                await self.processes.open(nursery)
                for each in rounds:
                    await self.round(each)
                for seconds in (self.settle_seconds, 0.0):
                    await self.settle(seconds)
            finally:
                await self.processes.kill()
            nursery.cancel_scope.cancel()
        return self.recorder.history

    async def all_up(self) -> None:
        """Have all nodes run; none may have ended by itself."""
        for node in self.nodes:
            if node.is_expected and not node.is_running:
                what = "ended by itself: its broker.log says why"
                self.recorder.note(Violated, node.name, what)
                self.is_gone(node)
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                if not node.is_running:
                    nursery.start_soon(self.start, node)

    async def start(self, node: Node) -> None:
        await node.start()
        node.is_expected = True
        self.recorder.note(Up, node.name)

    def is_gone(self, node: Node) -> None:
        node.is_expected = False
        self.recorder.note(Down, node.name)
        for client in self.clients.values():
            client.broker_is_gone(node.name)

    async def round(self, it: ClusterRound) -> None:
        await self.all_up()
        self.doors, self.gone_through = it.doors, {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.blows, it, nursery.cancel_scope)
            await self.look()
            for role in ROLES:
                nursery.start_soon(self.perform, nursery, role, it.parts[role.name])

    async def blows(self, it: ClusterRound, scope: trio.CancelScope) -> None:
        """Strike each blow in its time; when all is whole again, cancel the rest of the round."""
        async with trio.open_nursery() as nursery:
            for blow in it.blows:
                nursery.start_soon(self.strike, blow)
            await trio.sleep(it.seconds)
        scope.cancel()

    async def strike(self, blow: Blow) -> None:
        await trio.sleep(blow.at)
        node = self.nodes[blow.node]
        match blow.trouble:
            case Trouble.ENGINE_SLEEP | Trouble.ENGINE_KILL:
                await self.strike_engine(blow)
            case _ if not node.is_running or node.is_struck:
                return
            case Trouble.KILL | Trouble.LEAVE:
                await self.end(node, blow)
            case Trouble.PAUSE:
                await self.cut_off(node, blow, node.pause, node.resume)
            case Trouble.CUT:
                await self.cut_off(node, blow, node.cable.cut, node.cable.heal)
            case Trouble.SILENCE:
                await self.cut_off(node, blow, node.cable.silence, node.cable.heal)

    async def end(self, node: Node, blow: Blow) -> None:
        node.is_expected = False
        if blow.trouble is Trouble.LEAVE:
            self.recorder.note(Stopping, node.name)
            await node.terminate()
        await node.kill()
        self.is_gone(node)
        # One that others must do without comes back when they do; the engine has to be there.
        await trio.sleep(blow.seconds)

    async def cut_off(
        self, node: Node, blow: Blow, cut: Callable[[], None], heal: Callable[[], None]
    ) -> None:
        node.is_struck = True
        self.recorder.note(Cut, node.name)
        cut()
        try:
            await trio.sleep(blow.seconds)
        finally:
            heal()
            self.recorder.note(Healed, node.name)
            self.were_cut[node.name] = trio.current_time()
            node.is_struck = False

    async def strike_engine(self, blow: Blow) -> None:
        if self.is_down:
            return
        self.is_down = True
        self.recorder.note(Cut)
        if blow.trouble is Trouble.ENGINE_SLEEP:
            await self.processes.engine.sleep(blow.seconds)
        else:
            await self.processes.engine.kill()
            await trio.sleep(blow.seconds)
            await self.processes.engine.start()
        self.recorder.note(Healed)
        self.were_cut[""] = trio.current_time()
        self.is_down = False

    async def settle(self, seconds: float) -> None:
        """Have all nodes there, and see what is for all clients; then end one node after the other.

        The last to go has nobody to give anything to: it lies with the engine.
        """
        await self.all_up()
        self.doors, self.gone_through = {}, {}
        for _ in self.nodes:  # one after the other
            await self.look()
        await self.settled(seconds)
        for node in self.nodes:
            await node.kill()
            self.is_gone(node)


async def run_cluster_rounds(
    folder: Path, rounds: list[ClusterRound], settle: float = SETTLE
) -> History:
    """Go through all rounds, let everything settle, and tell what has happened."""
    with trio.fail_after(len(rounds) * ROUND_SECONDS + 2 * SETTLE_SECONDS + ROUND_SECONDS):
        return await _ClusterRounds(folder, settle).run(rounds)
