"""What a storage in SQLite says where it cannot keep something, and how it goes on."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import pytest
import trio

from tests.storage.contract import changes, delivery, in_order, message, retained, session
from trio_mqtt import StoreError
from trio_mqtt.storage import sqlite_schema, sqlite_tables
from trio_mqtt.storage.rows import Kept
from trio_mqtt.storage.sqlite import SqliteStorage


def execute(storage: SqliteStorage, statement: str) -> None:
    """In its own connection, while it rests."""
    assert storage._file is not None
    storage._file.database.execute(statement)


async def opened(folder: Path) -> SqliteStorage:
    storage = SqliteStorage(folder / "broker.sqlite3")
    await storage.load()
    return storage


async def kept(storage: SqliteStorage) -> Kept:
    await storage.close()
    kept = in_order(await storage.load())
    await storage.close()
    return kept


async def test_a_full_disk_keeps_nothing_of_the_group_and_recovers(tmp_path: Path) -> None:
    storage = await opened(tmp_path)
    await storage.append(changes(session(1), retained("a")))
    execute(storage, "PRAGMA max_page_count = 40")
    great = changes(
        retained("a", b"off"),
        *[row for number in range(1, 2000) for row in (message(number), delivery(1, number))],
    )
    for _ in range(2):
        with pytest.raises(
            StoreError,
            match=r"broker\.sqlite3 cannot be written \(database or disk is full\)\. Its disk is",
        ):
            await storage.append(great)
    # What fits is kept meanwhile.
    await storage.append(changes(retained("b")))
    execute(storage, "PRAGMA max_page_count = 1000000")
    great.retained["c"] = retained("c")
    await storage.append(great)
    found = await kept(storage)
    assert found.retained == [retained("a", b"off"), retained("b"), retained("c")]
    assert len(found.messages) == len(found.deliveries) == 1999


# A limit to the size of files is as near as a test gets to a disk that has no room.
_LIMITED = """
import resource, sys, trio
from tests.storage.contract import changes, retained
from trio_mqtt import StoreError
from trio_mqtt.storage.sqlite import SqliteStorage

async def main():
    storage = SqliteStorage(sys.argv[1])
    await storage.load()
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    number = 0
    while True:
        number += 1
        try:
            await storage.append(changes(retained(f"a/{number}", bytes(10_000))))
        except StoreError as error:
            print(error)
            break
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await storage.append(changes(*[retained(f"a/{each}", b"") for each in (number, number + 1)]))
    await storage.close()
    print(number)

trio.run(main)
"""


@pytest.mark.posix
async def test_who_has_left_something_is_told_where_that_cannot_be_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(database: sqlite3.Connection, now: float) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    storage = await opened(tmp_path)
    await storage.append(changes(session(3), session(7), message(1), delivery(7, 1)))
    execute(storage, "DELETE FROM sessions WHERE number = 7")
    await storage.close()
    monkeypatch.setattr(sqlite_tables, "forget_what_ended", full)
    found = await storage.load()
    assert ([one.number for one in found.sessions], found.deliveries) == ([3], [])
    assert found.last_session == 7
    await storage.close()
    monkeypatch.undo()
    assert await kept(storage) == Kept([], [], [], [], [session(3)], [])


async def test_a_write_that_fails_is_told_and_what_comes_later_is_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "broker.sqlite3")
    ran = await trio.run_process([sys.executable, "-c", _LIMITED, path], capture_stdout=True)
    said, number = ran.stdout.decode().splitlines()
    assert said == (
        f"{path} cannot be written (disk I/O error). Is its disk full, or failing?"
    ) or said.endswith("(database or disk is full). Its disk is full: make room there.")
    found = in_order(await SqliteStorage(path).load())
    assert {row.topic for row in found.retained} == {
        f"a/{each}" for each in range(1, int(number) + 2)
    }


async def test_what_may_not_be_written_says_so(tmp_path: Path) -> None:
    storage = await opened(tmp_path)
    execute(storage, "PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"\(attempt to write a readonly database\)\. Let this"):
        await storage.append(changes(session(1)))
    execute(storage, "PRAGMA query_only = OFF")
    await storage.append(changes(session(2)))
    assert (await kept(storage)).sessions == [session(2)]


async def test_a_path_that_cannot_be_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path, why in (
        ("file/broker.sqlite3", r"file/broker\.sqlite3 cannot be opened \(.*\)\. Check its folder"),
        ("folder", r"folder cannot be opened \(unable to open database file\)\. Check its folder"),
    ):
        with pytest.raises(StoreError, match=why):
            await SqliteStorage(tmp_path / path).load()


async def test_it_is_loaded_before_it_keeps(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "broker.sqlite3")
    with pytest.raises(StoreError, match="is not open"):
        await storage.append(changes(session(1)))
    await storage.close()


async def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    database.close()
    with pytest.raises(StoreError, match=r"not what a broker keeps\. Choose another path"):
        await SqliteStorage(path).load()
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == [
        ("photos",)
    ]


async def test_a_newer_file_is_refused_with_the_version_that_wrote_it(tmp_path: Path) -> None:
    storage = await opened(tmp_path)
    execute(storage, "UPDATE about SET trio_mqtt = '7.1'")
    execute(storage, "PRAGMA user_version = 99")
    await storage.close()
    with pytest.raises(StoreError, match=r"was written by trio-mqtt 7\.1, whose version 99"):
        await storage.load()
    assert os.listdir(tmp_path) == ["broker.sqlite3"]


async def test_an_older_file_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = await opened(tmp_path)
    await storage.append(changes(session(1), retained("a")))
    await storage.close()
    steps = (
        *sqlite_schema.STEPS,
        "CREATE TABLE more (one INTEGER);",
        "INSERT INTO more VALUES (1); UPDATE retained SET payload = x'6f6666';",
    )
    monkeypatch.setattr(sqlite_schema, "STEPS", steps)
    found = await storage.load()
    assert found.retained == [retained("a", b"off")]
    await storage.close()
    monkeypatch.undo()
    with pytest.raises(StoreError, match="whose version 3 of it this one"):
        await storage.load()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = await opened(tmp_path)
    await storage.append(changes(retained("a"), retained("b")))
    await storage.close()
    with monkeypatch.context() as patch:
        steps = (*sqlite_schema.STEPS, "CREATE UNIQUE INDEX one ON retained (qos);")
        patch.setattr(sqlite_schema, "STEPS", steps)
        with pytest.raises(
            StoreError, match=r"cannot be made into .* \(UNIQUE constraint failed: retained\.qos\)"
        ):
            await storage.load()
    assert (await storage.load()).retained == [retained("a"), retained("b")]
    await storage.close()
