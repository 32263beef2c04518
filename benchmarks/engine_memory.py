"""What a cluster's engine takes for sessions that are away, and messages that wait for them.

`python -m benchmarks.engine_memory` opens so many durable sessions at a node and lets them go, then
publishes to one of them, and prints by how much the engine's own figure of its memory has grown.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from benchmarks import processes
from benchmarks.clustered import Engine, running_engine
from trio_mqtt import Cluster, open_broker, open_client

_EXPIRY = 86_400  # seconds
_AT_ONCE = 50  # clients
_URL = "mqtt://127.0.0.1:0"


def used(engine: Engine) -> int:
    """Bytes that the engine has in use, what it needs for itself included."""
    for line in engine.ask("info", "memory").splitlines():
        name, _, value = line.partition(b":")
        if name == b"used_memory":
            return int(value)
    raise RuntimeError("The engine does not say what memory it uses.")


@asynccontextmanager
async def _node(engine: Engine, name: str) -> AsyncIterator[str]:
    async with open_broker(_URL, cluster=Cluster(url=engine.url, name=name)) as broker:
        yield broker.url


async def _sessions(url: str, numbers: range, *, own_filters: bool) -> None:
    """Open sessions with a subscription each, and let their clients go."""
    left = iter(numbers)

    async def open_some() -> None:
        for number in left:
            topic = f"site/{number:08}/command" if own_filters else "site/all"
            client_id = f"device-{number:08}"
            async with (
                open_client(
                    url, client_id=client_id, clean_start=False, session_expiry_interval=_EXPIRY
                ) as client,
                client.subscribe(topic, qos=1, unsubscribe=False),
            ):
                pass

    async with trio.open_nursery() as nursery:
        for _ in range(_AT_ONCE):
            nursery.start_soon(open_some)


async def _publish(url: str, count: int, window: int, size: int) -> None:
    """Publish so many messages to one topic, and wait for PUBACK after each `window`."""
    async with open_client(url) as client:
        for start in range(0, count, window):
            some = range(start, min(start + window, count))
            await client.publish_many((("site/all", bytes(size)) for _ in some), qos=1)


async def _measure(count: int, size: int) -> None:
    cores = processes.choose_cores() or (0, 0)
    with running_engine(cores[0], aof=False) as engine:
        for own_filters in (True, False):
            async with _node(engine, f"sessions-{own_filters}") as url:
                await _sessions(url, range(100), own_filters=own_filters)
                before = used(engine)
                await _sessions(url, range(100, 100 + count), own_filters=own_filters)
                which = "a topic filter of its own" if own_filters else "one filter for all"
                _say(f"a session that is away, {which}", engine, before, count)
        for window in (1, 64):
            async with _node(engine, f"messages-{window}") as url:
                await _sessions(url, range(1), own_filters=False)
                await _publish(url, 100, window, size)
                before = used(engine)
                await _publish(url, count, window, size)
                which = "alone" if window == 1 else f"{window} at a time"
                _say(f"a message of {size} bytes in a log, {which}", engine, before, count)


def _say(what: str, engine: Engine, before: int, count: int) -> None:
    print(f"{what}: {(used(engine) - before) / count:,.0f} bytes", flush=True)


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="sessions, and messages")
    parser.add_argument("--size", type=int, default=64, help="bytes of a message")
    options = parser.parse_args()
    trio.run(_measure, options.count, options.size)


if __name__ == "__main__":
    main()
