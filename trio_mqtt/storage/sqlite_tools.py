"""What tools do with the file of a broker that does not run: look into it, and move what it keeps.

All of it blocks, and raises StoreError where the file is in use, damaged or not there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from trio_mqtt.errors import StoreError
from trio_mqtt.storage.rows import NOTES, Progress, Row
from trio_mqtt.storage.sqlite_file import BrokerFile
from trio_mqtt.storage.sqlite_opening import is_damage
from trio_mqtt.storage.sqlite_tables import TABLES, Table, stored, table_of

_AT_ONCE = 10_000  # rows


def store_path(folder: str | os.PathLike[str]) -> str:
    """The file in a broker's `--data` folder; what is no folder is such a file itself."""
    path = os.fspath(folder)
    is_file = os.path.exists(path) and not os.path.isdir(path)
    return path if is_file else os.path.join(path, "broker.sqlite3")


class StoreSummary(NamedTuple):
    """What a broker's file holds; sizes are in bytes."""

    path: str
    written_by: str
    """The version of trio-mqtt that used it last."""
    size: int
    free: int
    """What the file does not need of its size, and gives back when there is time."""
    rows: dict[str, int]
    """How many there are of each kind: messages, deliveries, sessions, retained, notes …"""


def summarize_store(path: str | os.PathLike[str]) -> StoreSummary:
    """What the file at `path` holds, without reading it."""
    with _opened(path) as file:
        run = file.database.execute
        return StoreSummary(
            file.path,
            str(run("SELECT trio_mqtt FROM about").fetchone()[0]),
            os.path.getsize(file.path),
            run("PRAGMA freelist_count").fetchone()[0] * run("PRAGMA page_size").fetchone()[0],
            _counts(file),
        )


def verify_store(path: str | os.PathLike[str], progress: Progress | None = None) -> list[str]:
    """What is wrong with the file at `path`, a sentence for each; none if all is right.

    It reads all of it: the structure, each row, and what rows say of each other.
    """
    try:
        return _problems(path, progress)
    except StoreError as error:
        if isinstance(error.__cause__, sqlite3.Error) and is_damage(error.__cause__):
            return [f"It cannot be read: {error.__cause__}."]
        raise


def _problems(path: str | os.PathLike[str], progress: Progress | None) -> list[str]:
    with _opened(path) as file:
        run = file.database.execute
        problems = [
            str(line)
            for (found,) in run("PRAGMA integrity_check(100)")
            for line in str(found).splitlines()
            if line not in ("ok", "*** in database main ***")
        ]
        if problems:
            return problems
        for _ in _rows(file, progress):
            pass
        for statement, words in _RELATIONS:
            count = run(f"SELECT count(*) FROM {statement}").fetchone()[0]  # noqa: S608
            if count:
                problems.append(f"{words} ({count:,}).")
        return problems


_RELATIONS = (
    (
        "deliveries WHERE NOT is_released AND message NOT IN (SELECT number FROM messages)",
        "There are deliveries without their message",
    ),
    (
        "subscriptions WHERE session NOT IN (SELECT number FROM sessions)",
        "There are subscriptions without their session",
    ),
    (
        "(SELECT client_id FROM sessions GROUP BY client_id HAVING count(*) > 1)",
        "There are clients with more than one session",
    ),
)


def read_store(path: str | os.PathLike[str], progress: Progress | None = None) -> Iterator[Row]:
    """Each row in the file at `path`, as it stands there: also what has expired."""
    with _opened(path) as file:
        yield from _rows(file, progress)


def write_store(path: str | os.PathLike[str], rows: Iterable[Row]) -> int:
    """Write rows to a file that is new, or empty: all or none. Returns how many."""
    path = os.fspath(path)
    is_new = not os.path.exists(path)
    try:
        with _opened(path, must_exist=False) as file:
            if any(_count(file, table) for table in TABLES):
                raise StoreError(f"{path} holds something already. Choose another place.")
            with file.filling() as fill:
                return _write(rows, fill)
    except BaseException:
        if is_new:  # nothing is in it
            for suffix in ("", "-wal"):
                if os.path.exists(path + suffix):
                    os.remove(path + suffix)
        raise


def _write(rows: Iterable[Row], fill: Callable[[Table, list[Any]], None]) -> int:
    waiting: dict[Table, list[Any]] = {table: [] for table in TABLES}
    count = 0
    for row in rows:
        table = table_of(row)
        some = waiting[table]
        some.append(stored(row))
        count += 1
        if len(some) == _AT_ONCE:
            fill(table, some)
            some.clear()
    for table, some in waiting.items():
        fill(table, some)
    return count


@contextmanager
def _opened(path: str | os.PathLike[str], *, must_exist: bool = True) -> Iterator[BrokerFile]:
    path = os.fspath(path)
    if must_exist and not os.path.exists(path):
        raise StoreError(f"There is no {path}. A broker makes it.")
    try:
        file = BrokerFile(path, synchronous="FULL")
        try:
            yield file
        finally:
            file.close()
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} is damaged ({error}). A broker that starts with it keeps what can be read."
        ) from error


def _rows(file: BrokerFile, progress: Progress | None) -> Iterator[Row]:
    total = sum(_count(file, table) for table in TABLES)
    done = 0
    for table in TABLES:
        selection = f"SELECT {', '.join(table.columns)} FROM {table.name}"  # noqa: S608
        with closing(file.database.execute(selection)) as cursor:
            while some := cursor.fetchmany(_AT_ONCE):
                done += len(some)
                if progress is not None:
                    progress(done, total)
                for row in some:
                    yield table.make(row)


def _counts(file: BrokerFile) -> dict[str, int]:
    """The rows of each table; what the broker notes for itself is no retained message."""
    counts = {table.name: _count(file, table) for table in TABLES}
    statement = "SELECT count(*) FROM retained WHERE topic >= ? AND topic < ?"
    between = (NOTES, chr(ord(NOTES) + 1))
    notes = int(file.database.execute(statement, between).fetchone()[0])
    return counts | {"retained": counts["retained"] - notes, "notes": notes}


def _count(file: BrokerFile, table: Table) -> int:
    statement = f"SELECT count(*) FROM {table.name}"  # noqa: S608
    return int(file.database.execute(statement).fetchone()[0])
