"""Killed at any moment, a process leaves whole groups, and all that `append` has returned for."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from tests.storage.contract import in_order
from tests.storage.killed import group
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import Kept
from trio_mqtt.storage.sqlite import Durability, SqliteStorage

ROUNDS = 12


class Model:
    """What is kept after each group."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self.number = 0

    async def after(self, number: int) -> Kept:
        while self.number < number:
            self.number += 1
            await self._storage.append(group(self.number))
        return in_order(await self._storage.load())


def last_group(kept: Kept) -> int:
    return next((int(row.payload) for row in kept.retained if row.topic == "last"), 0)


def killed(path: Path, durability: Durability, first: int, groups: int, seconds: float) -> int:
    """Have a process append from this group on, and kill it so many seconds after it said that so
    many are durable; the last that it said is.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.killed", str(path), durability, str(first)],
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        said = b"".join(process.stdout.readline() for _ in range(groups))
        time.sleep(seconds)
        process.kill()
        said += process.stdout.read()
    return int(said.rpartition(b"\n")[0].split()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["fsync", "commit"])
def test_whole_groups_are_there_and_none_is_lost(tmp_path: Path, durability: Durability) -> None:
    async def load() -> Kept:
        storage = SqliteStorage(tmp_path / "broker.sqlite3", durability)
        kept = in_order(await storage.load())
        await storage.close()
        return kept

    chance = random.Random(durability)  # noqa: S311
    model = Model()
    last = 0
    for _ in range(ROUNDS):
        groups, seconds = chance.randint(1, 20), chance.uniform(0, 0.02)
        said = killed(tmp_path / "broker.sqlite3", durability, last + 1, groups, seconds)
        kept = trio.run(load)
        last = last_group(kept)
        assert last in (said, said + 1)
        assert kept == trio.run(model.after, last)
    assert last > 5 * ROUNDS
