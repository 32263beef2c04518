"""Building load.c and speaking with it."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

SOURCE = Path(__file__).with_name("load.c")
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
_WITH_TLS = ("-DWITH_TLS", "-lssl", "-lcrypto")
_SETUP_LIMIT = 90.0  # seconds; load.c itself gives up after 60


class LoadError(Exception):
    """The load generator could not be built, or stopped: the message says why."""


def build(cache: Path) -> Path:
    """The compiled load generator, compiled into `cache` when its source is new there."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise LoadError(
            "A C compiler is needed to build the load generator (Debian: apt install gcc)."
        )
    complaint = ""
    # Where OpenSSL's headers are missing, all but the scenario of TLS can be measured.
    for libraries in (_WITH_TLS, ()):
        digest = hashlib.sha256(
            SOURCE.read_bytes() + " ".join((compiler, *_FLAGS, *libraries)).encode()
        ).hexdigest()
        program = cache / f"load-{digest[:16]}"
        if program.exists():
            return program
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")
        command = [compiler, *_FLAGS, "-o", str(unfinished), str(SOURCE), *libraries]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if not built.returncode:
            unfinished.rename(program)
            return program
        complaint = built.stderr
    raise LoadError(f"{compiler} could not build load.c:\n{complaint}")


class Load:
    """A running load generator whose connections stand."""

    def __init__(self, process: subprocess.Popen[str], to: IO[str], answers: IO[str]) -> None:
        self._process = process
        self._to = to
        self._answers = answers
        self.setup = self.answer(_SETUP_LIMIT)

    def run(self, seconds: float) -> dict[str, Any]:
        """Publish for so long, wait until everything has arrived, and give the figures."""
        self._to.write(f"{seconds}\n")
        self._to.flush()
        return self.answer(seconds * 4 + 60)

    def collect(self) -> dict[str, Any]:
        """Have the subscribers that were away come for what waits, and give the figures."""
        self._to.write("collect\n")
        self._to.flush()
        return self.answer(120)

    def begin_restart(self) -> None:
        """From now on whose connection breaks comes back; `answer` tells how that went."""
        self._to.write("restart\n")
        self._to.flush()
        self.answer(10)

    def answer(self, limit: float) -> dict[str, Any]:
        """The next line of figures; raises LoadError when none comes within `limit` seconds."""
        watchdog = threading.Timer(limit, self._process.kill)
        watchdog.start()
        try:
            line = self._answers.readline()
        finally:
            watchdog.cancel()
        if not line:
            complaint = self._process.communicate()[1].strip()
            raise LoadError(complaint or f"load: nothing was heard for {limit:.0f} seconds")
        figures: dict[str, Any] = json.loads(line)
        return figures


@contextmanager
def running(program: Path, core: int, kind: str, options: str, port: int) -> Iterator[Load]:
    """A load generator pinned to `core` against the broker on `port`, ended on leaving."""
    command = ["taskset", "-c", str(core), str(program), kind, f"port={port}", *options.split()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise LoadError("load: no pipes")
        try:
            yield Load(process, process.stdin, process.stdout)
        finally:
            process.kill()
