"""The broker's process, as its command runs it, with its log in a file and warnings as errors."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

START_SECONDS = 60.0
STOP_SECONDS = 30.0
# What no client can bring about: the broker's own failures.
_SIGNS = re.compile(
    r"^.*(?:Traceback \(most recent call last\)|internal error|Error: |Warning: .*\.py"
    r"|ResourceWarning|Exception ignored|was never awaited).*$",
    re.MULTILINE,
)
_METRICS = re.compile(r"http://127\.0\.0\.1:(\d+)/metrics")
_LISTENING = re.compile(r"Listening at (\S+)")


class WatchedBroker:
    """`tmqtt broker` in a folder of its own, which has its data and its logs."""

    def __init__(
        self,
        folder: Path,
        configuration: str,
        *options: str,
        defect: str | None = None,
    ) -> None:
        """`configuration` is a TOML file's text; `options` are those of the command."""
        self.configuration = folder / "broker.toml"
        self.configuration.write_text(configuration)
        self._log = folder / "broker.log"
        self._errors = folder / "errors.log"
        self._seen = 0
        self.metrics_port = 0  # 0 where there are none
        launcher = ["-m", "tests.beside.launch", "--errors", str(self._errors)]
        if defect is not None:
            launcher += ["--defect", defect]
        self._errors.unlink(missing_ok=True)
        given = ("--config", str(self.configuration))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *launcher, "broker", *given, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONWARNINGS": "error", "NO_COLOR": "1"},
            )
        self.urls = self._wait(configuration.count("[[listeners]]"), "[metrics]" in configuration)

    def __enter__(self) -> WatchedBroker:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ports(self) -> list[int]:
        """The port of each URL, in their order."""
        return [int(url.rsplit(":", 1)[1].partition("/")[0].partition("?")[0]) for url in self.urls]

    def reload(self) -> None:
        """Have it read its files again (SIGHUP)."""
        self.process.send_signal(signal.SIGHUP)

    def problem(self) -> str | None:
        """What is wrong with it that no client may bring about: it has ended, or says so."""
        code = self.process.poll()
        if code is not None:
            return f"the broker has ended with {code}:\n{self.log_end()}"
        if self._errors.exists() and self._errors.stat().st_size:
            return f"the broker failed:\n{self._errors.read_text(errors='replace')[:8_000]}"
        with self._log.open("rb") as log:
            log.seek(self._seen)
            data = log.read()
        whole = data.rfind(b"\n") + 1
        self._seen += whole
        found = _SIGNS.search(data[:whole].decode(errors="replace"))
        return None if found is None else f"the broker's log says: {found[0]}"

    def count(self, words: str) -> int:
        """How often the log says so."""
        return self._log.read_text(errors="replace").count(words)

    def log_end(self) -> str:
        return self._log.read_text(errors="replace")[-4_000:]

    def stop(self) -> int:
        """Ask it to end (SIGTERM), and wait for that; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def _wait(self, count: int, has_metrics: bool) -> list[str]:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            log = self._log.read_text(errors="replace")
            urls = _LISTENING.findall(log)
            if metrics := _METRICS.search(log):
                self.metrics_port = int(metrics[1])
            if len(urls) >= count and (self.metrics_port or not has_metrics):
                return urls
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"the broker did not start:\n{self.log_end()}")


def replace_file(path: Path, text: str) -> None:
    """Write a file as a whole: the broker may be reading it."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


def toml(section: str, values: Mapping[str, object]) -> str:
    """A section of the configuration."""
    lines = (f"{name} = {json.dumps(value)}" for name, value in values.items())
    return f"[{section}]\n" + "\n".join(lines) + "\n\n"
