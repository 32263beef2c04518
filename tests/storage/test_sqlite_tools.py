"""The tools for the file of a broker that does not run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.storage.contract import (
    EARLIER,
    changes,
    delivery,
    message,
    retained,
    session,
    subscription,
)
from trio_mqtt import SqliteStorage, StoreError
from trio_mqtt.durability import (
    IdentifierRow,
    RetainedRow,
    Row,
    read_store,
    store_path,
    summarize_store,
    verify_store,
    write_store,
)
from trio_mqtt.storage.rows import NOTES

ROWS: list[Row] = [
    message(1),
    message(2, EARLIER),
    delivery(4, 1),
    delivery(4, 2, 3, is_released=1),
    IdentifierRow(4, 1),
    IdentifierRow(5, 0xFFFF),
    subscription(4),
    session(4, EARLIER),
    session(5, None, b"\x00will"),
    retained("a"),
    retained("b/c", b"", EARLIER),
]


@pytest.fixture
def path(tmp_path: Path) -> str:
    async def fill() -> None:
        storage = SqliteStorage(store_path(tmp_path))
        await storage.load()
        await storage.append(changes(*ROWS))
        await storage.close()

    trio.run(fill)
    return store_path(tmp_path)


def test_what_is_read_can_be_written_again(path: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    assert list(read_store(path, lambda done, total: told.append((done, total)))) == ROWS
    assert told[-1] == (len(ROWS), len(ROWS))
    copy = str(tmp_path / "copy" / "broker.sqlite3")
    assert write_store(copy, read_store(path)) == len(ROWS)
    assert list(read_store(copy)) == ROWS
    assert verify_store(copy) == []


def test_a_summary_counts_all_rows(path: str) -> None:
    summary = summarize_store(path)
    assert summary.path == path
    assert summary.size == os.path.getsize(path)
    assert summary.free == 0
    assert summary.rows == {
        "messages": 2,
        "deliveries": 2,
        "identifiers": 2,
        "subscriptions": 1,
        "sessions": 2,
        "retained": 2,
        "notes": 0,
    }


def test_what_a_broker_notes_for_itself_is_no_retained_message(tmp_path: Path) -> None:
    path = str(tmp_path / "broker.sqlite3")
    note = RetainedRow(f"{NOTES}ban", b"{}", 0, 1.0, b"", None)
    write_store(path, [note, note._replace(topic="a"), note._replace(topic="")])
    counts = summarize_store(path).rows
    assert (counts["retained"], counts["notes"]) == (2, 1)
    assert note in read_store(path)
    assert verify_store(path) == []


def test_a_folder_names_its_file_and_a_file_itself(path: str, tmp_path: Path) -> None:
    assert store_path(tmp_path) == str(tmp_path / "broker.sqlite3")
    assert store_path(path) == path


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "broker.sqlite3")
    write_store(path, [delivery(1, 1), subscription(2), session(1), session(3)])
    assert verify_store(path) == [
        "There are deliveries without their message (1).",
        "There are subscriptions without their session (1).",
    ]


def test_damage_is_told(path: str) -> None:
    with open(path, "r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    assert verify_store(path)
    with open(path, "r+b") as file:
        file.write(b"\xff" * 4096)
    assert verify_store(path) == ["It cannot be read: file is not a database."]
    for call in (summarize_store, lambda path: list(read_store(path))):
        with pytest.raises(StoreError, match=r"is damaged \(.*\)\. A broker that starts"):
            call(path)


def test_what_holds_something_is_not_written_over(path: str) -> None:
    with pytest.raises(StoreError, match="holds something already"):
        write_store(path, [])
    assert list(read_store(path)) == ROWS


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        yield session(1)
        raise ValueError

    path = tmp_path / "broker.sqlite3"
    with pytest.raises(ValueError, match=r"^$"):
        write_store(path, rows())
    assert not list(tmp_path.iterdir())


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite3"
    with pytest.raises(StoreError, match=r"There is no .*broker\.sqlite3"):
        verify_store(path)
    assert not path.exists()


async def test_a_running_broker_has_it_for_itself(tmp_path: Path) -> None:
    storage = SqliteStorage(store_path(tmp_path))
    await storage.load()
    with pytest.raises(StoreError, match="is in use by another broker"):
        summarize_store(storage.path)
    await storage.close()
