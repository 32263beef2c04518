"""Thousands of clients come and go, slow ones among them, and the settings are read again.

Meanwhile the memory of the broker stays flat after a warm-up, and a pair of clients does not
notice. In the end all descriptors are back. `SOAK_SECONDS=1800` goes on for half an hour; `-s`
shows the figures.

Memory is what is resident, as the kernel counts it: the collector has the thresholds of the
command, so that what is not freed by reference counting shows. It is flat where the least of the
last part of the time is not above the least after the warm-up by more than GROWTH, which is for the
allocator and for tables that double.
"""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.beside.broker import WatchedBroker, replace_file, toml
from tests.beside.figures import (
    MIB,
    cpu_seconds,
    descriptors,
    descriptors_back,
    lowest,
    resident,
    slope,
)
from tests.beside.watching import WatchedPair
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Subscribe, Subscription

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
# The warm-up ends when nearly all have come and each slow client has been ended once: by then all
# queues have been full. How long that takes depends on the machine.
MOST_CONNECTED = 0.8
LONGEST_WARM_UP = 900.0  # seconds: beside other tests it took 288
MEASURED = 30.0  # seconds after the warm-up, at least
CLIENTS, SLOW = 2_000, 40
GROWTH = 8 * MIB
P99 = 0.05  # seconds for the pair's messages, beside what the machine adds
RELOAD_SECONDS = 5.0  # between two reloads
SETTLE = 60.0  # seconds until all that was open is closed
LIMITS: dict[str, object] = {
    "maximum_queued_bytes": "256 KiB",
    "maximum_packet_size": "16 MiB",
    "maximum_retained_messages": 100,
    "write_timeout": 10,
    "maximum_session_expiry": 60,
    "maximum_keep_alive": 900,
}
_RULES = "".join(
    f"topic readwrite {name}\n" for name in ("crowd/#", "once/#", "all", "flood/#", "pair/#")
)
V5 = ProtocolVersion.V5

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is read from /proc"
)


class Crowd:
    """The process of the crowd, and what it last said."""

    def __init__(self, port: int, clients: int) -> None:
        self.said: dict[str, Any] = {}
        options = ("--clients", str(clients), "--slow", str(SLOW))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.crowd", str(port), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def turns(self) -> Counter[str]:
        """How often each kind has come."""
        return Counter(self.said.get("turns", {}))

    def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(SETTLE)
        finally:
            self._process.kill()
        self._thread.join(SETTLE)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.said = json.loads(line)


class Gate:
    """A rule that is in the access file, or not: whether a reload has come to effect."""

    def __init__(self, path: Path, broker: WatchedBroker) -> None:
        self._path = path
        self._broker = broker
        self._is_open = False
        self.reloads = 0
        self.longest = 0.0

    def turn(self) -> None:
        """Change the rule, have the broker read it again, and wait until it holds."""
        self._is_open = not self._is_open
        replace_file(self._path, _RULES + "topic readwrite gate\n" * self._is_open)
        seconds = 900 + self._is_open  # a limit of another value each time
        text = self._broker.configuration.read_text()
        replace_file(
            self._broker.configuration,
            re.sub(r"(maximum_keep_alive = )\d+", rf"\g<1>{seconds}", text),
        )
        self._broker.reload()
        began = time.monotonic()
        while self._lets_in() is not self._is_open:
            assert time.monotonic() - began < SETTLE, "the broker does not read its files again"
            time.sleep(0.05)
        self.longest = max(self.longest, time.monotonic() - began)
        self.reloads += 1

    def _lets_in(self) -> bool:
        with socket.create_connection(("127.0.0.1", self._broker.ports[0]), SETTLE) as client:
            client.sendall(
                encode(Connect("gate"), V5) + encode(Subscribe(1, [Subscription("gate")]), V5)
            )
            data = b""
            while (at := data.find(b"\x90")) < 0 or len(data) < at + 2 + data[at + 1]:
                more = client.recv(4_096)
                assert more, "the broker has closed"
                data += more
            return data[at + 1 + data[at + 1]] < 0x80


def clients_possible() -> int:
    """As many as this machine lets one process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CLIENTS if hard == resource.RLIM_INFINITY else min(CLIENTS, hard - 300)


def test_a_crowd_comes_and_goes(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text(_RULES)
    configuration = '[[listeners]]\nurl = "mqtt://127.0.0.1:0"\n\n' + "".join((
        toml("access", {"rules": str(rules), "allow_anonymous": True}),
        toml("storage", {"path": str(tmp_path / "data"), "durability": "commit"}),
        toml("limits", LIMITS),
    ))  # fmt: skip
    clients = clients_possible()
    with WatchedBroker(tmp_path, configuration, "--log-level", "info") as broker:
        pid = broker.pid
        with WatchedPair(broker, rate=60) as pair:
            gate = Gate(rules, broker)
            gate.turn()
            before = descriptors(pid)
            crowd = Crowd(broker.ports[0], clients)
            samples: list[tuple[float, float]] = []
            most_connected = 0
            warm_up: float | None = None
            next_reload = 0.0
            began, elapsed = time.monotonic(), 0.0
            while warm_up is None or elapsed < max(SECONDS, warm_up + MEASURED):
                size = lowest(pid, 1)
                elapsed = time.monotonic() - began
                most_connected = max(most_connected, crowd.said.get("connected", 0))
                if warm_up is not None:
                    samples.append((elapsed, size))
                elif most_connected > clients * MOST_CONNECTED and crowd.turns["slow"] >= SLOW:
                    warm_up = elapsed
                assert warm_up or elapsed < LONGEST_WARM_UP, (
                    f"the crowd does not come: {crowd.said}"
                )
                if elapsed > next_reload:
                    next_reload = elapsed + RELOAD_SECONDS
                    gate.turn()
                assert (problem := broker.problem()) is None, problem
                assert not pair.problems
            used, load = cpu_seconds(pid), cpu_seconds(crowd.pid)
            crowd.end()
            left = descriptors_back(pid, before, SETTLE)
        at_rest = resident(pid)
        assert (problem := broker.problem()) is None, problem
        assert broker.stop() == 0
    part = max(5, len(samples) // 4)
    first = min(size for _, size in samples[:part])
    last = min(size for _, size in samples[-part:])
    turns = crowd.turns
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(turns.items()))
    report = "; ".join((
        f"{elapsed:.0f} s, {warm_up:.0f} of them to warm up",
        f"up to {most_connected} clients at once, {sum(turns.values())} came and went ({kinds})",
        f"memory {first / MIB:.1f} MiB after the warm-up, {last / MIB:.1f} MiB at the end",
        f"{slope(samples) * 60 / MIB:+.2f} MiB a minute, {at_rest / MIB:.1f} MiB when all had gone",
        f"descriptors {before} before, {left} after",
        f"{gate.reloads} reloads, the longest {gate.longest:.2f} s",
        f"processor {used:.1f} s, the crowd's {load:.1f} s",
        pair.words,
    ))  # fmt: skip
    print(f"\n{report}")  # noqa: T201
    assert not crowd.said["failures"], crowd.said["failures"]
    assert last - first < GROWTH, report
    assert left <= before, report
    assert not pair.problems, pair.problems
    assert pair.late(P99) is None, f"{pair.late(P99)}; {report}"
