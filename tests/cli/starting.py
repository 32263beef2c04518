"""Starting `tmqtt` a thousand times: by forks of a process that has loaded it already.

Most of what a command takes in a test is the loading of Python's modules, the same each time.
"""

from __future__ import annotations

import atexit
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

from tests.cli.forking import INHERITED_SIGNALS, NUMBER, Asked

_ROOT = Path(__file__).parents[2]
# What begins so is looked at before or while modules are loaded.
_LOOKED_AT_EARLY = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "SSL_")
_TO_FORK = 120.0  # seconds


class Forked:
    """A process that was forked for us, with what Popen says of one."""

    def __init__(self, told: int) -> None:
        self.returncode: int | None = None
        self._told = told
        pid = self._number(_TO_FORK)
        assert pid is not None, "it was not forked"
        self.pid = pid

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait so many seconds for its end."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(["tmqtt"], timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            # It may have ended, and whoever tells of that not have told yet.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and (status := self._number(timeout)) is not None:
            os.close(self._told)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def _number(self, timeout: float | None) -> int | None:
        """What is told next, if it is in so many seconds."""
        looking = select.poll()
        looking.register(self._told, select.POLLIN)
        if not looking.poll(None if timeout is None else timeout * 1000):
            return None
        data = os.read(self._told, NUMBER.size)
        assert data, "who tells how it ends has ended itself"
        (number,) = NUMBER.unpack(data)
        assert isinstance(number, int)
        return number


def fork(
    arguments: Sequence[str | bytes],
    environment: Mapping[str, str],
    streams: tuple[int, int | None, int],
    *,
    is_terminal: bool = False,
) -> Forked:
    """`python -m tmqtt` with these arguments, environment, stdin, stdout (or none), and stderr.

    With `is_terminal` stdout is a terminal, which controls it.
    """
    asked = Asked(
        tuple(map(os.fsencode, arguments)),
        {os.fsencode(name): os.fsencode(value) for name, value in environment.items()},
        os.getcwdb(),
        tuple(one for one in INHERITED_SIGNALS if signal.getsignal(one) is signal.SIG_IGN),
        streams[1] is not None,
        is_terminal,
    )
    early = [item for item in environment.items() if item[0].startswith(_LOOKED_AT_EARLY)]
    told, telling = os.pipe()
    with TemporaryFile() as request:
        request.write(pickle.dumps(tuple(asked)))
        request.seek(0)
        stdin, stdout, stderr = streams
        given = (stdin, stdin if stdout is None else stdout, stderr)
        asking = _forking(frozenset(early))
        socket.send_fds(asking, [b"."], [request.fileno(), *given, telling])
    os.close(telling)
    return Forked(told)


@cache
def _forking(early: frozenset[tuple[str, str]]) -> socket.socket:
    """Where a process is asked that was started with this part of an environment."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.forking", str(theirs.fileno())],
            cwd=_ROOT,
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith(_LOOKED_AT_EARLY)
            }
            | dict(early),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        try:
            process.wait(_TO_FORK)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    atexit.register(end)
    return ours
