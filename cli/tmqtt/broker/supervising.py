"""`tmqtt broker --workers N`: N processes, nodes of one cluster, that share the listeners.

One that dies is started again; all of them are told to end, and waited for; what they say is said
here, each line with the number of the one that says it. Not on Windows: `options.py` says so there.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from tmqtt.broker.asked import Asked
from tmqtt.broker.engine_process import OwnEngine, own_engine
from tmqtt.broker.levels import Level
from tmqtt.broker.ports import chosen_ports
from tmqtt.broker.systemd import Notifier
from tmqtt.broker.workers_screen import WorkersScreen
from tmqtt.terminal.error_groups import first_of
from tmqtt.terminal.figures import counted
from tmqtt.terminal.output import Output
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import HANGUP, Terminal
from trio_mqtt.configuration import Configuration
from trio_mqtt.history import history_path

assert not TYPE_CHECKING or sys.platform != "win32"  # noqa: S101 # what follows is not there

_END_LIMIT = 30.0  # seconds for all clients to be told
_LIVED = 10.0  # seconds after which the end of a worker is no reason to wait before the next
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_LONGEST_LINE = 64 * 1024
_ENDS_WITH_THEM = "Sessions and retained messages end with this broker: --data DIR keeps them."
# What a worker must not take for its own.
_NOT_THEIRS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


async def supervise(asked: Asked, workers: int, terminal: Terminal) -> None:
    """Be as many brokers as there are to be workers, until told to stop. Raises CommandError."""
    configuration = asked.configuration()
    _check(configuration, asked)
    failure: BaseException | None = None
    with ExitStack() as stack:
        private = Path(tempfile.mkdtemp(prefix="tmqtt-"))
        stack.callback(shutil.rmtree, private, ignore_errors=True)
        listeners = configuration.settings.listeners
        listen_at = asked.listen_at()
        if asked.urls or not listeners:
            urls = chosen_ports(listen_at.wanted_urls(), stack)
            asked = replace(asked, urls=urls, ports=())
        elif any(
            listener.url.rpartition(":")[2].partition("/")[0] == "0" for listener in listeners
        ):
            raise CommandError(
                "Workers share their ports: port 0 of [[listeners]] is none.", code=2
            )
        try:
            async with _engine(asked, configuration, private) as (asked, engine):
                await _Supervisor(asked, workers, terminal, private, engine).run()
        except* CommandError as group:
            failure = first_of(group)
    if failure is not None:
        raise failure


def _check(configuration: Configuration, asked: Asked) -> None:
    """Raise CommandError for what workers cannot have."""
    settings = configuration.settings
    sentence = ""
    if not hasattr(socket, "SO_REUSEPORT"):
        sentence = "Processes cannot share a port on this system, as workers would."
    elif os.environ.get("LISTEN_FDS") and os.environ.get("LISTEN_PID") == str(os.getpid()):
        sentence = "Workers listen for themselves: they cannot have sockets of systemd's."
    elif settings.plugins.storage is not None:
        sentence = "Workers share an engine that keeps what they acknowledge: no plugins.storage."
    elif settings.access.dynamic is not None:
        sentence = (
            "Dynamic security is a broker's own: of several workers each would write its file over"
            " that of the others."
        )
    elif settings.storage.path is not None and asked.options.get("data") is None:
        sentence = "Workers share an engine: give --data DIR, and not storage.path."
    if sentence:
        raise CommandError(sentence, code=2)


@asynccontextmanager
async def _engine(
    asked: Asked, configuration: Configuration, private: Path
) -> AsyncIterator[tuple[Asked, OwnEngine | None]]:
    """What workers are asked for, with an engine of their own where none is given."""
    if configuration.settings.cluster is not None:
        yield asked, None
        return
    data, durability = asked.options.get("data"), configuration.settings.storage.durability
    folder = str(data) if data is not None and durability != "memory" else None
    async with own_engine(private, folder, durability) as engine:
        options = {**asked.options, "data": None, "durability": None, "cluster": engine.url}
        history = configuration.settings.history
        if folder is not None and history is not None and history.path is None:
            options["history_file"] = history_path(folder)
        yield replace(asked, options=options), engine


@dataclass(slots=True)
class _Worker:
    number: int
    process: trio.Process | None = None
    was_ready: bool = False

    @property
    def named(self) -> str:
        pid = "" if self.process is None else f" (process {self.process.pid})"
        return f"Worker {self.number}{pid}"


class _Supervisor:
    def __init__(
        self,
        asked: Asked,
        workers: int,
        terminal: Terminal,
        private: Path,
        engine: OwnEngine | None,
    ) -> None:
        self._asked = asked
        self._terminal = terminal
        self._screen = WorkersScreen(terminal)
        self._private = private
        self._engine = engine
        self._workers = [_Worker(number) for number in range(1, workers + 1)]
        self._all_ready = trio.Event()
        self._notifier = Notifier(os.environ)
        self._kept = trio.CancelScope(shield=True)
        self._is_ending = False

    async def run(self) -> None:
        """Keep all workers running until cancelled, and then wait for their end."""
        async with trio.open_nursery() as nursery:
            self._terminal.on_reload(self._reload)
            nursery.start_soon(self._keep_all)
            try:
                await self._all_ready.wait()
                count = counted(len(self._workers), "worker")
                with self._notifier.serving():
                    self._say(f"{count} {'serves' if len(self._workers) == 1 else 'serve'}.")
                    if self._engine is not None and not self._engine.keeps:
                        self._say(_ENDS_WITH_THEM)
                    cluster = self._asked.configuration().settings.cluster
                    assert cluster is not None  # noqa: S101 # workers are nodes of one
                    names = {self._name_of(worker.number) for worker in self._workers}
                    await self._screen.follow(cluster, names)
                    await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await self._end_all()
                self._kept.cancel()
                nursery.cancel_scope.cancel()

    async def _keep_all(self) -> None:
        # Whoever cancels the supervisor cancels its wait; what workers say at their end is heard.
        with self._kept:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._notifier.keep_watchdog_quiet)
                if self._engine is not None:
                    nursery.start_soon(self._watch_engine, self._engine)
                for worker in self._workers:
                    nursery.start_soon(self._keep, worker)

    def _say(self, sentence: str) -> None:
        if self._asked.level is None or self._asked.level.tells(Level.INFO):
            self._terminal.say(sentence)

    async def _watch_engine(self, engine: OwnEngine) -> None:
        """Start it again whenever it has ended: until then, workers keep their clients."""
        pause = _FIRST_PAUSE
        while True:
            began = trio.current_time()
            status = await engine.ended()
            lost = "" if engine.keeps else " What it held is lost, as no --data DIR keeps it."
            self._terminal.warn(
                f"The engine that the workers share has ended ({_how(status)}): it is started"
                f" again.{lost}"
            )
            if trio.current_time() - began >= _LIVED:
                pause = _FIRST_PAUSE
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            await engine.start()

    async def _keep(self, worker: _Worker) -> None:
        """Start a worker, and another in its place whenever it ends."""
        pause = _FIRST_PAUSE
        while True:
            began = trio.current_time()
            status = await self._one(worker)
            if self._is_ending:
                return
            if not worker.was_ready:
                raise CommandError(f"{worker.named} did not start.", code=max(status, 1))
            if trio.current_time() - began >= _LIVED:
                pause = _FIRST_PAUSE
            self._terminal.warn(
                f"{worker.named} has ended ({_how(status)}): another one is started."
            )
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _one(self, worker: _Worker) -> int:
        """A worker's process, from its start to its end; its status."""
        said = self._private / f"worker-{worker.number}"
        said.unlink(missing_ok=True)
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            await notices.bind(str(said))
            environment = {
                name: value for name, value in os.environ.items() if name not in _NOT_THEIRS
            }
            process = worker.process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "tmqtt.broker.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**environment, "NOTIFY_SOCKET": str(said)},
                # Ctrl-C is for this process alone, which tells them.
                start_new_session=True,
            )
            stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
            assert stdin is not None  # noqa: S101 # all three are pipes
            assert stdout is not None  # noqa: S101
            assert stderr is not None  # noqa: S101
            async with stdin, trio.open_nursery() as nursery:  # until then it lives
                nursery.start_soon(self._hear_notices, worker, notices)
                async with trio.open_nursery() as output:
                    terminal = self._terminal
                    output.start_soon(self._forward, worker, stdout, terminal.output)
                    output.start_soon(self._forward, worker, stderr, terminal.messages)
                    with suppress(trio.BrokenResourceError):  # it has ended already
                        await stdin.send_all(self._asked_of(worker.number).written())
                status = await process.wait()
                nursery.cancel_scope.cancel()
        return status

    def _asked_of(self, number: int) -> Asked:
        """What one of them is asked for: what cannot be shared is its own."""
        options = dict(self._asked.options)
        settings = self._asked.configuration().settings
        options["node"] = self._name_of(number)
        if settings.logging is not None and settings.logging.file is not None:
            stem, suffix = os.path.splitext(os.fspath(settings.logging.file))
            options["log_file"] = f"{stem}-{number}{suffix}"
        if settings.history is not None and settings.history.path is not None:
            stem, suffix = os.path.splitext(os.fspath(settings.history.path))
            options["history_file"] = f"{stem}-{number}{suffix}"
        if settings.metrics.listen is not None:
            host, _, port = settings.metrics.listen.rpartition(":")
            options["metrics"] = f"{host}:{int(port) + number - 1 if int(port) else 0}"
        if settings.web.listen is not None:
            host, _, port = settings.web.listen.rpartition(":")
            options["web"] = f"{host}:{int(port) + number - 1 if int(port) else 0}"
        level = self._asked.level or Level.INFO
        return replace(self._asked, options=options, worker=number, level=level)

    def _name_of(self, number: int) -> str:
        """What a worker is called as a node."""
        cluster = self._asked.configuration().settings.cluster
        node = "worker" if cluster is None else cluster.node_name
        return f"{node}-{number}"

    async def _hear_notices(self, worker: _Worker, notices: trio.socket.SocketType) -> None:
        while True:
            notice = await notices.recv(4096)
            if notice.startswith(b"EXTEND_TIMEOUT_USEC=") and not self._all_ready.is_set():
                self._notifier.waiting(f"Worker {worker.number} is not ready yet.")
            if b"READY=1" in notice.splitlines():
                worker.was_ready = True
                if all(one.was_ready for one in self._workers):
                    self._all_ready.set()

    async def _forward(self, worker: _Worker, said: trio.abc.ReceiveStream, to: Output) -> None:
        """Print what a worker says, with its number after the time."""
        mark = f"[{worker.number}]".encode()
        rest = b""
        async with said:
            while data := await said.receive_some(65_536):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > _LONGEST_LINE:
                    lines, rest = [*lines, rest], b""
                if lines:
                    self._screen.put(b"".join(_marked(line, mark) for line in lines), to)
                await to.room()
        if rest:
            self._screen.put(_marked(rest, mark), to)

    def _reload(self) -> None:
        self._tell_all(HANGUP or signal.SIGTERM)

    def _tell_all(self, number: int) -> None:
        for worker in self._workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.process.send_signal(number)

    async def _end_all(self) -> None:
        """Tell all to end, and wait until they have; what they still say is said."""
        self._is_ending = True
        self._tell_all(signal.SIGTERM)
        with trio.move_on_after(_END_LIMIT):
            await self._ends()
        self._tell_all(signal.SIGKILL)
        await self._ends()
        self._say("Stopped.")

    async def _ends(self) -> None:
        for worker in self._workers:
            if worker.process is not None:
                await worker.process.wait()


def _port_of(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None  # it will be refused


def _marked(line: bytes, mark: bytes) -> bytes:
    time, space, text = line.partition(b" ")
    if time[:2].isdigit() and time[4:5] == b"-":
        return b"%b%b%b %b\n" % (time, space, mark, text)
    return b"%b %b\n" % (mark, line)


def _how(status: int) -> str:
    """How a process has ended."""
    if status >= 0:
        return f"status {status}"
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def run_supervised(asked: Asked, workers: int) -> None:
    """The command: `supervise` until told to stop."""
    from tmqtt.terminal.running import run

    run(partial(supervise, asked, workers), stopped=0)
