"""Empty environments, one for each Python that is here, and what has to work in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from releasing.running import ReleaseError, run

# Those that the package says it runs on.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

# What each extra is for: modules of ours that use what it brings, and what that is.
EXTRAS = {
    "cluster": ("trio_mqtt.cluster.engine.links", "coredis"),
    "jwt": ("trio_mqtt.broker.access.files.tokens", "jwt", "cryptography"),
    "metrics": ("trio_mqtt.monitoring.metrics_server", "prometheus_client", "h11"),
    "payloads": ("tmqtt.messages.payload_formats", "cbor2", "msgpack", "google.protobuf"),
    "proxy": ("trio_mqtt.transport.connectors.proxied", "python_socks.async_.anyio.v2"),
    "scram": ("trio_mqtt.broker.access.scram", "scramp"),
    "srv": ("trio_mqtt.transport.connectors.srv_records", "dns.resolver"),
    "testing": ("trio_mqtt.testing", "trustme"),
    "web": ("trio_mqtt.web.server", "starlette", "hypercorn"),
}

_PATIENCE = 120.0  # seconds for a command, on a machine that is busy
_TOPIC, _MESSAGE = "releasing/tried", "it works"

_IMPORT_ALL = """
import importlib, pkgutil, sys
import tmqtt, trio_mqtt
left_out = {"trio_mqtt.pytest_plugin"}  # which takes pytest
for package in (trio_mqtt, tmqtt):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name not in left_out and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def pythons_here() -> dict[str, str]:
    """Which of the Pythons are on this machine, and where."""
    found = {}
    for version in PYTHONS:
        try:
            place = run("uv", "python", "find", "--no-python-downloads", "--system", version)
        except ReleaseError:
            continue
        found[version] = place.strip()
    return found


class Environment:
    """A virtual environment with nothing but what is installed into it."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        run("uv", "venv", "--quiet", "--no-project", "--python", python, folder)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self._program("python")

    def install(self, package: Path, extra: Sequence[str] = ()) -> None:
        """Install a wheel or an sdist with what it depends on, and check that all of it fits."""
        wanted = f"trio-mqtt[{','.join(extra)}] @ {package.resolve().as_uri()}"
        uv = ("uv", "pip")
        run(*uv, "install", "--quiet", "--python", self.python, wanted)
        run(*uv, "check", "--quiet", "--python", self.python)

    def try_out(self, version: str, *, compiled: bool = False) -> None:
        """Raises ReleaseError where the commands do not say what they are, or no message comes."""
        kind = "compiled" if compiled else "pure Python"
        says, wanted = self._tmqtt("--version").strip(), f"tmqtt {version} ({kind})"
        if says != wanted:
            raise ReleaseError(f"In {self.folder.name}, tmqtt --version says {says!r}: {wanted!r}?")
        with self._broker() as url:
            self._tmqtt("pub", _TOPIC, _MESSAGE, "-q", "1", "--retain", "-b", url)
            came = self._tmqtt("sub", _TOPIC, "-C", "1", "-b", url)
        if came.strip() != _MESSAGE:
            raise ReleaseError(f"In {self.folder.name}, {came!r} came in place of {_MESSAGE!r}.")

    def try_extra(self, name: str) -> None:
        """Raises ReleaseError where what an extra is for cannot be imported."""
        self._python(f"import {', '.join(EXTRAS[name])}")

    def import_all(self) -> None:
        """Raises ReleaseError where a module needs what no extra brings."""
        self._python(_IMPORT_ALL)

    @contextmanager
    def _broker(self) -> Iterator[str]:
        """A broker of its own at a free port, for as long as the context lasts."""
        command = [str(self._program("tmqtt")), "broker", "mqtt://127.0.0.1:0"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, encoding="utf-8", cwd=self.folder, env=_variables()
        ) as process:
            try:
                yield _url(process)
            finally:
                process.terminate()
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()

    def _program(self, name: str) -> Path:
        if sys.platform == "win32":
            return self.folder / "Scripts" / f"{name}.exe"
        return self.folder / "bin" / name

    def _tmqtt(self, *words: str) -> str:
        return run(
            self._program("tmqtt"), *words,
            folder=self.folder, environment=_variables(), timeout=_PATIENCE,
        )  # fmt: skip

    def _python(self, program: str) -> None:
        # Isolated: what is installed counts, and nothing that lies here.
        run(self.python, "-I", "-W", "error", "-c", program, folder=self.folder)


def _url(process: subprocess.Popen[str]) -> str:
    """Where a broker says that it listens."""
    assert process.stdout is not None  # noqa: S101 # it is a pipe
    for line in process.stdout:
        found = re.search(r"Listening at (mqtt://\S+)", line)
        if found is not None:
            return found[1]
    raise ReleaseError("The broker that was installed ended before it listened.")


def _variables() -> dict[str, str]:
    """This process's variables without those that would have commands or Python go elsewhere."""
    gone = ("TMQTT_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(gone)}
