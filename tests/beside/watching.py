"""The pair's process, as a test sees it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

from tests.beside.broker import WatchedBroker

END_SECONDS = 60.0
LONGEST = 2.0  # seconds for any message of the pair: a disk may keep a commit waiting
# Seconds for the first figures: a process starts and connects.
START_SECONDS = 60.0


class WatchedPair:
    """A pair beside the load, from its start to its end: what it found, and its figures."""

    def __init__(
        self, broker: WatchedBroker, *, user: str | None = None, rate: float = 100.0
    ) -> None:
        """The pair connects to the first listener of the broker."""
        self.problems: list[str] = []
        self.figures: dict[str, Any] = {}
        self._begun = threading.Event()
        options = ["--broker", str(broker.pid), "--rate", str(rate)]
        if user is not None:
            options += ["--user", user]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.beside.pair", str(broker.ports[0]), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self._begun.wait(START_SECONDS)

    def __enter__(self) -> WatchedPair:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def words(self) -> str:
        """The figures as a sentence."""
        of = self.figures
        if not of:
            return "the pair has no figures"
        return (
            f"the pair: {of['sent']} messages, median {of['median'] * 1e3:.1f} ms,"
            f" 99 % {of['p99'] * 1e3:.0f} ms, longest {of['longest'] * 1e3:.0f} ms; without what"
            f" broker and pair waited for a processor: 99 % {of['own_p99'] * 1e3:.0f} ms, longest"
            f" {of['own_longest'] * 1e3:.0f} ms (a byte to a process that does nothing: 99 %"
            f" {of['machine_p99'] * 1e3:.0f} ms, longest {of['machine_longest'] * 1e3:.0f} ms)"
        )

    def late(self, bound: float) -> str | None:
        """What is wrong with latencies: p99 above `bound` seconds, or the longest above LONGEST.

        What the machine adds does not count: what broker and pair waited for a processor, and what
        a byte takes meanwhile.
        """
        for name, words, least in (("p99", "p99", bound), ("longest", "the longest", LONGEST)):
            found = self.figures.get(f"own_{name}", 0.0)
            allowed = least + self.figures.get(f"machine_{name}", 0.0)
            if found > allowed:
                return (
                    f"{words} of the pair is {found * 1e3:.0f} ms, and may be"
                    f" {allowed * 1e3:.0f} ms"
                )
        return None

    def end(self) -> None:
        """Have it take what is under way, and end."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self.problems.append("the pair did not end")
        self._thread.join(END_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        stdout = self._process.stdout
        for line in stdout or ():
            said = json.loads(line)
            if "problem" in said:
                self.problems.append(said["problem"])
            else:
                self.figures = said["figures"]
            self._begun.set()
        if not self.figures:
            self.problems.append("the pair did not begin")
        self._begun.set()
