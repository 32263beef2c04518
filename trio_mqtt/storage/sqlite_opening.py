"""Files of SQLite: made so that only their owner may read them, opened, locked, explained."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from trio_mqtt.errors import StoreError

_PATIENCE = 0.5  # seconds for a broker that is ending to let go of the file
_KEPT_OF_LOG = 16 * 1024 * 1024  # bytes, to which the log of SQLite shrinks


def open_database(path: str) -> sqlite3.Connection:
    """The file at `path`, or a new one. Raises StoreError."""
    make(path)
    try:
        return sqlite3.connect(
            path,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} cannot be opened ({error}). Check its folder and who may write there."
        ) from error


def lock(database: sqlite3.Connection, synchronous: str) -> None:
    """From now on the file is this program's alone, until it is closed. Raises sqlite3.Error."""
    run = database.execute
    run("PRAGMA locking_mode = EXCLUSIVE")
    run("PRAGMA cell_size_check = ON")
    run("PRAGMA auto_vacuum = INCREMENTAL")
    run("PRAGMA journal_mode = WAL")
    run(f"PRAGMA synchronous = {synchronous}")
    run("PRAGMA fullfsync = ON")  # macOS: what it calls fsync leaves it to the disk
    run(f"PRAGMA journal_size_limit = {_KEPT_OF_LOG}")
    run("BEGIN IMMEDIATE")
    run("COMMIT")


def free(database: sqlite3.Connection, pages: int) -> None:
    """Have so many pages that are free be given back, at the next checkpoint."""
    # As a script, which runs to its end: otherwise it frees one page.
    database.executescript(f"PRAGMA incremental_vacuum({pages})")


def cut(database: sqlite3.Connection) -> None:
    """Have the file be as long as what is in it."""
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All that is done within, or nothing of it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # some failures end it themselves
            database.execute("ROLLBACK")
        raise


def make(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    try:
        if not os.path.isdir(folder):
            _make_folder(folder)
        # Only where there is none: closing a file lets go of all locks that this process has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened ({(error.strerror or str(error)).lower()})."
            " Check its folder and who may write there."
        ) from error


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is to blame: not the disk, nor who may write there."""
    return _code(error) in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_FORMAT,
    )


def _make_folder(folder: str) -> None:
    """Make it, and what it is in, as durable as what is kept there."""
    parent = os.path.dirname(folder)
    os.makedirs(parent, exist_ok=True)
    os.mkdir(folder, 0o700)
    if os.name == "posix":
        descriptor = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_REMEDIES = {
    sqlite3.SQLITE_FULL: "Its disk is full: make room there.",
    sqlite3.SQLITE_IOERR: "Is its disk full, or failing?",
    sqlite3.SQLITE_READONLY: "Let this user write there.",
    sqlite3.SQLITE_CANTOPEN: "Check its folder and who may write there.",
    sqlite3.SQLITE_CORRUPT: "End the broker and start it: it keeps what can be read.",
}


def sentence(path: str, done: str, error: sqlite3.Error) -> str:
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return (
            f"{path} is in use by another broker. Stop that one, or choose another path: each"
            " broker needs a file of its own."
        )
    return f"{path} cannot be {done} ({error}). {_REMEDIES.get(code, 'Is its disk all right?')}"
