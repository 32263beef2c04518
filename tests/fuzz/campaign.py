"""Cases against one broker for a while, beside a pair of clients that must not notice."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import trio
import trustme

from tests.beside.broker import WatchedBroker, replace_file, toml
from tests.beside.figures import MIB, cpu_seconds, descriptors, descriptors_back, lowest, resident
from tests.beside.watching import WatchedPair
from tests.fuzz.cases import Case
from tests.fuzz.executor import play
from tests.fuzz.expectations import LIMITS, METRICS, MOUNT_POINT, MOUNTED
from tests.fuzz.generator import make_case
from tests.fuzz.oracle import is_accepted, judge
from trio_mqtt.access import set_password

AT_ONCE = 48  # cases
RELOAD_SECONDS = 3.0  # between two times that the settings are read again
LOOK = 0.25  # seconds between two looks at the broker
P99 = 0.25  # seconds for the pair's messages, beside what the machine adds
# Bytes that the broker may grow by after the warm-up: its caches of topics, and what the allocator
# does not give back.
GROWTH = 24 * MIB
MEMORY = 400 * MIB  # at any time
WARM_UP = 20.0  # seconds, or a third of the time
# Seconds until all sessions, wills and connections have ended, and what was theirs is given back.
SETTLE = 30.0
MOST_FOUND = 3  # cases that are told: after the first one the others only come to their ends
ENOUGH = 1_000  # cases in which each listener has let in somebody
SUSPECTS = 80  # cases that may have to do with a failure of the process
SUSPICION_SECONDS = 60.0  # in which they are played again, one by one

WITH_TLS = ("mqtts", "wss", "any")
# What holds at one listener alone.
_BELOW = f"""\
mount_point = "{MOUNT_POINT}"
limits.maximum_message_rate_in = 1000
limits.maximum_byte_rate_in = "300 KiB"
limits.maximum_message_rate_out = 1000
limits.maximum_in_flight = 5
options.maximum_qos = 1
options.shared_subscription_available = false
access.rules = "below"
"""
_ACCESS_BELOW = f"topic readwrite {MOUNT_POINT}#\ntopic read secret/#\n"
_ACCESS = """\
topic readwrite fuzz/#
topic write drop/#
topic read $SYS/#
pattern readwrite own/%c/#

user ann
topic readwrite fuzz/#

