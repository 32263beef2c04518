"""A damaged file of a broker is set aside, and what can be read of it is in a new one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any, get_type_hints

from trio_mqtt.storage import sqlite_schema
from trio_mqtt.storage.sqlite_tables import DELIVERIES, IDENTIFIERS, TABLES, Table

_PAGE = 4096  # bytes, as SQLite has them
_HIGHEST = 1 << 62
# Even the text of an error may come from what is damaged.
_FAILURES = (sqlite3.Error, UnicodeDecodeError)
# Beside the file and its log what SQLite may have left.
_SUFFIXES = ("", "-wal", "-journal")
_RANGES: dict[str, range] = {
    "qos": range(3),
    "packet_id": range(0x10000),
    "number": range(1, _HIGHEST),
    "message": range(1, _HIGHEST),
    "session": range(1, _HIGHEST),
}


def replacement(path: str) -> str:
    """Where the new file grows. Once the damaged one is set aside, it is whole."""
    return f"{path}.salvaged"


def put_in_place(path: str) -> str:
    """Set the damaged file aside and have the new one in its place; where the damaged one is."""
    aside = set_aside(path)
    os.rename(replacement(path), path)
    return aside


def set_aside(path: str) -> str:
    """Have a damaged file and its log be elsewhere, beside where they were; where that is."""
    aside = name = f"{path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while os.path.exists(aside):  # the second within a second
        number += 1
        aside = f"{name}-{number}"
    for suffix in reversed(_SUFFIXES):  # the file last: until then it is whole with its log
        with suppress(FileNotFoundError):
            os.rename(path + suffix, aside + suffix)
    return aside


def finish_replacing(path: str) -> None:
    """See to what a process has left that ended while it put a new file in place."""
    if os.path.exists(path):
        _remove(replacement(path))
    elif os.path.exists(replacement(path)):
        os.rename(replacement(path), path)


def readable(path: str) -> dict[Table, list[Any]]:
    """The rows of each table that can be read, as they stand there."""
    # The first page says where all else is, and what. Ours are alike: it is lent from a new file.
    copy = f"{path}.copy"
    try:
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                shutil.copyfile(path + suffix, copy + suffix)
        os.chmod(copy, 0o600)
        _mend_first_page(copy)
        found, mended = _readable(path), _readable(copy)
    finally:
        _remove(copy)
    return {table: max(found[table], mended[table], key=len) for table in TABLES}


def _mend_first_page(path: str) -> None:
    new = f"{path}-new"
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as database:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            database.executescript("".join(sqlite_schema.STEPS))
        with open(new, "rb") as file:
            page = bytearray(file.read(_PAGE))
        with open(path, "r+b") as file:
            pages = os.path.getsize(path) // _PAGE
            page[28:32] = pages.to_bytes(4, "big")  # size of the file
            page[32:40] = bytes(8)  # free pages: none are known
            page[92:96] = page[24:28]  # the size is right
            file.write(page)
    finally:
        _remove(new)


def _remove(path: str) -> None:
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            os.remove(path + suffix)


def _readable(path: str) -> dict[Table, list[Any]]:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as database:
        database.text_factory = _text
        with suppress(*_FAILURES):
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA cell_size_check = ON")
            database.execute("PRAGMA writable_schema = ON")  # what is wrong there stops nothing
        return {table: list(_sound(table, _rows(database, table))) for table in TABLES}


def _text(stored: bytes) -> str:
    return stored.decode(errors="surrogateescape")  # which no sound text has


def _rows(database: sqlite3.Connection, table: Table) -> Iterator[tuple[Any, ...]]:
    """All rows that can be read; over those that cannot it goes on with the next."""
    key = "message" if table is DELIVERIES else "rowid"
    statement = (
        f"SELECT {key}, {', '.join(table.columns)} FROM {table.name} NOT INDEXED"  # noqa: S608
        f" WHERE {key} > ? ORDER BY {key}"
    )
    after = 0

    def has_next(after: int) -> bool:
        """Whether a row after this can be read, or there is none."""
        try:
            database.execute(f"{statement} LIMIT 1", (after,)).fetchone()
        except _FAILURES:
            return False
        return True

    step = 1
    while after < _HIGHEST:
        before = after
        try:
            for row in database.execute(statement, (after,)):
                if isinstance(row[0], int):
                    after = max(after, row[0])  # in order, unless that is what is damaged
                    yield row[1:]
        except _FAILURES:
            step = 1 if after > before else step * 2  # it may be there, and lead nowhere
            after = _first(after, step, has_next)
        else:
            return


def _first(after: int, step: int, has_next: Callable[[int], bool]) -> int:
    """The nearest number behind `after`, by a step at least, where reading goes on."""
    while not has_next(after + step):
        step *= 2
        if after + step >= _HIGHEST:
            return _HIGHEST
    low, high = after + step // 2, after + step
    while high - low > 1:
        middle = (low + high) // 2
        if has_next(middle):
            high = middle
        else:
            low = middle
    return high


def _sound(table: Table, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Those rows whose values may be what they are for."""
    types: list[Any] = [int]
    if table is not IDENTIFIERS:
        types = list(get_type_hints(table.row).values())
    ranges = [_RANGES.get(name) for name in table.columns]
    for row in rows:
        try:
            for value, kind, within in zip(row, types, ranges, strict=True):
                if not isinstance(value, kind) or (within is not None and value not in within):
                    raise ValueError
                if isinstance(value, str):
                    value.encode()
        except ValueError:
            continue
        yield row
