"""Brokers as processes that keep their state in a folder, and are killed and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import trio

from tests.ports import free_port

START_SECONDS = 60.0
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

    @property
    def receive_maximum(self) -> int:
        """How many messages that are not acknowledged its clients say that they take."""

    def command(self, port: int, folder: Path, fault: str | None) -> Sequence[str]: ...


class Mosquitto:
    """Mosquitto with persistence, and more lines of its configuration.

    After a restart it sends more than its clients take. Held to less than this, they would end one
    connection after the other, and nothing else would be seen.
    """

    knows_faults = False
    receive_maximum = 65_535

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


class Ours:
    """`tmqtt broker --data`, and through the launcher with a fault, or with a defect."""

    knows_faults = True
    receive_maximum = 100

    def __init__(self, durability: str = "fsync", defect: str | None = None) -> None:
        self.name = f"trio-mqtt, {defect or durability}"
        self._durability = durability
        self._defect = defect

    def command(self, port: int, folder: Path, fault: str | None) -> Sequence[str]:
        program = ["-m", "tmqtt"]
        if fault is not None or self._defect is not None:
            # Without the launcher's folder among those that modules are looked for in.
            program = ["-P", str(Path(__file__).with_name("launch.py"))]
        if fault is not None:
            program += ["--fault", fault]
        if self._defect is not None:
            program += ["--defect", self._defect]
        options = ["--data", str(folder / "data"), "--durability", self._durability]
        return [sys.executable, *program, "broker", f"mqtt://127.0.0.1:{port}", *options]


class BrokerProcess:
    """One broker in one folder at one port, over many starts."""

    def __init__(self, command: Command, folder: Path) -> None:
        self.port = free_port()
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
