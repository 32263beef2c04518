"""One measurement, from the first connection to the last message."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import trio

from tmqtt.bench.machine import BrokerProcess, Machine
from tmqtt.bench.marks import MARK_SIZE
from tmqtt.bench.plan import Job, Plan, shares
from tmqtt.bench.progress import progress_file
from tmqtt.bench.tally import Tally
from tmqtt.bench.workers import Workers, open_workers
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal import figures
from tmqtt.terminal.sentences import CommandError

_LEAD = 100_000_000  # nanoseconds from the word to the start, so that all workers have heard it
_LOOK = 0.1  # seconds
# Seconds without anything coming after which what is missing counts as lost.
_PATIENCE = 1.0
_FAREWELL = 2.0  # seconds that the last figures get when a person interrupts
# A worker process is busy for good above this share of a core, and a machine above that of all.
_BUSY_WORKER = 0.9
_BUSY_MACHINE = 0.95

CONNECTING, RUNNING, DRAINING = "connecting", "running", "waiting for the rest"


class Measurement:
    """A measurement; what came of it so far can be seen at any time.

    `process` is the broker's, where it runs on this machine.
    """

    def __init__(
        self, plan: Plan, connection: ConnectionOptions, process: BrokerProcess | None = None
    ) -> None:
        self.plan = plan
        self.process = process
        self.phase = CONNECTING
        self._connection = connection
        self._parts = shares(plan)
        self.tally = Tally(plan, len(self._parts))
        self._machine = Machine()
        self._machine_share = 0.0
        self._ready: set[int] = set()
        self._published: set[int] = set()
        self._ended: set[int] = set()
        self._failure: CommandError | None = None
        self._changed = trio.Event()
        self._cpu_before = self._cpu_after = 0.0
        self._memory_before = self._memory_after = 0

    @property
    def begun(self) -> bool:
        """Whether there is anything to tell."""
        return self.tally.start > 0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return max(time.monotonic_ns() - self.tally.start, 0) / 1e9 if self.begun else 0.0

    async def run(self, look: Callable[[Measurement], None]) -> None:
        """Measure; `look` is called several times a second.

        Raises CommandError where it does not come to that. When cancelled, it takes at most two
        seconds to gather what has been measured so far.
        """
        failed = False
        try:
            async with self._workers() as workers, trio.open_nursery() as nursery:
                nursery.start_soon(self._show, look)
                await self._all(self._ready)
                await self._measure(workers)
                nursery.cancel_scope.cancel()
        except* CommandError:
            failed = True
        if failed and self._failure is not None:
            raise self._failure  # by itself, not in the nurseries' groups

    async def _measure(self, workers: Workers) -> None:
        tally = self.tally
        if self.process is not None:
            self._memory_before = self.process.memory_bytes()
            self._cpu_before = self.process.cpu_seconds()
        self._machine.begin()
        tally.start = time.monotonic_ns() + _LEAD
        tally.ended_early = True  # until it has not been
        try:
            await workers.tell(go=tally.start)
            tally.loading = True
            self.phase = RUNNING
            await self._until_published()
            self._machine_share = self._machine.share()
            tally.loading = False
            self.phase = DRAINING
            await self._until_received()
            tally.ended_early = False
        finally:
            if tally.loading:
                self._machine_share = self._machine.share()
                tally.loading = False
            if self.process is not None:
                self._cpu_after = self.process.cpu_seconds()
                self._memory_after = self.process.memory_bytes()
            with trio.move_on_after(_FAREWELL, shield=True):
                await workers.tell(stop=True)
                await self._all(self._ended)

    async def _until_published(self) -> None:
        seconds = self.plan.seconds
        if self.plan.publishers:
            await self._all(self._published)
        elif self.plan.kind == "conn":
            await self._all(self._published)
            if seconds is not None:
                await trio.sleep(seconds)
        elif self.plan.count is not None:
            wanted = self.plan.count * self.plan.subscribers
            while self.tally.totals().received < wanted:
                await self._news()
        elif seconds is not None:
            await trio.sleep(seconds + _LEAD / 1e9)
        else:
            await trio.sleep_forever()

    async def _until_received(self) -> None:
        """Wait for what is still under way, as long as something comes."""
        if not self.plan.delivers:
            return
        received, since = -1, trio.current_time()
        while self.tally.outstanding() and trio.current_time() - since < _PATIENCE:
            now_received = self.tally.totals().received
            if now_received != received:
                received, since = now_received, trio.current_time()
            await trio.sleep(_LOOK)

    async def _all(self, said: set[int]) -> None:
        """Wait until all workers have said so."""
        while len(said) < len(self._parts):
            if self._failure is not None:
                raise self._failure
            await self._news()

    async def _news(self) -> None:
        """Wait until a worker says something. Raises what made it impossible to go on."""
        await self._changed.wait()
        if self._failure is not None:
            raise self._failure

    async def _show(self, look: Callable[[Measurement], None]) -> None:
        while True:
            look(self)
            await trio.sleep(_LOOK)

    # The workers.

    @asynccontextmanager
    async def _workers(self) -> AsyncIterator[Workers]:
        plan = self.plan
        with ExitStack() as stack:
            file = None
            if plan.delivers and plan.ahead:
                file = stack.enter_context(progress_file(plan.slots()))
            run = secrets.randbits(16)
            jobs = [
                Job(
                    plan=plan,
                    connection=self._connection,
                    run=run,
                    publishers=publishers,
                    subscribers=subscribers,
                    progress_file=file,
                )
                for publishers, subscribers in self._parts
            ]
            async with open_workers(jobs, self._hear) as workers:
                yield workers

    def _hear(self, number: int, said: dict[str, Any]) -> None:
        for name in ("figures", "ended"):
            if name in said:
                self.tally.take(number, said[name])
        if "ready" in said:
            self._ready.add(number)
        if "published" in said:
            self._published.add(number)
        if "ended" in said:
            self._ended.add(number)
        if "error" in said:
            self._fail(said["error"], said["code"])
        if "gone" in said and number not in self._ended:
            reason = said["gone"] or "it said nothing"
            self._fail(f"A worker process ended by itself: {reason}.", None)
            self._ended.add(number)
        self._changed.set()
        self._changed = trio.Event()

    def _fail(self, sentence: str, code: int | None) -> None:
        if self._failure is None:
            opened, wanted = self.tally.totals().opened, self.plan.clients
            if self.phase == CONNECTING and opened:
                sentence = f"{sentence} {opened} of {wanted} clients were connected by then."
            self._failure = CommandError(sentence, code or 1)

    # What came of it.

    def summary(self) -> dict[str, Any]:
        """All figures; the documentation describes each."""
        summary = self.tally.summary()
        summary["load"]["machine"] = round(self._machine_share, 3)
        summary["broker"] = self._broker(summary)
        return summary

    def _broker(self, summary: dict[str, Any]) -> dict[str, Any] | None:
        if self.process is None:
            return None
        cpu = max(self._cpu_after - self._cpu_before, 0.0)
        messages = summary["messages"]
        done = messages["received"] if self.plan.subscribers else messages["sent"]
        opened = summary["connections"]["opened"]
        seconds = summary["seconds"]
        conn = self.plan.kind == "conn"
        return {
            "pid": self.process.pid,
            "name": self.process.name,
            "cpu_seconds": round(cpu, 3),
            "cpu_share": round(cpu / seconds, 3) if seconds else None,
            "cpu_us_per_message": round(cpu / done * 1e6, 2) if done and not conn else None,
            "cpu_us_per_connection": round(cpu / opened * 1e6, 1) if opened and conn else None,
            "memory_bytes": self._memory_after,
            "memory_bytes_before": self._memory_before,
            "memory_bytes_per_connection": (
                round((self._memory_after - self._memory_before) / opened)
                if opened and conn
                else None
            ),
        }

    def warnings(self) -> list[str]:
        """What the person should know before they believe the figures."""
        found = []
        tally, totals = self.tally, self.tally.totals()
        busiest = tally.busiest()
        if busiest >= _BUSY_WORKER:
            found.append(
                f"The load itself was a bottleneck: one of its {len(self._parts)} processes took"
                f" {min(busiest, 1):.0%} of a core. The broker may do more than these figures say;"
                " try more --processes, on a machine with cores for them, or a --rate."
            )
        elif self._machine_share >= _BUSY_MACHINE:
            found.append(
                f"All cores of this machine were busy ({self._machine_share:.0%}): what runs here"
                " competed for them."
            )
        if self.plan.publishers and not self._marked():
            found.append(
                f"A payload of {self.plan.size} bytes is too small for the number and the time"
                " that a message carries (20 bytes): latency, repetition and order are not known."
            )
        rate = self.plan.rate
        if rate is not None and self.plan.publishers and tally.sending() > 1:
            reached = totals.sent / self.plan.publishers / tally.sending()
            if reached < 0.95 * rate:
                found.append(
                    f"The rate was not reached: {figures.rate(reached)} of {figures.rate(rate)}"
                    " messages a second for each publisher."
                )
        if tally.problem and not totals.lost_connections:
            found.append(tally.problem)
        return found

    def _marked(self) -> bool:
        return self.plan.size >= MARK_SIZE
