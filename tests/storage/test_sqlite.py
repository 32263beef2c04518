"""The storage in SQLite: what all storages keep to, and its file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import trio

from tests.storage.contract import StorageContract, changes, delivery, message, session
from trio_mqtt import StoreError
from trio_mqtt.storage.rows import Changes, Storage
from trio_mqtt.storage.sqlite import Durability, SqliteStorage


class SqliteContract(StorageContract):
    durability: Durability

    def storage(self, folder: Path) -> Storage:
        return SqliteStorage(folder / "data" / "broker.sqlite3", self.durability)

    def next(self, storage: Storage) -> Storage:
        assert isinstance(storage, SqliteStorage)
        return SqliteStorage(storage.path, storage.durability)


class TestWithFsync(SqliteContract):
    durability: Durability = "fsync"


class TestWithCommit(SqliteContract):
    durability: Durability = "commit"


@pytest.mark.posix
async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "data" / "broker.sqlite3")
    await storage.load()
    files = list((tmp_path / "data").iterdir())
    assert files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    await storage.close()


@pytest.mark.slow
async def test_the_file_shrinks_when_what_it_held_has_gone(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "broker.sqlite3")
    await storage.load()
    numbers = range(1, 20_001)
    rows = [row for number in numbers for row in (message(number), delivery(1, number))]
    await storage.append(changes(session(1), *rows))
    gone = Changes()
    gone.sessions[1] = None  # and its deliveries with it, which nobody names
    gone.messages = dict.fromkeys(numbers)
    await storage.append(gone)
    assert sum(sizes(tmp_path)) > 2_500_000
    with trio.fail_after(30):
        while sum(sizes(tmp_path)) > 1_500_000:
            await trio.sleep(0.05)
            # Also beside a broker that is never idle for long.
            await storage.append(changes(session(2)))
    await storage.close()
    assert sum(sizes(tmp_path)) < 1_500_000


def sizes(folder: Path) -> list[int]:
    return [file.stat().st_size for file in folder.iterdir()]


async def test_a_second_broker_is_refused(tmp_path: Path) -> None:
    first, second = (SqliteStorage(tmp_path / "broker.sqlite3") for _ in range(2))
    await first.load()
    with pytest.raises(StoreError, match=r"broker\.sqlite3 is in use by another broker\. Stop"):
        await second.load()
    await first.close()
    await second.load()
    await second.close()


def test_durability_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'fsnc': write 'fsync' or 'commit'"):
        SqliteStorage(tmp_path / "broker.sqlite3", "fsnc")  # type: ignore[arg-type]
