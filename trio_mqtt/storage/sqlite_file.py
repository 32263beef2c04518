"""A broker's file of SQLite, open and locked. All calls block; one thread makes them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from trio_mqtt.errors import StoreError
from trio_mqtt.storage import sqlite_schema, sqlite_tables
from trio_mqtt.storage.rows import Changes, Kept, Progress
from trio_mqtt.storage.sqlite_opening import (
    cut,
    free,
    is_damage,
    lock,
    open_database,
    sentence,
    transaction,
)
from trio_mqtt.storage.sqlite_tables import Table

_SWEPT_AT_ONCE = 10_000  # rows
_FREED_AT_ONCE = 256  # pages
_FREE = 256  # pages of 4 KiB, which may be free: the next messages use them again


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
        self.database = open_database(path)
        try:
            with self._explained("opened"):
                self._open(synchronous)
        except BaseException:
            self.database.close()
            raise

    def _open(self, synchronous: str) -> None:
        lock(self.database, synchronous)
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
            with transaction(self.database):
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
        with self._explained("written"), transaction(self.database):
            yield partial(sqlite_tables.insert, self.database)

    def append(self, changes: Changes) -> None:
        """Write changes, all or none; returns when they are durable."""
        with self._explained("written"), transaction(self.database):
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
            with transaction(self.database):
                self._swept = sqlite_tables.sweep(self.database, self._swept, _SWEPT_AT_ONCE)
            return 0.0
        unused = self.database.execute("PRAGMA freelist_count").fetchone()[0]
        if unused > _FREE:
            self._is_freeing = True
            free(self.database, _FREED_AT_ONCE)
            return 0.0
        if self._is_freeing:
            self._is_freeing = False
            cut(self.database)
        return None

    def close(self) -> None:
        """Let others use the file."""
        self.database.close()

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        """Have what fails say why; but for what is damaged, where that is seen to."""
        try:
            yield
        except sqlite3.Error as error:
            if done != "written" and is_damage(error):
                raise
            raise StoreError(sentence(self.path, done, error)) from error
        except UnicodeDecodeError as error:  # the text of an error, from what is damaged
            raise sqlite3.DatabaseError("database disk image is malformed") from error
