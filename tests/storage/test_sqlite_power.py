"""When the power fails, at any moment, all that was durable is there, in whole groups."""

from __future__ import annotations

import random
from pathlib import Path
from typing import get_args

import pytest
import trio

from tests.storage import power
from tests.storage.contract import changes, in_order, retained
from tests.storage.killed import group
from tests.storage.test_sqlite_killed import last_group
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import Changes, Kept
from trio_mqtt.storage.sqlite import SqliteStorage
from trio_mqtt.storage.sqlite_file import BrokerFile

GROUPS = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not power.is_possible(), reason="SQLite is part of this Python"),
]


def great_group(number: int) -> Changes:
    """With so much that SQLite moves its log into the file now and then, and pages come free."""
    made = group(number)
    if number % 3 == 0:
        made.retained |= changes(retained(f"great/{number}", bytes([number]) * 400_000)).retained
        made.retained[f"great/{number - 9}"] = None
    return made


async def states(groups: int) -> list[Kept]:
    """What is kept after each group."""
    storage = MemoryStorage()
    found = [await storage.load()]
    for number in range(1, groups + 1):
        await storage.append(great_group(number))
        found.append(in_order(await storage.load()))
    return found


def workload(folder: Path, synchronous: str) -> tuple[power.Disk, list[power.Event]]:
    """A disk with a file that is open, and what happens to it then."""
    folder.mkdir()
    with power.recorded(str(folder)) as events:
        file = BrokerFile(str(folder / "broker.sqlite3"), synchronous=synchronous)
        file.load(None)
        disk = power.Disk({path.name: path.read_bytes() for path in folder.iterdir()})
        events.clear()
        for number in range(1, GROUPS + 1):
            file.append(great_group(number))
            events.append(power.Promise(number))
            if number % 10 == 0:
                while file.tidy() is not None:
                    pass
        done = events.copy()
        file.close()
    return disk, done


async def load(folder: Path, files: dict[str, bytearray]) -> Kept:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    storage = SqliteStorage(folder / "broker.sqlite3")
    kept = in_order(await storage.load())
    await storage.close()
    return kept


def missing(folder: Path, synchronous: str, cuts: int) -> list[int]:
    """At each cut, how many groups are not there that should be; those that are, are whole."""
    disk, events = workload(folder / "running", synchronous)
    assert {type(event) for event in events} == set(get_args(power.Event))
    assert {event.file for event in events if isinstance(event, power.Sync)} == {
        "broker.sqlite3",
        "broker.sqlite3-wal",
    }
    (folder / "found").mkdir()
    expected = trio.run(states, GROUPS)
    chance = random.Random(synchronous)  # noqa: S311
    places = set(chance.sample(range(len(events)), cuts))
    found = []
    for place, event in enumerate(events):
        disk.play(event)
        if place in places:
            kept = trio.run(load, folder / "found", disk.after_power_failed(chance))
            assert kept.damage == ""
            number = last_group(kept)
            assert number <= disk.promised + 1
            assert kept == expected[number]
            found.append(max(disk.promised - number, 0))
    return found


def test_every_cut_leaves_what_was_promised(tmp_path: Path) -> None:
    assert missing(tmp_path, "FULL", 400) == [0] * 400


def test_what_is_not_synced_is_missed(tmp_path: Path) -> None:
    # That is what `commit` is: whole groups, without the last.
    assert any(missing(tmp_path, "NORMAL", 100))
