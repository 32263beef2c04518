"""Foreign brokers, each a process on a free port, ended with its context."""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

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


def mosquitto_program() -> str | None:
    """Where Mosquitto is, if it is installed."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("mosquitto", path=search)


@contextmanager
def run_mosquitto(directory: Path, access: str = "allow_anonymous true") -> Iterator[Server]:
    """Run Mosquitto; `access` are the lines of its configuration that say who may do what."""
    text = MOSQUITTO_CONFIGURATION + access.replace("{", "{{").replace("}", "}}") + "\n"
    with run_mosquitto_as(directory, text) as ports:
        yield Server("127.0.0.1", ports[0])


@contextmanager
def run_mosquitto_as(
    directory: Path, configuration: str, *options: str, ports: int = 1
) -> Iterator[list[int]]:
    """Run Mosquitto with a configuration and options, where {port} and {port2} stand for ports.

    Yields the ports, of which the first accepts connections.
    """
    program = mosquitto_program()
    if program is None:
        raise FileNotFoundError("Mosquitto is not installed: apt-get install mosquitto.")
    lines: list[str] = []
    deadline = time.monotonic() + DEADLINE
    while True:
        # Mosquitto cannot take port 0; if another program takes a port first, others are tried.
        chosen = [free_port() for _ in range(ports)]
        names = {"port" if not index else f"port{index + 1}": n for index, n in enumerate(chosen)}
        file = directory / "mosquitto.conf"
        file.write_text(configuration.format(**names))
        own = [option.format(**names) for option in options]
        process = LineProcess([program, "-c", str(file), *own], lines.append)
        try:
            if _accepts(process, chosen[0], deadline):
                yield chosen
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
def run_aedes(**options: object) -> Iterator[Server]:
    """Run aedes with options of its own."""
    lines: queue.Queue[str] = queue.Queue()
    process = LineProcess([*node_command("aedes-server.mjs"), json.dumps(options)], lines.put)
    try:
        line = get(lines, "the port of aedes")
        if not line.startswith("port "):
            raise RuntimeError(f"aedes did not start: {line}")
        yield Server("127.0.0.1", int(line.removeprefix("port ")))
    finally:
        process.end()
