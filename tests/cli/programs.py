"""Running `tmqtt` as its users do, in a pseudo-terminal or in a pipe, and brokers for it."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import pyte

from tests.cli.forking import EVENTS_SHOWN
from tests.cli.starting import fork
from trio_mqtt import sync

# Seconds until something that must happen is given up; generous, for machines that are busy.
DEADLINE = 120.0

# The last one would have every process compile the package anew.
_NOT_INHERITED = (
    "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TMQTT_BROKER", "TMQTT_PASSWORD", "TMQTT_PROFILE",
    "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip

# How the broker's lines begin in a pipe.
DATE_AND_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d "

ENTER_SCREEN, LEAVE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
LINES = 24  # of a pseudo-terminal
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BECOME = "; os.execv(sys.executable, [sys.executable, '-m', 'tmqtt', *sys.argv[1:]])"
# For Python. The pseudo-terminal has to control the process, or Ctrl-C reaches nobody.
IN_TERMINAL = (
    "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0)" + _BECOME,
)


class Stream:
    """What a process has written to one descriptor so far, gathered by a thread."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._data = b""
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._gather, daemon=True)
        self._thread.start()

    @property
    def data(self) -> bytes:
        with self._changed:
            return self._data

    @property
    def text(self) -> str:
        """What a person sees of it: without escape sequences, lines ended by \\n."""
        return _SEQUENCE.sub("", self.data.decode(errors="backslashreplace")).replace("\r\n", "\n")

    def expect(self, pattern: str, *, times: int = 1) -> re.Match[str]:
        """Wait until `pattern` was written so many times; the last of these matches."""
        deadline = time.monotonic() + DEADLINE
        with self._changed:
            while True:
                found = list(re.finditer(pattern, self.text))
                if len(found) >= times:
                    return found[times - 1]
                left = deadline - time.monotonic()
                assert left > 0, f"{pattern!r} did not come in {DEADLINE} s, but:\n{self.text}"
                assert not self._ended, f"{pattern!r} did not come, but the end:\n{self.text}"
                self._changed.wait(left)

    def finish(self) -> None:
        """Wait for the end of the stream."""
        self._thread.join(DEADLINE)
        assert self._ended

    def _gather(self) -> None:
        while True:
            try:
                data = os.read(self.descriptor, 65_536)
            except OSError:
                data = b""  # how a pseudo-terminal says that nobody has it open any more
            with self._changed:
                self._data += data
                self._ended = not data
                self._changed.notify_all()
            if not data:
                os.close(self.descriptor)
                return


class Program:
    """A `tmqtt` process. Its `out` and `err` are one stream in a terminal.

    Without `keys`, stdin is none. Elsewhere `stdout` may be a descriptor of the caller's, or None:
    closed.
    """

    def __init__(
        self,
        *arguments: str | bytes,
        terminal: bool = False,
        keys: bool = True,
        columns: int = 250,
        stdout: int | None = subprocess.PIPE,
        stdin: int = subprocess.DEVNULL,
        stderr: int = subprocess.PIPE,
        environment: Mapping[str, str] = {},  # never changed
    ) -> None:
        inherited = {
            name: value for name, value in os.environ.items() if name not in _NOT_INHERITED
        }
        everything = inherited | {"TERM": "xterm-256color", "PYTHONWARNINGS": "error"}
        everything |= environment
        self._keyboard = -1
        with ExitStack() as theirs:  # descriptors that are the process's alone once it has them
            if stdin == subprocess.DEVNULL or not keys:
                stdin = os.open(os.devnull, os.O_RDWR)
                theirs.callback(os.close, stdin)
            if terminal:
                self._keyboard, inner = pty.openpty()
                theirs.callback(os.close, inner)
                termios.tcsetwinsize(inner, (LINES, columns))
                stdin, stdout, stderr = inner if keys else stdin, inner, inner
                reading = [os.dup(self._keyboard)]
            else:
                reading = []
                if stderr == subprocess.PIPE:
                    stderr = _pipe(reading, theirs)
                if stdout == subprocess.PIPE:
                    stdout = _pipe(reading, theirs)
            self.process = fork(
                arguments, everything, (stdin, stdout, stderr), is_terminal=terminal
            )
        streams = [Stream(descriptor) for descriptor in reading]
        self.err, self.out = streams[0], streams[-1]

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._close()

    def resize(self, columns: int, lines: int = LINES) -> None:
        """Change the size of the terminal."""
        termios.tcsetwinsize(self._keyboard, (lines, columns))

    def press_ctrl_c(self) -> None:
        """Type Ctrl-C into the terminal."""
        os.write(self._keyboard, b"\x03")

    def type(self, text: str) -> None:
        """Type a text into the terminal."""
        os.write(self._keyboard, text.encode())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end of the process; its exit code. All of its output is there then."""
        code = self.process.wait(DEADLINE)
        self._close()
        return code

    def _close(self) -> None:
        for stream in dict.fromkeys((self.out, self.err)):
            stream.finish()
        if self._keyboard >= 0:
            os.close(self._keyboard)
            self._keyboard = -1


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: object
    out: str
    err: str


class Run(Protocol):
    """Runs `tmqtt` to its end."""

    def __call__(self, *arguments: str) -> Ended: ...


def screen(data: bytes, columns: int) -> list[str]:
    """The lines of a terminal of so many columns, after `data` was written to it."""
    display = pyte.Screen(columns, LINES)
    pyte.ByteStream(display).feed(data)
    return [line.rstrip() for line in display.display]


def shows(shown: Program | Stream, columns: int, pattern: str) -> list[str]:
    """The screen since the command took it last, without empty lines, once a line matches."""
    stream = shown if isinstance(shown, Stream) else shown.out
    end = time.monotonic() + DEADLINE
    while True:
        lines = screen(stream.data.rpartition(ENTER_SCREEN)[2], columns)
        if any(re.fullmatch(pattern, line) for line in lines):
            return [line for line in lines if line]
        assert time.monotonic() < end, lines
        time.sleep(0.02)


def _pipe(reading: list[int], theirs: ExitStack) -> int:
    """The end to write to, which goes with what is theirs; the other one is for us to read."""
    ours, writing = os.pipe()
    theirs.callback(os.close, writing)
    reading.append(ours)
    return writing


_EVERY_TOPIC = ("--set", "options.control_characters_in_topics=true")


@contextmanager
def running_broker(*urls: str, terminal: bool = False) -> Iterator[tuple[Program, str]]:
    """A broker on a free port, or at `urls`, and its address.

    It takes topics that might steer a terminal: what shows them is tried with it. It shows all that
    happens to its clients, however many come at once.
    """
    arguments = (*(urls or ("mqtt://127.0.0.1:0",)), *_EVERY_TOPIC)
    everything = {EVENTS_SHOWN: "10000"}
    with Program("broker", *arguments, terminal=terminal, environment=everything) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        yield broker, url


@contextmanager
def broker_that_answers(*answers: bytes) -> Iterator[str]:
    """A broker that answers each connection with the next of `answers`; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(65_536)
                    client.sendall(answer)
                    while client.recv(65_536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)  # wakes accept
            thread.join()


def publish(url: str, topic: str, payload: str | bytes, **options: Any) -> None:
    """Publish one message, where `tmqtt pub` is not what is tested: no process has to start."""
    with sync.open_client(url) as client:
        client.publish(topic, payload, **options)
