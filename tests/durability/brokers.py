"""Brokers as processes that keep their state in a folder, and are killed and started again."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import trio

START_SECONDS = 30.0
STOP_SECONDS = 20.0

# It would become another user, who may not read the test's files, if it was started by root. What
# it may hold for one client is not what is tested here.
_MOSQUITTO = """\
user root
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
log_dest stderr
log_type error
log_type warning
persistence true
persistence_location {folder}/
"""
MOSQUITTO_BEST = "autosave_interval 1\nautosave_on_changes true\n"


class Command(Protocol):
    """How a broker is started. `fault` is a commit, and where in it the process is to end."""

    @property
    def name(self) -> str: ...

    @property
    def knows_faults(self) -> bool: ...

    def command(self, port: int, folder: Path, fault: str | None) -> Sequence[str]: ...


class Mosquitto:
    """Mosquitto with persistence, and more lines of its configuration."""

    knows_faults = False

    def __init__(self, name: str = "Mosquitto", lines: str = "") -> None:
        self.name = name
        self._lines = lines

    @staticmethod
    def program() -> str | None:
        search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
        return shutil.which("mosquitto", path=search)

    def command(self, port: int, folder: Path, fault: str | None) -> Sequence[str]:
        program = self.program()
        if program is None:
            raise FileNotFoundError("Mosquitto is not installed: apt-get install mosquitto.")
        configuration = folder / "mosquitto.conf"
        configuration.write_text(_MOSQUITTO.format(port=port, folder=folder) + self._lines)
        return [program, "-c", str(configuration)]


class BrokerProcess:
    """One broker in one folder at one port, over many starts."""

    def __init__(self, command: Command, folder: Path) -> None:
        self.port = _free_port()
        self._command = command
        self._folder = folder
        self._log = folder / "broker.log"
        self._process: trio.Process | None = None

    @property
    def knows_faults(self) -> bool:
        return self._command.knows_faults

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self, fault: str | None = None) -> None:
        """Start, and wait until connections are accepted. A fault may end it even before."""
        with self._log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                self._command.command(self.port, self._folder, fault),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        with trio.move_on_after(START_SECONDS):
            while self.is_running:
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", self.port)).aclose()
                except OSError:
                    await trio.sleep(0.01)
                else:
                    return
        if fault is None or self.is_running:
            await self.kill()
            raise RuntimeError(f"{self._command.name} did not start:\n{self._log_end()}")

    async def ended(self) -> None:
        """Wait until it has ended by itself."""
        if self._process is not None:
            await self._process.wait()

    async def terminate(self) -> None:
        """Ask it to end (SIGTERM), and wait for that."""
        if self._process is not None:
            self._process.terminate()
            with trio.move_on_after(STOP_SECONDS):
                await self._process.wait()

    async def kill(self) -> None:
        """End it at once (SIGKILL), if it runs, and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    def _log_end(self) -> str:
        return self._log.read_text(errors="replace")[-4_000:]


def _free_port() -> int:
    """A port that no client gets for its own end: it would connect to itself."""
    chance = random.Random(time.monotonic_ns())  # noqa: S311
    while True:
        port = chance.randrange(20_000, 30_000)
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
