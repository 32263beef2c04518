"""The brokers that are compared: how each is found, and the command that starts it."""

import getpass
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiled import NotCompiledError, compiled_python

MOSQUITTO = "mosquitto"
MOSQUITTO_WITHOUT_DELAY = "mosquitto+nodelay"
AEDES = "aedes"
OURS = "trio-mqtt"
OURS_WITH_SCREEN = "trio-mqtt+screen"
OURS_WITH_RULES = "trio-mqtt+rules"
OURS_WITH_METRICS = "trio-mqtt+metrics"
OURS_WITH_HISTORY = "trio-mqtt+history"
OURS_WITH_OTHER_HISTORY = "trio-mqtt+other-history"
OURS_WITH_API = "trio-mqtt+api"
OURS_COMPILED = "trio-mqtt+compiled"
# Those that keep what they acknowledge.
OURS_FSYNC = "trio-mqtt+fsync"
OURS_COMMIT = "trio-mqtt+commit"
MOSQUITTO_SAVED = "mosquitto+saved"

DURABLE = (OURS_FSYNC, OURS_COMMIT, MOSQUITTO_SAVED)
# Of all topics that are measured, and of others.
_HISTORIES = {OURS_WITH_HISTORY: "bench/#", OURS_WITH_OTHER_HISTORY: "plant/#"}
_DURABILITY = {OURS_FSYNC: "fsync", OURS_COMMIT: "commit"}

AEDES_VERSION = "1.2.0"


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
    has_mqtt_5: bool = True
    data: Path | None = None  # where the folder for its files is made; None is anywhere


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
            text += f"protocol websockets\nlistener {free_port()} 127.0.0.1\n"
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
        has_mqtt_5=False,
    )


def _find_ours(name: str, cache: Path) -> Broker:
    try:
        version = importlib.metadata.version("trio-mqtt")
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable("trio-mqtt is not installed (pip install -e . in its folder).") from None
    program = [sys.executable, "-m", "tmqtt"]
    if name == OURS_COMPILED:
        try:
            # Isolated, for else what lies where the benchmark is called would be found first.
            program = [str(compiled_python(cache)), "-I", "-m", "tmqtt"]
        except NotCompiledError as error:
            raise Unavailable(f"trio-mqtt could not be compiled: {error}") from None

    def command(port: int, folder: Path, transport: str) -> list[str]:
        schemes = {"tls": "mqtts", "websocket": "ws"}
        url = f"{schemes.get(transport, 'mqtt')}://127.0.0.1:{port}"
        if transport == "tls":
            url += f"?cert={_make_certificate(folder)}"
        command = [*program, "broker", url]
        if name == OURS_WITH_RULES:
            access = folder / "access"
            access.write_text(_access_rules())
            command += ["--access-file", str(access)]
        if name == OURS_WITH_METRICS:
            command += ["--metrics", "127.0.0.1:0"]
        if name == OURS_WITH_API:  # and a Unix socket in the folder of its data
            command += ["--data", str(folder / "data"), "--set", "web.socket=true"]
        if name in _HISTORIES:
            command += ["--history", _HISTORIES[name]]
            command += ["--history-file", str(folder / "history.sqlite3")]
        if name in _DURABILITY:
            command += ["--data", str(folder / "data"), "--durability", _DURABILITY[name]]
        return command

    return Broker(
        name,
        f"{version} on Python {sys.version.split()[0]}",
        command,
        in_terminal=name == OURS_WITH_SCREEN,
        data=cache if name in _DURABILITY or name in _HISTORIES else None,
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


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
