"""The engine of a cluster as a process: killed, put to sleep, and started on its AOF again."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import trio

from tests.ports import free_port

START_SECONDS = 20.0
# What is acknowledged survives the process, and no write waits for a disk that is busy otherwise.
SETTINGS = ("--appendonly", "yes", "--appendfsync", "always", "--save", "",
            "--maxmemory-policy", "noeviction", "--enable-debug-command", "local",
            "--auto-aof-rewrite-percentage", "0")  # fmt: skip


class EngineProcess:
    """One engine in one folder at one port, over many starts."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: trio.Process | None = None

    @staticmethod
    def program() -> str | None:
        return shutil.which("redis-server") or shutil.which("valkey-server")

    async def start(self) -> None:
        """Start, and wait until it has all that it kept."""
        program = self.program()
        if program is None:
            raise FileNotFoundError("Redis is not installed: apt-get install redis-server.")
        with (self._folder / "engine.log").open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                [program, "--port", str(self.port), "--bind", "127.0.0.1",
                 "--dir", str(self._folder), *SETTINGS],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        with trio.fail_after(START_SECONDS):
            while True:
                if await self._answers():
                    return
                await trio.sleep(0.01)

    async def kill(self) -> None:
        """End it at once (SIGKILL), and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    async def sleep(self, seconds: float) -> None:
        """Have it answer nobody for so many seconds."""
        async with await self._connected() as stream:
            await stream.send_all(b"DEBUG SLEEP %g\r\n" % seconds)
            await stream.receive_some(64)

    async def _answers(self) -> bool:
        try:
            async with await self._connected() as stream:
                await stream.send_all(b"PING\r\n")
                return (await stream.receive_some(64)).startswith(b"+PONG")
        except OSError:
            return False

    async def _connected(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)
