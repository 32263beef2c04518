"""A worker process of a measurement: it is told what to do by its stdin, and reports by its stdout.

In comes the job, pickled, then lines of JSON: `{"go": MOMENT}`, `{"stop": true}`, `{"end": true}`.
Out go lines of JSON: `{"ready": N}` as connections stand, `{"figures": …}` several times a second,
`{"published": true}`, `{"ended": …}` last, or `{"error": SENTENCE}`. When its stdin ends, so does
the worker: it never outlives the process that started it, however that ended.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import signal
import sys
import time
from typing import Any

import trio

import trio_mqtt
from tmqtt.bench.clients import Bench, Failure, keep_publisher, keep_subscriber, open_and_keep
from tmqtt.bench.pacing import Pace
from tmqtt.bench.plan import Job
from tmqtt.bench.progress import open_progress
from tmqtt.bench.publishing import Publisher
from tmqtt.terminal.sentences import CommandError

REPORT_EVERY = 0.25  # seconds


def main() -> None:
    """Be a worker until told to end, or until nobody is there to tell."""
    # Ctrl-C is for the process that the person started; it tells its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    size = int.from_bytes(sys.stdin.buffer.read(8), "big")
    data = sys.stdin.buffer.read(size)
    if not data or len(data) < size:
        return
    job: Job = pickle.loads(data)  # noqa: S301 # from the process that started this one
    # Messages leave no cycles behind, and the collector would look at all the clients hold.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        with open_progress(job.progress_file) as progress:
            trio.run(_work, Bench(job, progress))
    except BrokenPipeError:
        os._exit(0)  # nobody is there to tell


class _Reporter:
    """Writes lines to stdout, which the parent always reads."""

    def __init__(self) -> None:
        self._out = os.dup(1)

    def tell(self, **said: Any) -> None:
        data = memoryview(json.dumps(said).encode() + b"\n")
        while data:
            data = data[os.write(self._out, data) :]


class _Orders:
    """What the parent says, by name."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}
        self._changed = trio.Event()

    async def listen(self, everything: trio.CancelScope) -> None:
        """Take lines until stdin ends, which ends everything."""
        held = b""
        while data := await trio.to_thread.run_sync(os.read, 0, 65_536, abandon_on_cancel=True):
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                self._said.update(json.loads(line))
            self._changed.set()
            self._changed = trio.Event()
        everything.cancel()

    async def wait(self, name: str) -> int:
        while name not in self._said:
            await self._changed.wait()
        return int(self._said[name])


async def _work(bench: Bench) -> None:
    reporter = _Reporter()
    orders = _Orders()
    async with trio.open_nursery() as everything:
        everything.start_soon(orders.listen, everything.cancel_scope)
        everything.start_soon(_report, bench, reporter)
        try:
            if bench.job.plan.kind == "conn":
                await _connect(bench, orders, reporter)
            else:
                await _exchange(bench, orders, reporter)
        except (trio_mqtt.MqttError, CommandError) as error:
            code = error.code if isinstance(error, CommandError) else None
            reporter.tell(error=str(error), code=code)
        everything.cancel_scope.cancel()


async def _connect(bench: Bench, orders: _Orders, reporter: _Reporter) -> None:
    plan, job = bench.job.plan, bench.job
    reporter.tell(ready=0)
    start = await orders.wait("go")
    bench.start()
    async with trio.open_nursery() as connections:
        pace = None
        if plan.rate is not None:
            share = plan.rate * len(job.subscribers) / plan.subscribers
            pace = Pace(start, share)
        await trio.sleep(max(start - time.monotonic_ns(), 0) / 1e9)
        for index in job.subscribers:
            connections.start_soon(open_and_keep, bench, index, pace)
        await bench.all_ready()
        reporter.tell(published=True)
        await orders.wait("stop")
        reporter.tell(ended=_figures(bench))
        await orders.wait("end")
        connections.cancel_scope.cancel()


async def _exchange(bench: Bench, orders: _Orders, reporter: _Reporter) -> None:
    job = bench.job
    failure: Failure | None = None
    async with trio.open_nursery() as connections:
        for index in job.subscribers:
            connections.start_soon(keep_subscriber, bench, index)
        for index in job.publishers:
            connections.start_soon(keep_publisher, bench, index)
        try:
            await bench.all_ready()
        except (trio_mqtt.MqttError, CommandError) as error:
            failure = error
            connections.cancel_scope.cancel()
        else:
            await _run(bench, orders, reporter)
            connections.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _run(bench: Bench, orders: _Orders, reporter: _Reporter) -> None:
    reporter.tell(ready=bench.ready)
    start = await orders.wait("go")
    bench.start()
    async with trio.open_nursery() as publishing:
        publishing.start_soon(_cancel_when_told, orders, publishing.cancel_scope)
        async with trio.open_nursery() as publishers:
            for index, client in list(bench.clients.items()):
                publishers.start_soon(Publisher(bench, client, index).run, start)
        publishing.cancel_scope.cancel()
    reporter.tell(published=True, figures=_figures(bench))
    await orders.wait("stop")
    reporter.tell(ended=_figures(bench))
    await orders.wait("end")
    if bench.job.plan.retain:
        await _remove_retained(bench)


async def _remove_retained(bench: Bench) -> None:
    for index, client in list(bench.clients.items()):
        try:
            await client.publish(bench.job.plan.topic_of(index), b"", retain=True)
        except trio_mqtt.MqttError:
            continue  # it has gone, and the broker with it


async def _cancel_when_told(orders: _Orders, scope: trio.CancelScope) -> None:
    await orders.wait("stop")
    scope.cancel()


async def _report(bench: Bench, reporter: _Reporter) -> None:
    while True:
        await trio.sleep(REPORT_EVERY)
        reporter.tell(figures=_figures(bench))


def _figures(bench: Bench) -> dict[str, Any]:
    """Running totals; latencies and processor time since the last call."""
    measured = bench.measured
    cpu, wall = bench.looked_at
    bench.looked_at = time.process_time(), time.monotonic()
    return {
        "totals": measured.totals.as_dict(),
        "latencies": measured.latencies(),
        "last_received": measured.last_received,
        "last_sent": measured.last_sent,
        "cpu": bench.looked_at[0] - cpu,
        "wall": bench.looked_at[1] - wall,
        "problem": measured.problem,
    }


if __name__ == "__main__":
    main()
