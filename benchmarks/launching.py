"""A broker that is measured: started on a free port and a core of its own, stopped, and ended."""

import os
import pty
import signal
import socket
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from benchmarks import processes
from benchmarks.brokers import Broker, Unavailable, free_port

_START_LIMIT = 30.0  # seconds a broker has to accept connections
_END_LIMIT = 10.0  # seconds a broker has to end when asked to
_LATE = 3.0  # seconds after which a broker that was stopped knows that it is not late any more
_SCREEN_SIZE = (50, 160)  # lines and columns of the terminal a screen is drawn on
_CONNECT = b"\x10\x0c\0\4MQTT\4\2\0\0\0\0"


@dataclass(slots=True)
class Running:
    """A broker that accepts connections."""

    broker: Broker
    process: subprocess.Popen[bytes]
    port: int
    output: Path
    command: list[str]
    screen: "Screen | None" = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self) -> str | None:
        """How the broker ended, if it did by itself, with the last line it said."""
        status = self.process.poll()
        if status is None:
            return None
        return f"the broker ended with status {status}{self.last_words()}"

    def last_words(self) -> str:
        said = self.screen.tail if self.screen else self.output.read_bytes()
        lines = said.decode(errors="replace").strip().splitlines()
        return f"; it said: {lines[-1].strip()}" if lines else ""

    def kill_and_start(self) -> None:
        """End the broker as by kill -9, and start another on what it has left."""
        self.process.kill()
        self.process.wait()
        self.start()

    def stop(self) -> None:
        """End the broker as it wishes to be."""
        self.process.terminate()
        self.process.wait()

    def start(self) -> None:
        """Start the broker that has ended anew; returns when it answers."""
        with self.output.open("ab") as written:
            self.process = _popen(self.command, self.output.parent, written)
        self.wait_until_answering()

    def wait_until_answering(self) -> None:
        """Wait until a client is let in: a broker may listen before it has all that it keeps."""
        _wait_until_accepting(self)
        self._wait_until_letting_in()

    def _wait_until_letting_in(self) -> None:
        limit = time.monotonic() + _START_LIMIT
        while True:
            with socket.create_connection(("127.0.0.1", self.port), _START_LIMIT) as client:
                client.sendall(_CONNECT)
                answer = client.recv(4)
            if answer.endswith(b"\0"):
                return
            if time.monotonic() > limit:
                raise Unavailable(f"the broker let nobody in{self.last_words()}")
            time.sleep(0.05)

    def bytes_on_disk(self) -> int:
        """What the broker's files take, with what they are about to give back."""
        paths = self.output.parent.rglob("*")
        return sum(path.stat().st_blocks * 512 for path in paths if path.is_file())

    def pause(self) -> None:
        """Stop the broker's processes where they are, so that another is measured undisturbed."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def resume_and_wait(self, transport: str) -> None:
        """Have it go on, and let clients in: one that was stopped for long may think it is late."""
        self.resume()
        if transport == "tcp":
            self._wait_until_letting_in()
        else:
            time.sleep(_LATE)

    def _signal(self, number: signal.Signals) -> None:
        for pid in list(processes.tree(self.pid)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


@dataclass(slots=True)
class Screen:
    """The far end of a pseudo-terminal: reads what is drawn, as a terminal would."""

    master: int
    drawn: int = 0
    tail: bytes = b""

    def drain(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the last process on the terminal has gone
                return
            self.drawn += len(data)
            self.tail = (self.tail + data)[-4096:]


@contextmanager
def running(broker: Broker, core: int, transport: str = "tcp") -> Iterator[Running]:
    """The broker pinned to `core`, accepting connections; ended on leaving. Raises Unavailable."""
    with ExitStack() as stack:
        made = TemporaryDirectory(prefix="benchmark-", dir=broker.data)
        folder = Path(stack.enter_context(made))
        # A broker that gives up root, as Mosquitto does, must still be able to read its files.
        folder.chmod(0o755)
        port = free_port()
        command = ["taskset", "-c", str(core), *broker.command(port, folder, transport)]
        output = folder / "output"
        screen = None
        if broker.in_terminal:
            process, screen = _start_in_terminal(command, folder, stack)
        else:
            process = _start(command, folder, output, stack)
        instance = Running(broker, process, port, output, command, screen)
        stack.callback(_end, instance)
        _wait_until_accepting(instance)
        yield instance


def _start(
    command: list[str], folder: Path, output: Path, stack: ExitStack
) -> subprocess.Popen[bytes]:
    return _popen(command, folder, stack.enter_context(output.open("wb")))


def _popen(command: list[str], folder: Path, written: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=written, stderr=written
    )


def _start_in_terminal(
    command: list[str], folder: Path, stack: ExitStack
) -> tuple[subprocess.Popen[bytes], Screen]:
    master, slave = pty.openpty()
    stack.callback(os.close, master)
    termios.tcsetwinsize(slave, _SCREEN_SIZE)
    # setsid makes the terminal the controlling one of the broker, as a login does, and becomes the
    # broker itself: the process identifier stays.
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"TERM": "xterm-256color"},
    )
    os.close(slave)
    screen = Screen(master)
    thread = threading.Thread(target=screen.drain, name="screen", daemon=True)
    thread.start()
    stack.callback(thread.join, _END_LIMIT)
    return process, screen


def _end(instance: Running) -> None:
    instance.resume()
    instance.process.terminate()
    try:
        instance.process.wait(_END_LIMIT)
    except subprocess.TimeoutExpired:
        instance.process.kill()
        instance.process.wait()


def _wait_until_accepting(instance: Running) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline:
        ended = instance.end()
        if ended:
            raise Unavailable(ended)
        try:
            socket.create_connection(("127.0.0.1", instance.port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise Unavailable(
        f"the broker did not accept connections within {_START_LIMIT:.0f} seconds"
        f"{instance.last_words()}"
    )