user pair
topic readwrite pair/#
topic write secret/#
"""


@dataclass
class Found:
    """What was wrong, and the file of the case that shows it, if there is one."""

    problems: list[str]
    path: Path | None = None


@dataclass
class Outcome:
    """What a campaign has done and found."""

    seed: int
    cases: int = 0
    seconds: float = 0.0
    found: list[Found] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    # Clients that were let in, by listener: those that are turned away test little.
    accepted: Counter[str] = field(default_factory=Counter)
    figures: str = ""


class Setting:
    """A broker with what may be attacked: listeners of all kinds, rules, passwords, a storage."""

    def __init__(self, folder: Path, defect: str | None = None) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        certificate = trustme.CA().issue_cert("localhost", "127.0.0.1")
        pem = folder / "server.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
        rules, users = folder / "access", folder / "users"
        rules.write_text(_ACCESS)
        (folder / "below").write_text(_ACCESS_BELOW)
        for user in ("pair", "ann"):
            set_password(users, user, user.encode(), create=True)
        names = ("mqtt", "ws", "mqtts", "wss", "any", MOUNTED)
        listeners = "".join(
            f'[[listeners]]\nurl = "{"mqtt" if name == MOUNTED else name}://127.0.0.1:0"\n'
            + (f"tls.certificate = {json.dumps(str(pem))}\n" if name in WITH_TLS else "")
            + (_BELOW if name == MOUNTED else "")
            for name in names
        )
        configuration = listeners + "".join((
            toml("access", {
                "rules": str(rules), "passwords": str(users), "allow_anonymous": True,
                "scram.users.ann": "ann",
            }),
            toml("storage", {"path": str(folder / "data"), "durability": "commit"}),
            toml("metrics", {"listen": "127.0.0.1:0", "timeout": 4}),
            toml("limits", LIMITS),
        ))  # fmt: skip
        self._turns = 0
        self._rules = rules
        self._configuration = configuration
        self.broker = WatchedBroker(folder, configuration, "--log-level", "info", defect=defect)
        self.ports = dict(zip(names, self.broker.ports, strict=False))
        self.ports[METRICS] = self.broker.metrics_port

    def reload(self) -> None:
        """Have the broker read its settings again, with a rule and a limit that are others."""
        self._turns += 1
        replace_file(self._rules, _ACCESS + "topic read more/#\n" * (self._turns % 2))
        limits = {**LIMITS, "maximum_retained_messages": 300 + self._turns % 2}
        replace_file(
            self.broker.configuration,
            self._configuration.replace(toml("limits", LIMITS), toml("limits", limits)),
        )
        self.broker.reload()

    def unanswered(self) -> str | None:
        """What is wrong with the answers to who watches the broker."""
        for path in ("/healthz", "/metrics"):
            connection = HTTPConnection("127.0.0.1", self.ports[METRICS], timeout=SETTLE)
            try:
                connection.request("GET", path)
                status = connection.getresponse().status
            except (OSError, HTTPException) as error:
                return f"{path} is not answered: {error!r}"
            finally:
                connection.close()
            if status != 200:
                return f"{path} is answered by {status}"
        return None


class Campaign:
    """One run of a seed for so many seconds; what fails is written to `folder`."""

    def __init__(self, seed: int, seconds: float, folder: Path, defect: str | None = None) -> None:
        self.outcome = Outcome(seed)
        self._seconds = seconds
        self._folder = folder
        self._defect = defect
        self._numbers = itertools.count()
        self._running: dict[int, Case] = {}
        self._recent: deque[Case] = deque(maxlen=SUSPECTS)
        self._suspects: list[Case] = []
        self._samples: list[tuple[float, int]] = []
        self._setting: Setting

    async def run(self) -> Outcome:
        outcome = self.outcome
        began = time.monotonic()
        self._setting = Setting(self._folder / "broker", self._defect)
        broker = self._setting.broker
        try:
            with WatchedPair(broker, user="pair", rate=60) as pair:
                before = descriptors(broker.pid)
                os.nice(10)  # the load comes after what it is to load
                await self._attack(pair)
                outcome.cases = sum(outcome.kinds.values())
                if not outcome.found:
                    self._settle(before)
                    self._look_at_reach()
            self._look_at_pair(pair, at_end=True)
            used = cpu_seconds(broker.pid) if broker.process.poll() is None else 0.0
            if broker.stop() and not outcome.found:
                self._found([f"the broker ends with an error:\n{broker.log_end()}"])
            memory = ", ".join(f"{size / MIB:.0f}" for _, size in self._samples[::40])
            outcome.figures = (
                f"{pair.words}; the broker: {used:.1f} s of the processor, memory {memory} MiB"
            )
        finally:
            broker.stop()
        if self._suspects:
            await self._find_culprit()
        outcome.seconds = time.monotonic() - began
        return outcome

    async def _attack(self, pair: WatchedPair) -> None:
        end = time.monotonic() + self._seconds
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(self._work, end)
            next_reload = time.monotonic() + RELOAD_SECONDS
            while time.monotonic() < end and not self.outcome.found:
                await trio.sleep(LOOK)
                self._look(pair)
                if time.monotonic() > next_reload and not self.outcome.found:
                    next_reload += RELOAD_SECONDS
                    self._setting.reload()
            nursery.cancel_scope.deadline = trio.current_time() + SETTLE
            if self.outcome.found:
                nursery.cancel_scope.cancel()

    async def _work(self, end: float) -> None:
        """Play one case after the other."""
        while time.monotonic() < end and not self.outcome.found:
            case = make_case(self.outcome.seed, next(self._numbers))
            self._running[case.number] = case
            played = await play(case, self._setting.ports)
            del self._running[case.number]
            self._recent.append(case)
            self.outcome.kinds[case.kind] += 1
            self.outcome.accepted.update(one.script.port for one in played if is_accepted(one))
            problems = [problem for one in played for problem in judge(one)]
            is_running = self._setting.broker.process.poll() is None
            if problems and is_running and len(self.outcome.found) < MOST_FOUND:
                self._found(problems, case)

    def _look(self, pair: WatchedPair) -> None:
        broker = self._setting.broker
        problem = broker.problem()
        if problem is not None:
            self._found([problem], suspects=True)
            return
        now = resident(broker.pid)
        self._samples.append((time.monotonic(), now))
        if now > MEMORY:
            self._found([f"the broker takes {now / MIB:.0f} MiB"], suspects=True)
        self._look_at_pair(pair)

    def _look_at_pair(self, pair: WatchedPair, *, at_end: bool = False) -> None:
        problems = list(pair.problems)
        if at_end and (late := pair.late(P99)):
            problems.append(late)
        if problems and not self.outcome.found:
            self._found(problems)

    def _settle(self, before: int) -> None:
        """All have gone: so must be what was theirs."""
        broker = self._setting.broker
        left = descriptors_back(broker.pid, before, SETTLE)
        if left > before:
            self._found([f"{left} descriptors are open, {before} were before"])
        warm = min(WARM_UP, self._seconds / 3)
        start = self._samples[0][0] + warm if self._samples else 0.0
        warmed = [size for at, size in self._samples if start <= at <= start + warm]
        if warmed:
            time.sleep(LIMITS["maximum_session_expiry"] + 1)
            left = lowest(broker.pid, 2)
            if left > min(warmed) + GROWTH:
                self._found([
                    (f"the broker takes {left / MIB:.0f} MiB when all have gone,"
                    f" {min(warmed) / MIB:.0f} MiB after the first {warm:.0f} s")
                ])  # fmt: skip
        problem = broker.problem()
        if problem is not None:
            self._found([problem], suspects=True)
        elif (problem := self._setting.unanswered()) is not None:
            self._found([problem])

    def _look_at_reach(self) -> None:
        """Whether there were clients that were let in, everywhere: else nothing was tested."""
        missing = self._setting.ports.keys() - self.outcome.accepted.keys() - {METRICS}
        if missing and self.outcome.cases > ENOUGH:
            self._found([f"nobody was let in at {', '.join(sorted(missing))}"])

    def _found(
        self, problems: list[str], case: Case | None = None, *, suspects: bool = False
    ) -> None:
        found = Found(problems)
        self.outcome.found.append(found)
        if case is not None:
            self._write(found, case)
        elif suspects:
            # The last first.
            self._suspects = [*self._running.values(), *reversed(self._recent)]

    async def _find_culprit(self) -> None:
        """Which of the last cases it was that the process did not bear, if one does it alone."""
        setting = Setting(self._folder / "again", self._defect)
        try:
            with trio.move_on_after(SUSPICION_SECONDS):
                for case in self._suspects:
                    await play(case, setting.ports)
                    await trio.sleep(LOOK / 5)
                    if (problem := setting.broker.problem()) is not None:
                        found = self.outcome.found[0]
                        found.problems.append(f"alone: {problem}")
                        self._write(found, case)
                        return
        finally:
            setting.broker.stop()

    def _write(self, found: Found, case: Case) -> None:
        found.path = self._folder / f"case-{case.seed}-{case.number}.json"
        case.write(found.path, found.problems)


async def replay(case: Case, folder: Path, defect: str | None = None) -> list[str]:
    """Play one case against a broker of its own; what was wrong."""
    setting = Setting(folder, defect)
    try:
        with WatchedPair(setting.broker, user="pair") as pair:
            played = await play(case, setting.ports)
            await trio.sleep(LOOK)
        problems = [problem for one in played for problem in judge(one)] + pair.problems
        problem = setting.broker.problem()
        return problems if problem is None else [*problems, problem]
    finally:
        setting.broker.stop()
