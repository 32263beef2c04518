"""kill -9 of a program that publishes with a store, at any moment, loses nothing it accepted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus
from anyio.from_thread import start_blocking_portal

import trio_mqtt

KILLS = 25


class Arrived:
    """What has come to a subscriber of our broker."""

    def __init__(self) -> None:
        self.url = ""
        self.numbers: dict[int, list[int]] = {1: [], 2: []}


async def collect(
    arrived: Arrived, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    async with (
        trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker,
        trio_mqtt.open_client(broker.url) as client,
        client.subscribe("killed/+", qos=2) as messages,
    ):
        arrived.url = broker.url
        task_status.started()
        async for message in messages:
            arrived.numbers[int(message.topic[-1])].append(int(message.payload))


@contextmanager
def collecting() -> Iterator[Arrived]:
    arrived = Arrived()
    with start_blocking_portal("trio") as portal:
        running, _ = portal.start_task(partial(collect, arrived))
        try:
            yield arrived
        finally:
            running.cancel()


def wait_for(arrived: Arrived, expected: dict[int, set[int]]) -> None:
    """What the broker has acknowledged is on its way to the subscriber."""
    deadline = time.monotonic() + 60
    while any(not expected[qos] <= set(arrived.numbers[qos]) for qos in expected):
        assert time.monotonic() < deadline, "messages that were accepted have not come"
        time.sleep(0.01)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_nothing_that_was_accepted_is_lost_and_qos_2_comes_once(
    backend: str, tmp_path: Path
) -> None:
    chance = random.Random(5)  # noqa: S311 # the same each time
    accepted: set[int] = set()
    with (
        collecting() as arrived,
        subprocess.Popen(
            [sys.executable, "-m", "tests.client.session.store.killed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        ) as program,
    ):
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            for run in [*range(KILLS), -1]:
                first = 100_000 * run if run >= 0 else -1
                store = tmp_path / "client.db"
                program.stdin.write(f"{backend} {arrived.url} {store} {first}\n".encode())
                child = int(program.stdout.readline().split()[1])
                left = chance.randrange(60) if run >= 0 else None
                while (line := program.stdout.readline().split())[0] != b"ended":
                    accepted.add(int(line[0]))
                    if left == 0:
                        os.kill(child, signal.SIGKILL)
                    left = None if left is None else left - 1
                assert int(line[1]) == (signal.SIGKILL if run >= 0 else 0)
            expected = {qos: {n for n in accepted if n % 2 == qos % 2} for qos in (1, 2)}
            wait_for(arrived, expected)
        finally:
            program.stdin.close()
    assert len(accepted) > KILLS
    for qos in (1, 2):
        assert expected[qos] <= set(arrived.numbers[qos])
        in_order = list(dict.fromkeys(arrived.numbers[qos]))
        assert in_order == sorted(in_order)
    assert max(Counter(arrived.numbers[2]).values()) == 1
