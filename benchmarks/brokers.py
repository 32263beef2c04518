"""The brokers that are compared: how each is found, started on a free port, and ended."""

import getpass
import importlib.metadata
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from benchmarks import processes

MOSQUITTO = "mosquitto"
MOSQUITTO_WITHOUT_DELAY = "mosquitto+nodelay"
AEDES = "aedes"
OURS = "trio-mqtt"
OURS_WITH_SCREEN = "trio-mqtt+screen"
OURS_WITH_RULES = "trio-mqtt+rules"
OURS_WITH_METRICS = "trio-mqtt+metrics"
# Those that keep what they acknowledge.
OURS_FSYNC = "trio-mqtt+fsync"
OURS_COMMIT = "trio-mqtt+commit"
MOSQUITTO_SAVED = "mosquitto+saved"

DURABLE = (OURS_FSYNC, OURS_COMMIT, MOSQUITTO_SAVED)
_DURABILITY = {OURS_FSYNC: "fsync", OURS_COMMIT: "commit"}

AEDES_VERSION = "1.2.0"

_START_LIMIT = 30.0  # seconds a broker has to accept connections
_END_LIMIT = 10.0  # seconds a broker has to end when asked to
_LATE = 3.0  # seconds after which a broker that was stopped knows that it is not late any more
_SCREEN_SIZE = (50, 160)  # lines and columns of the terminal a screen is drawn on

_CONNECT = b"\x10\x0c\0\4MQTT\4\2\0\0\0\0"

_MOSQUITTO_CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
log_dest stderr
log_type error
log_type warning
# Without a bound, so that it never drops what a benchmark then would count as lost.
max_queued_messages 0
# Else it cuts off a client that has more than 20 of QoS 2 under way.
max_inflight_messages 0
"""
# The safest that it has: all of it is written anew, at each change and each second.
_MOSQUITTO_SAVES = """\
user {user}
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
"""


class Unavailable(Exception):  # noqa: N818 - a state of the machine, not a fault
    """A broker cannot be measured here: the message says why, and how to get it."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that can be started.

    `command` is made from a port, a folder for its files and what is spoken at the port.
    """

    name: str
    version: str
    command: Callable[[int, Path, str], list[str]]
    in_terminal: bool = False
    transports: tuple[str, ...] = ("tcp", "tls", "websocket")
    data: Path | None = None  # where the folder for its files is made; None is anywhere


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


def find(name: str, cache: Path) -> Broker:
    """The broker of that name, installed into `cache` if need be; raises Unavailable."""
    if name in (MOSQUITTO, MOSQUITTO_WITHOUT_DELAY, MOSQUITTO_SAVED):
        return _find_mosquitto(name, cache)
    if name == AEDES:
        return _find_aedes(cache)
    return _find_ours(name, cache)


def _find_mosquitto(name: str, cache: Path) -> Broker:
    # Debian keeps it where only root's PATH looks.
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    program = shutil.which("mosquitto", path=path)
    if program is None:
        raise Unavailable("Mosquitto is not installed (Debian: apt install mosquitto).")
    shown = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\S+)", shown)

    def command(port: int, folder: Path, transport: str) -> list[str]:
        configuration = folder / "mosquitto.conf"
        text = _MOSQUITTO_CONFIGURATION.format(port=port)
        if name == MOSQUITTO_WITHOUT_DELAY:
            text += "set_tcp_nodelay true\n"
        if name == MOSQUITTO_SAVED:
            text += _MOSQUITTO_SAVES.format(user=getpass.getuser(), folder=folder)
        else:
            text += "persistence false\n"
        if transport == "websocket":
            # It does not start without any other listener.
            text += f"protocol websockets\nlistener {_free_port()} 127.0.0.1\n"
        elif transport == "tls":
            certificate = _make_certificate(folder)
            text += f"certfile {certificate}\nkeyfile {certificate}\n"
        configuration.write_text(text)
        return [program, "-c", str(configuration)]

    return Broker(
        name,
        version[1] if version else "unknown",
        command,
        data=cache if name == MOSQUITTO_SAVED else None,
    )


def _find_aedes(cache: Path) -> Broker:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("aedes needs Node.js and npm (Debian: apt install nodejs npm).")
    project = cache / f"aedes-{AEDES_VERSION}"
    if not (project / "node_modules" / "aedes" / "package.json").exists():
        project.mkdir(parents=True, exist_ok=True)
        (project / "package.json").write_text('{"private": true}\n')
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(
            [*install, f"aedes@{AEDES_VERSION}"],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise Unavailable(f"npm could not install aedes {AEDES_VERSION}: {reason}")
    # Beside node_modules, because that is where Node looks for what a module imports.
    script = project / "server.mjs"
    shutil.copyfile(Path(__file__).with_name("aedes_server.mjs"), script)
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return Broker(
        AEDES,
        f"{AEDES_VERSION} on Node.js {shown.strip().removeprefix('v')}",
        lambda port, _folder, _transport: [node, str(script), str(port)],
        transports=("tcp",),
    )


def _find_ours(name: str, cache: Path) -> Broker:
    try:
        version = importlib.metadata.version("trio-mqtt")
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable("trio-mqtt is not installed (pip install -e . in its folder).") from None

    def command(port: int, folder: Path, transport: str) -> list[str]:
        schemes = {"tls": "mqtts", "websocket": "ws"}
        url = f"{schemes.get(transport, 'mqtt')}://127.0.0.1:{port}"
        if transport == "tls":
            url += f"?cert={_make_certificate(folder)}"
        command = [sys.executable, "-m", "tmqtt", "broker", url]
        if name == OURS_WITH_RULES:
            access = folder / "access"
            access.write_text(_access_rules())
            command += ["--access-file", str(access)]
        if name == OURS_WITH_METRICS:
            command += ["--metrics", "127.0.0.1:0"]
        if name in _DURABILITY:
            command += ["--data", str(folder / "data"), "--durability", _DURABILITY[name]]
        return command

    return Broker(
        name,
        f"{version} on Python {sys.version.split()[0]}",
        command,
        in_terminal=name == OURS_WITH_SCREEN,
        data=cache if name in _DURABILITY else None,
    )


def _access_rules() -> str:
    """An access file of 1,000 rules, of which the last but 300 allows the benchmark."""
    return "".join(
        (
            *(f"topic read plant/{number}/#\n" for number in range(300)),
            *(f"topic deny plant/+/door/{number}\n" for number in range(99)),
            "topic readwrite bench/#\n",
            *(f"user worker{number}\ntopic readwrite work/{number}/#\n" for number in range(300)),
            *(f"pattern readwrite device/{number}/%c/#\n" for number in range(300)),
        )
    )


def _make_certificate(folder: Path) -> Path:
    """A file with a new key and its certificate; the same kind for all brokers."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise Unavailable("openssl is needed to make a certificate (Debian: apt install openssl).")
    path, key = folder / "server.pem", folder / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(key)),
            *("-out", str(path)),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(key.read_text() + path.read_text())
    path.chmod(0o644)  # Mosquitto reads it when it is root no more
    return path


@contextmanager
def running(broker: Broker, core: int, transport: str = "tcp") -> Iterator[Running]:
    """The broker pinned to `core`, accepting connections; ended on leaving. Raises Unavailable."""
    with ExitStack() as stack:
        made = TemporaryDirectory(prefix="benchmark-", dir=broker.data)
        folder = Path(stack.enter_context(made))
        # A broker that gives up root, as Mosquitto does, must still be able to read its files.
        folder.chmod(0o755)
        port = _free_port()
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
