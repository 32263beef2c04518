"""The engine of `tmqtt broker --workers`: a Redis or Valkey of its own, on a Unix socket.

It ends with the process that started it, however that ends. Where something is to be kept it lies
in a folder that one broker has at a time. Not on Windows, where there are no workers.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio

from tmqtt.broker.data import ENGINE, check_folder_of_workers
from tmqtt.terminal.sentences import CommandError

_PROGRAMS = ("valkey-server", "redis-server")
_START_LIMIT = 60.0  # seconds until it has read what it kept
_END_LIMIT = 20.0  # seconds until it has written what it keeps
# Ends the program when stdin ends: then whoever started this is no more.
_WITH_A_LIFELINE = (
    'exec 3<&0; "$@" 3<&- </dev/null & pid=$!; (cat <&3 >/dev/null; kill "$pid") & exec 3<&-;'
    ' wait "$pid"'
)
_SETTINGS = ("--port", "0", "--unixsocketperm", "600", "--maxmemory-policy", "noeviction",
             "--save", "", "--daemonize", "no", "--loglevel", "warning")  # fmt: skip
# Ctrl-C is for this process alone: the engine outlives the workers.
_APART: dict[str, Any] = {"start_new_session": True}
# What each durability means for each write.
_KEEPING = {
    "fsync": ("--appendonly", "yes", "--appendfsync", "always"),
    "commit": ("--appendonly", "yes", "--appendfsync", "no"),
}


class OwnEngine:
    """An engine's process, and others in its place. `own_engine` starts it."""

    def __init__(self, command: Sequence[str], socket: Path, log: Path, *, keeps: bool) -> None:
        self.url = f"unix://{socket}"
        self.keeps = keeps
        """Whether what it holds outlives it."""
        self._command = command
        self._socket = socket
        self._log = log
        self._process: trio.Process | None = None

    async def start(self) -> None:
        """Start it, also again, with what it keeps. Raises CommandError."""
        self._process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **_APART,
        )
        await _until_answering(self._socket, self._process, self._log)

    async def ended(self) -> int:
        """Wait until it has ended by itself; its status, negative where a signal ended it."""
        process = self._process
        assert process is not None  # noqa: S101 # it was started
        status = await process.wait()
        await _close(process)
        # What started it says so in the way of shells.
        return 128 - status if status > 128 else status

    async def end(self) -> None:
        """Have it end, and wait until it has."""
        if self._process is not None:
            await _end(self._process)


@asynccontextmanager
async def own_engine(
    private: Path, data: str | None, durability: str | None
) -> AsyncIterator[OwnEngine]:
    """An engine with its socket in the folder `private`, for as long as the context lasts.

    What it keeps is in `data`, if that is given. Raises CommandError where it cannot be started.
    """
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise CommandError(
            "Workers share an engine, and neither redis-server nor valkey-server is installed here"
            " (Debian: apt install redis-server). --cluster URL names one that runs elsewhere."
        )
    socket = private / "engine.sock"
    with _folder(private, data) as folder:
        keeping = _KEEPING[durability or "fsync"] if data is not None else ()
        log = private / "engine.log"
        command = ["sh", "-c", _WITH_A_LIFELINE, "engine", program]
        options = ["--unixsocket", str(socket), "--dir", str(folder), "--logfile", str(log)]
        engine = OwnEngine(
            [*command, *_SETTINGS, *options, *keeping], socket, log, keeps=data is not None
        )
        try:
            await engine.start()
            yield engine
        finally:
            with trio.CancelScope(shield=True):
                await engine.end()


@contextmanager
def _folder(private: Path, data: str | None) -> Iterator[Path]:
    """Where it keeps what it keeps, for this process alone."""
    if data is None:
        yield private
        return
    check_folder_of_workers(Path(data))
    folder = Path(data) / ENGINE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CommandError(f"{folder} cannot be used: {error.strerror}.") from error
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise CommandError(f"{data} is used by another broker already.") from None
    try:
        yield folder
    finally:
        os.close(lock)


async def _until_answering(socket: Path, process: trio.Process, log: Path) -> None:
    with trio.move_on_after(_START_LIMIT):
        while process.poll() is None:
            if await _answers(socket):
                return
            await trio.sleep(0.02)
    raise CommandError(f"The engine did not start; the last it said: {_last_line(log)}")


def _last_line(log: Path) -> str:
    try:
        return (log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
    except OSError:
        return "nothing"


async def _answers(socket: Path) -> bool:
    try:
        async with await trio.open_unix_socket(socket) as stream:
            await stream.send_all(b"PING\r\n")
            return (await stream.receive_some(64)).startswith(b"+PONG")
    except OSError:
        return False


async def _end(process: trio.Process) -> None:
    """Have it end by the end of its stdin; where that takes too long, at once."""
    await _close(process)
    with trio.move_on_after(_END_LIMIT):
        await process.wait()
    if process.returncode is None and sys.platform != "win32":
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _close(process: trio.Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
