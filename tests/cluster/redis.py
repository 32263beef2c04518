"""A real redis-server of the tests' own, on a Unix socket or a free port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep

MISSING = "redis-server is needed for these tests: apt-get install redis-server"


class RedisServer:
    """A process of redis-server, which can be stopped and started again with what it keeps."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.folder = folder
        self.path = folder / "redis.sock"
        self.port = port
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.path}"

    def start(self, *, is_awaited: bool = True) -> None:
        """Start it, and wait until it answers."""
        program = shutil.which("redis-server")
        assert program is not None, MISSING
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program, "--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--unixsocket", str(self.path), "--dir", str(self.folder)),
                    *("--save", "", "--maxmemory-policy", "noeviction"),
                    # A replica is given all that there is at once, and not after five seconds.
                    *("--repl-diskless-sync-delay", "0"),
                    *("--enable-debug-command", "yes", *self._options),
                ],
                stdout=log,
                stderr=log,
            )
        end = monotonic() + 60
        while is_awaited and not self.command("PING").startswith((b"+PONG", b"-NOAUTH")):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert monotonic() < end, "redis-server does not answer"
            sleep(0.005)

    def stop(self) -> None:
        """End it at once, as by `kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.path.unlink(missing_ok=True)

    def pause(self) -> None:
        """Have it answer nobody, while its connections last, until it is ended."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def command(self, *words: str) -> bytes:
        """What a command answers, as it comes; nothing if the server cannot be reached."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
            end.settimeout(60)
            try:
                end.connect(str(self.path))
                end.sendall(" ".join(words).encode() + b"\r\n")
                return end.recv(65536)
            except OSError:
                return b""


@contextmanager
def redis_server(*options: str, port: int = 0) -> Iterator[RedisServer]:
    """One that runs in the block, with options such as `"--appendonly", "yes"`."""
    # The path of a socket has to be short.
    folder = Path(mkdtemp(prefix="redis-"))
    server = RedisServer(folder, *options, port=port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
