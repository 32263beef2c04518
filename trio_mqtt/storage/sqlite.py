"""A storage in a file of SQLite."""

from __future__ import annotations

import logging
import os
import sqlite3
from functools import partial
from typing import Literal, TypeAlias

from trio_mqtt.errors import StoreError
from trio_mqtt.storage import sqlite_salvage
from trio_mqtt.storage.rows import Changes, Kept, Progress
from trio_mqtt.storage.sqlite_file import BrokerFile
from trio_mqtt.storage.worker_thread import WorkerThread

Durability: TypeAlias = Literal["fsync", "commit"]

_log = logging.getLogger("trio_mqtt.storage")

_SYNCHRONOUS = {"fsync": "FULL", "commit": "NORMAL"}


class SqliteStorage:
    """Keeps sessions and retained messages in the file at `path`, for one broker at a time.

    async with trio_mqtt.open_broker(storage=trio_mqtt.SqliteStorage("data/broker.sqlite3")): ...

    With `durability="fsync"` what a broker has acknowledged survives a power cut; with "commit" it
    survives the end of the process, however it comes, and a power cut takes the last of it. The
    file is made where there is none, with its folder; only its owner may read it.
    """

    def __init__(self, path: str | os.PathLike[str], durability: Durability = "fsync") -> None:
        if durability not in _SYNCHRONOUS:
            raise ValueError(f"there is no durability {durability!r}: write 'fsync' or 'commit'")
        self.path: str = os.fspath(path)
        self.durability: Durability = durability
        self._file: BrokerFile | None = None
        self._thread: WorkerThread | None = None

    async def load(self, progress: Progress | None = None) -> Kept:
        """Open the file, and read all that is kept there (`Storage.load`)."""
        if self._thread is None:
            self._thread = WorkerThread("trio-mqtt storage", self._tidy)
        try:
            return await self._thread.run(partial(self._load, progress))
        except BaseException:
            await self.close()
            raise

    def _load(self, progress: Progress | None) -> Kept:
        try:
            sqlite_salvage.finish_replacing(self.path)
            try:
                return self._open_and_load(progress)
            except sqlite3.Error as error:
                why = str(error)
            self._close()
            damage = self._replace(why)
        except OSError as error:
            raise StoreError(
                f"{self.path} is damaged, and cannot be set aside"
                f" ({(error.strerror or str(error)).lower()})."
                " Check its folder and who may write there."
            ) from error
        _log.error(damage)
        return self._open_and_load(progress)._replace(damage=damage)

    def _open_and_load(self, progress: Progress | None) -> Kept:
        if self._file is None:
            self._file = BrokerFile(self.path, synchronous=_SYNCHRONOUS[self.durability])
        return self._file.load(progress)

    def _replace(self, why: str) -> str:
        """Have a new file with what can be read in place of the damaged; what is to be told."""
        rows = sqlite_salvage.readable(self.path)
        file = BrokerFile(sqlite_salvage.replacement(self.path), synchronous="FULL")
        try:
            with file.filling() as fill:
                for table, some in rows.items():
                    fill(table, some)
        finally:
            file.close()
        aside = sqlite_salvage.put_in_place(self.path)
        counts = ", ".join(f"{len(some):,} {table.name}" for table, some in rows.items() if some)
        return (
            f"{self.path} was damaged ({why}) and is set aside as {aside}."
            f" What could be read of it is kept: {counts or 'nothing'}."
        )

    async def append(self, changes: Changes) -> None:
        """Keep the changes in one transaction, as `Storage.append` promises."""
        if self._thread is None or self._file is None:
            raise StoreError(f"{self.path} is not open: it is loaded first, and closed last.")
        await self._thread.run(partial(self._file.append, changes))

    def _tidy(self) -> float | None:
        return None if self._file is None else self._file.tidy()

    async def close(self) -> None:
        """Close the file and end its thread (`Storage.close`)."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.end(self._close)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
