"""Nodes as processes of their own, which can be killed: this module is one when it is run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import trio

import trio_mqtt
from trio_mqtt import Cluster

_LOCAL = "mqtt://127.0.0.1:0"


class NodeProcess:
    """A broker in another process."""

    def __init__(self, process: trio.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()
        await self._process.wait()

    def stand_still(self) -> None:
        """It does nothing until it is told to go on."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def node_process(cluster: Cluster) -> AsyncIterator[NodeProcess]:
    """A node of a cluster, which is killed at the end at the latest."""
    settings = json.dumps(asdict(cluster))
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.cluster.processes", settings], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        with trio.fail_after(60):
            url = (await process.stdout.receive_some()).decode().strip()
        yield NodeProcess(process, url)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _run(settings: str) -> None:
    cluster = Cluster(**json.loads(settings))
    async with trio_mqtt.open_broker(_LOCAL, cluster=cluster) as broker:
        print(broker.url, flush=True)  # noqa: T201
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(_run, sys.argv[1])
