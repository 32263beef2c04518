"""The worker processes, owned by the process that measures: they end with it, however it ends."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from tmqtt.bench.plan import Job
from tmqtt.terminal.sentences import CommandError

_GOODBYE = 3.0  # seconds that workers have to disconnect

# What a worker says, by name, handed on with its number.
Listener = Callable[[int, dict[str, Any]], None]


class Workers:
    """The processes that stand. `open_workers` makes them."""

    def __init__(self, processes: Sequence[trio.Process]) -> None:
        self._processes = processes

    async def tell(self, **order: Any) -> None:
        """Tell all of them."""
        line = json.dumps(order).encode() + b"\n"
        for process in self._processes:
            if process.stdin is not None:
                try:
                    await process.stdin.send_all(line)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    continue  # it has ended, and what it said last tells why


@asynccontextmanager
async def open_workers(jobs: Sequence[Job], listener: Listener) -> AsyncIterator[Workers]:
    """A process for each job; `listener` is called with each line that one says.

    The last it hears of each is `{"gone": …}`, whose value is what the process complained of.
    Leaving the context ends them.
    """
    processes: list[trio.Process] = []
    try:
        for job in jobs:
            processes.append(await _start(job))
        async with trio.open_nursery() as nursery:
            for number, process in enumerate(processes):
                nursery.start_soon(_listen, number, process, listener)
            yield Workers(processes)
            with trio.move_on_after(_GOODBYE):
                await Workers(processes).tell(end=True)
                for process in processes:
                    await process.wait()
            nursery.cancel_scope.cancel()
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
        with trio.CancelScope(shield=True):
            for process in processes:
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream is not None:
                        await trio.aclose_forcefully(stream)
                await process.wait()


async def _start(job: Job) -> trio.Process:
    # In a group of its own, Ctrl-C does not reach it. What can be imported here can be there, and
    # nothing else: not what lies in the present folder.
    options: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
    try:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-P", "-m", "tmqtt.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            **options,
        )
    except OSError as error:
        raise CommandError(f"No worker process can be started: {error.strerror}.") from error
    data = pickle.dumps(job)
    if process.stdin is not None:
        try:
            await process.stdin.send_all(len(data).to_bytes(8, "big") + data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has ended already: `_listen` tells
        except BaseException:
            process.kill()
            raise
    return process


async def _listen(number: int, process: trio.Process, listener: Listener) -> None:
    complaint = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_gather, process.stderr, complaint)
        held = b""
        if process.stdout is not None:
            async for data in process.stdout:
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    listener(number, json.loads(line))
    words = complaint.decode(errors="replace").strip().splitlines()
    listener(number, {"gone": words[-1] if words else ""})


async def _gather(stream: trio.abc.ReceiveStream | None, into: bytearray) -> None:
    """Keep the end of what comes."""
    if stream is not None:
        async for data in stream:
            into += data
            del into[:-4096]
