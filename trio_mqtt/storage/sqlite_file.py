"""A broker's file of SQLite, open and locked. All calls block; one thread makes them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from trio_mqtt.errors import StoreError
from trio_mqtt.storage import sqlite_schema, sqlite_tables
from trio_mqtt.storage.rows import Changes, Kept, Progress
from trio_mqtt.storage.sqlite_tables import Table

_SWEPT_AT_ONCE = 10_000  # rows
_FREED_AT_ONCE = 256  # pages
_FREE = 256  # pages of 4 KiB, which may be free: the next messages use them again
_KEPT_OF_LOG = 16 * 1024 * 1024  # bytes, to which the log of SQLite shrinks
_PATIENCE = 0.5  # seconds for a broker that is ending to let go of the file


class BrokerFile:
    """The file, which no other program can use meanwhile."""

    def __init__(self, path: str, *, synchronous: str) -> None:
        """Open the file at `path`, or make one that only its owner may read.

        Raises StoreError, whose text says what is wrong with the file and what to do, and
        sqlite3.DatabaseError where it is damaged.
        """
        self.path = path
        self._swept: int | None = None  # the message up to which sweeping has come
        self._sweep_again = False
        self._is_freeing = False
        _make(path)
        try:
            self.database = sqlite3.connect(
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
        try:
            with self._explained("opened"):
                self._open(synchronous)
        except BaseException:
            self.database.close()
            raise

    def _open(self, synchronous: str) -> None:
        run = self.database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA cell_size_check = ON")
        run("PRAGMA auto_vacuum = INCREMENTAL")
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {synchronous}")
        run("PRAGMA fullfsync = ON")  # macOS: what it calls fsync leaves it to the disk
        run(f"PRAGMA journal_size_limit = {_KEPT_OF_LOG}")
        run("BEGIN IMMEDIATE")
        run("COMMIT")  # from here on the file is this program's
        sqlite_schema.prepare(self.database, self.path)

    def load(self, progress: Progress | None) -> Kept:
        """Everything, without what has expired.

        Raises sqlite3.DatabaseError where the file is damaged.
        """
        with self._explained("read"):
            # A fifth of the time that reading takes, and better now than when clients are here.
            found = self.database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found.splitlines()[-1])
        left = 0
        try:
            with self._transaction():
                sqlite_tables.forget_what_ended(self.database, time.time())
        except sqlite3.OperationalError:
            # A full disk, perhaps: the broker sees for itself what has expired. It must give no new
            # session the number of one that has left something here.
            with self._explained("read"):
                left = sqlite_tables.last_session(self.database)
        with self._explained("read"):
            return sqlite_tables.read(self.database, progress)._replace(last_session=left)

    @contextmanager
    def filling(self) -> Iterator[Callable[[Table, list[Any]], None]]:
        """Writes rows, as they stand in the tables, all or none."""
        with self._explained("written"), self._transaction():
            yield partial(sqlite_tables.insert, self.database)

    def append(self, changes: Changes) -> None:
        """Write changes, all or none; returns when they are durable."""
        with self._explained("written"), self._transaction():
            sqlite_tables.write(self.database, changes)
        if None in changes.sessions.values():
            self._sweep_again = True

    def tidy(self) -> float | None:
        """Do a little of what makes the file smaller; seconds until the next, or None: it is done.

        What fails here is done another time, and whatever is wrong the next `append` tells.
        """
        try:
            return self._tidy()
        except sqlite3.Error:
            return 10.0

    def _tidy(self) -> float | None:
        if self._swept is None and self._sweep_again:
            self._swept, self._sweep_again = 0, False
        if self._swept is not None:
            with self._transaction():
                self._swept = sqlite_tables.sweep(self.database, self._swept, _SWEPT_AT_ONCE)
            return 0.0
        free = self.database.execute("PRAGMA freelist_count").fetchone()[0]
        if free > _FREE:
            self._is_freeing = True
            # As a script, which runs to its end: otherwise it frees one page.
            self.database.executescript(f"PRAGMA incremental_vacuum({_FREED_AT_ONCE})")
            return 0.0
        if self._is_freeing:
            # The file is cut at a checkpoint.
            self._is_freeing = False
            self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return None

    def close(self) -> None:
        """Let others use the file."""
        self.database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.database.execute("COMMIT")
        except BaseException:
            if self.database.in_transaction:  # some failures end it themselves
                self.database.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        """Have what fails say why; but for what is damaged, where that is seen to."""
        try:
            yield
        except sqlite3.Error as error:
            if done != "written" and is_damage(error):
                raise
            raise StoreError(_sentence(self.path, done, error)) from error
        except UnicodeDecodeError as error:  # the text of an error, from what is damaged
            raise sqlite3.DatabaseError("database disk image is malformed") from error


def _make(path: str) -> None:
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


def _sentence(path: str, done: str, error: sqlite3.Error) -> str:
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return (
            f"{path} is in use by another broker. Stop that one, or choose another path: each"
            " broker needs a file of its own."
        )
    return f"{path} cannot be {done} ({error}). {_REMEDIES.get(code, 'Is its disk all right?')}"
