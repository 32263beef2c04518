"""The connections of a worker: opened, kept, and listened to."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

import trio_mqtt
from tmqtt.bench.counters import Measured
from tmqtt.bench.marks import read_mark
from tmqtt.bench.pacing import Pace
from tmqtt.bench.plan import Job
from tmqtt.bench.tracking import Track
from tmqtt.connecting.opening import open_connection
from tmqtt.terminal.output import Output
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.streams import STDERR
from tmqtt.terminal.terminal import Terminal

# Connections that are being opened at a time in one process.
_OPENING = 8
# Messages that wait in a subscriber: far more than a broker's queue, so that a burst is the
# broker's to carry and not this end's.
_BUFFER = 100_000


# What ends a client for good.
Failure = trio_mqtt.MqttError | CommandError


class _Silent(Terminal):
    """Nobody is told what becomes of each of a thousand connections: that is counted."""

    def say(self, sentence: str) -> None:
        """Say nothing."""

    def pass_by(self, sentence: str) -> None:
        """Say nothing."""


def _silent() -> Terminal:
    return _Silent(Output(STDERR, lambda: None), Output(STDERR, lambda: None))


@dataclass(slots=True)
class Bench:
    """What the clients of one worker share."""

    job: Job
    progress: memoryview | None
    terminal: Terminal = field(default_factory=_silent)
    measured: Measured = field(default_factory=Measured)
    opening: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(_OPENING))
    # The publishers' clients, by index, and how many of all clients are ready.
    clients: dict[int, trio_mqtt.Client] = field(default_factory=dict)
    ready: int = 0
    failure: Failure | None = None
    failed: int = 0  # before the start
    started: bool = False
    # Processor time and monotonic time of the last report.
    looked_at: tuple[float, float] = field(
        default_factory=lambda: (time.process_time(), time.monotonic())
    )
    changed: trio.Event = field(default_factory=trio.Event)

    def is_ready(self) -> None:
        """One more client is."""
        self.ready += 1
        self._tell()

    def fail(self, error: Failure) -> None:
        """A client has ended by itself: a failure before the start, afterwards a figure."""
        measured = self.measured
        if not self.started:
            self.failure = self.failure or error
            self.failed += 1
        else:
            measured.totals.lost_connections += 1
            measured.note(str(error))
        self._tell()

    def start(self) -> None:
        """All were ready: those that have ended since then were lost."""
        self.started = True
        if self.failure is not None:
            self.measured.totals.lost_connections += self.failed
            self.measured.note(str(self.failure))

    async def all_ready(self) -> None:
        """Wait for all clients of the job. Raises the first failure."""
        wanted = len(self.job.publishers) + len(self.job.subscribers)
        while self.failure is None and self.ready < wanted:
            await self.changed.wait()
        if self.failure is not None:
            raise self.failure

    def _tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


def _connection(bench: Bench, name: str) -> AbstractAsyncContextManager[trio_mqtt.Client]:
    options = replace(bench.job.connection, client_id=f"bench-{bench.job.run:04x}-{name}")
    return open_connection(options, bench.terminal, reconnect=False)


@asynccontextmanager
async def _opened(bench: Bench, name: str) -> AsyncIterator[trio_mqtt.Client]:
    async with AsyncExitStack() as stack:
        async with bench.opening:
            client = await stack.enter_async_context(_connection(bench, name))
        bench.measured.totals.opened += 1
        yield client


async def keep_publisher(bench: Bench, index: int) -> None:
    """Have a client ready for a publisher, until cancelled."""
    try:
        async with _opened(bench, f"p{index}") as client:
            bench.clients[index] = client
            bench.is_ready()
            await trio.sleep_forever()
    except (trio_mqtt.MqttError, CommandError) as error:
        bench.fail(error)
    finally:
        bench.clients.pop(index, None)


async def keep_subscriber(bench: Bench, index: int) -> None:
    """Subscribe, and take account of all that comes, until cancelled."""
    plan = bench.job.plan
    try:
        async with (
            _opened(bench, f"s{index}") as client,
            client.subscribe(
                plan.filter_of(index), qos=plan.qos, buffer=_BUFFER, unsubscribe=False
            ) as messages,
        ):
            bench.is_ready()
            await _receive(bench, index, messages)
    except (trio_mqtt.MqttError, CommandError) as error:
        bench.fail(error)


async def _receive(bench: Bench, index: int, messages: trio_mqtt.Messages) -> None:
    plan = bench.job.plan
    measured = bench.measured
    totals = measured.totals
    add_latency = measured.delivery.add
    monotonic = time.monotonic_ns
    progress = bench.progress
    tracks: dict[int, Track] = {}
    run = bench.job.run
    async for message in messages:
        payload = message.payload
        now = measured.last_received = monotonic()
        totals.received += 1
        totals.received_bytes += len(payload)
        marked = read_mark(payload)
        if marked is None:
            totals.unmarked += 1
            continue
        who, number, due = marked
        track = tracks.get(who)
        if track is None:
            # Where the publishers are this run's, the first message is 0; of others nobody knows.
            track = tracks[who] = Track(0 if who >> 16 == run else number)
        if number == track.expected:
            track.expected = number + 1
        else:
            _out_of_order(bench, track, number)
        if not message.retain:  # a retained one has waited for this subscriber
            add_latency(now - due)
        if progress is not None:
            progress[plan.slot(who & 0xFFFF, index)] = track.expected & 0xFFFFFFFF


def _out_of_order(bench: Bench, track: Track, number: int) -> None:
    totals = bench.measured.totals
    missing, reordered, repeated = track.missing, track.reordered, track.repeated
    track.take(number)
    totals.missing += track.missing - missing
    totals.reordered += track.reordered - reordered
    totals.repeated += track.repeated - repeated


async def open_and_keep(bench: Bench, index: int, pace: Pace | None) -> None:
    """Open a connection when it is due, measure how long that takes, and keep it."""
    measured = bench.measured
    if pace is not None:
        due = pace.due
        pace.take()
        await trio.sleep(max(due - time.monotonic_ns(), 0) / 1e9)
    asked = time.monotonic_ns()
    opened = False
    try:
        async with AsyncExitStack() as stack:
            async with bench.opening:
                # Without a rate, the queue for the opening is this end's own doing.
                begun = time.monotonic_ns() if pace is None else asked
                await stack.enter_async_context(_connection(bench, f"c{index}"))
            opened = True
            measured.last_sent = time.monotonic_ns()
            measured.connection.add(measured.last_sent - begun)
            measured.totals.opened += 1
            bench.is_ready()
            await trio.sleep_forever()
    except (trio_mqtt.MqttError, CommandError) as error:
        measured.note(str(error))
        if opened:
            measured.totals.lost_connections += 1
        else:
            measured.totals.refused_connections += 1
            bench.is_ready()
