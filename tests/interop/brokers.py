"""Foreign brokers, each a process on a free port, ended with its context."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .node import node_command
from .peers import DEADLINE, LineProcess, Server, get

# It would become another user, who may not read the test's files, if it was started by root.
MOSQUITTO_CONFIGURATION = """\
user root
listener {port} 127.0.0.1
persistence false
max_queued_messages 0
log_type error
log_type warning
"""


@contextmanager
def run_mosquitto(directory: Path, access: str = "allow_anonymous true") -> Iterator[Server]:
    """Run Mosquitto; `access` are the lines of its configuration that say who may do what."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which("mosquitto", path=search)
    if program is None:
        raise FileNotFoundError("Mosquitto is not installed: apt-get install mosquitto.")
    lines: list[str] = []
    deadline = time.monotonic() + DEADLINE
    while True:
        # Mosquitto cannot take port 0; if another program takes the port first, the next is tried.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        configuration = directory / "mosquitto.conf"
        configuration.write_text(MOSQUITTO_CONFIGURATION.format(port=port) + access + "\n")
        process = LineProcess([program, "-c", str(configuration)], lines.append)
        try:
            if _accepts(process, port, deadline):
                yield Server("127.0.0.1", port)
                return
        finally:
            process.end()
        if time.monotonic() > deadline:
            raise TimeoutError("Mosquitto did not start: " + "; ".join(lines))


def _accepts(process: LineProcess, port: int, deadline: float) -> bool:
    """Wait until connections are accepted; False once the process has ended."""
    while process.process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return process.process.poll() is None
    return False


@contextmanager
def run_aedes() -> Iterator[Server]:
    """Run aedes."""
    lines: queue.Queue[str] = queue.Queue()
    process = LineProcess(node_command("aedes-server.mjs"), lines.put)
    try:
        line = get(lines, "the port of aedes")
        if not line.startswith("port "):
            raise RuntimeError(f"aedes did not start: {line}")
        yield Server("127.0.0.1", int(line.removeprefix("port ")))
    finally:
        process.end()
