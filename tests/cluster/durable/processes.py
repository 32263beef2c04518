"""Nodes of a cluster as processes of their own, which are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from trio_mqtt import Cluster

ROOT = Path(__file__).parents[3]


class Node:
    """A process that is a node."""

    def __init__(self, url: str, process: trio.Process) -> None:
        self.url = url
        self._process = process

    async def kill(self) -> None:
        """End it at once, as by `kill -9`."""
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def processes(
    cluster: Cluster, count: int, *, lease: float = 1.0
) -> AsyncIterator[list[Node]]:
    """So many nodes, which run until they are killed or the block ends."""
    started: list[Node] = []
    with trio.fail_after(60):
        try:
            async with trio.open_nursery() as nursery:
                for number in range(1, count + 1):
                    nursery.start_soon(_start, cluster, f"n{number}", lease, started)
            yield sorted(started, key=lambda node: node.url)
        finally:
            with trio.CancelScope(shield=True):
                for node in started:
                    await node.kill()


async def _start(cluster: Cluster, node: str, lease: float, started: list[Node]) -> None:
    command = [sys.executable, "-m", "tests.cluster.durable.node"]
    command += [cluster.url, cluster.name, node, str(lease)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=ROOT)
    node_process = Node("", process)
    started.append(node_process)
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        data = await process.stdout.receive_some()
        assert data, "the node has ended"
        line += data
    node_process.url = line.decode().strip()
