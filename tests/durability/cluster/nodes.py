"""The nodes of a cluster as processes, each with a cable of its own to the engine."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from tests.durability.brokers import BrokerProcess
from tests.durability.cluster.cable import Cable
from tests.durability.cluster.engine import EngineProcess

NAMES = ("a", "b", "c")
LEASE = 3.0  # seconds: less than NOTICED of the history, by what a busy machine takes


class NodeOf:
    """`tmqtt broker --cluster`, as a node of this name."""

    knows_faults = False
    receive_maximum = 100

    def __init__(self, name: str, cable: Cable) -> None:
        self.name = name
        self._cable = cable

    def command(self, port: int, folder: Path, fault: str | None) -> Sequence[str]:
        url = f"redis://127.0.0.1:{self._cable.port}"
        settings = (
            *("--set", f"cluster.node={self.name}"),
            *("--set", f"cluster.lease={LEASE}"),
            *("--set", f"cluster.timeout={LEASE / 2}"),
        )
        address = f"mqtt://127.0.0.1:{port}"
        return [sys.executable, "-m", "tmqtt", "broker", address, "--cluster", url, *settings]


class Node(BrokerProcess):
    """One node: a broker's process that may be paused, and its cable that may be cut."""

    def __init__(self, name: str, cable: Cable, folder: Path) -> None:
        folder = folder / name
        folder.mkdir()
        super().__init__(NodeOf(name, cable), folder)
        self.name = name
        self.cable = cable
        self.is_struck = False  # it is paused, or cut off
        self.is_expected = False  # to run: it was started, and nobody has ended it

    def pause(self) -> None:
        """Have it do nothing (SIGSTOP), as a machine that is moved, or swaps."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on, as if no time had passed."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


class ClusterProcesses:
    """The engine and all nodes."""

    def __init__(self, folder: Path) -> None:
        self.engine = EngineProcess(folder)
        self.nodes = [Node(name, Cable(self.engine.port), folder) for name in NAMES]

    async def open(self, nursery: trio.Nursery) -> None:
        """Start the engine, and what carries to it; the nodes are started one by one."""
        await self.engine.start()
        for node in self.nodes:
            await nursery.start(node.cable.carry)

    async def kill(self) -> None:
        """End all of it at once."""
        for node in self.nodes:
            node.resume()
            await node.kill()
        await self.engine.kill()
