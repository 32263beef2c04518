"""A history that is kept: its file, in a thread of its own, and what is damaged set aside."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Collection, Generator, Sequence
from functools import partial
from typing import TypeVar

from trio_mqtt.errors import StoreError
from trio_mqtt.history.chunks import Came
from trio_mqtt.history.file import HistoryFile
from trio_mqtt.history.queries import HistoryFigures, HistoryPage, HistoryQuery, Removal
from trio_mqtt.history.reading import Reading
from trio_mqtt.history.removing import Removing
from trio_mqtt.history.settings import HistorySettings
from trio_mqtt.storage.sqlite_salvage import set_aside
from trio_mqtt.storage.worker_thread import WorkerThread

T = TypeVar("T")

_log = logging.getLogger("trio_mqtt.history")
_OVERFULL = 1.1  # times the size, from which on room is made before anything is added


class HistoryStore:
    """Keeps what it is given in the file at `path`, for one broker at a time.

    Everything but `path` is done by its thread, in the order in which it is asked for, and what
    takes long in steps.
    """

    def __init__(self, path: str | os.PathLike[str], settings: HistorySettings) -> None:
        self.path = os.fspath(path)
        self._settings = settings
        self._file: HistoryFile | None = None
        self._removing: Removing | None = None
        self._thread: WorkerThread | None = None

    async def open(self) -> None:
        """Open the file, or make one. Raises StoreError where neither can be."""
        self._thread = WorkerThread("trio-mqtt history", self._tidy)
        try:
            await self._thread.run(self._open)
        except BaseException:
            await self.close()
            raise

    def _open(self) -> HistoryFile:
        try:
            file = HistoryFile(self.path)
        except sqlite3.Error as error:
            self._replace(error)
            file = HistoryFile(self.path)
        self._file, self._removing = file, Removing(file)
        return file

    def _replace(self, why: sqlite3.Error) -> None:
        """Set a damaged file aside."""
        self._close()
        try:
            aside = set_aside(self.path)
        except OSError as error:
            raise StoreError(
                f"{self.path} is damaged, and cannot be set aside"
                f" ({(error.strerror or str(error)).lower()})."
            ) from error
        _log.error(
            "%s was damaged (%s) and is set aside as %s: the history begins anew.",
            self.path,
            why,
            aside,
        )

    def keep_to(self, settings: HistorySettings) -> None:
        """From now on it keeps as much as these say."""
        self._settings = settings  # the thread looks at that each time

    async def append(self, group: Sequence[Came], lost: int = 0) -> tuple[int, int]:
        """Keep what came, all or none; returns when that is written: how many are kept, and not.

        `lost` are messages that could not even be brought here, which is remembered with it. Raises
        StoreError.
        """
        return await self._do(partial(self._append, group, lost))

    def _append(self, group: Sequence[Came], lost: int) -> tuple[int, int]:
        file = self._file or self._open()
        settings = self._settings
        try:
            removing = self._removing
            with file.explained("written"):  # a full disk is no damage
                if removing and settings.size and file.used > settings.size * _OVERFULL:
                    removing.too_large(settings)
            return file.append(group, settings.topics, lost)
        except sqlite3.Error as error:
            self._replace(error)
            return self._open().append(group, settings.topics, lost)

    def _tidy(self) -> float | None:
        return None if self._removing is None else self._removing.step(self._settings)

    async def topics(self, topic_filter: str) -> list[str]:
        """The topics that match a filter, of which something is kept."""
        return await self._do(lambda: self._opened.topics_of(topic_filter))

    async def read(
        self,
        query: HistoryQuery,
        topics: Collection[str] | None = None,
        patience: float | None = None,
    ) -> HistoryPage:
        """A page of what is asked for; of all topics, or of some of those that match.

        It ends after `patience` seconds of work. Raises StoreError, and QueryError where there is
        too much for what is asked.
        """
        reading = await self._do(lambda: Reading(self._opened, query, topics, patience))
        while not await self._do(partial(self._explained, reading.step)):
            pass
        assert reading.page is not None  # noqa: S101
        return reading.page

    async def remove(self, topic_filter: str, beyond: int) -> int:
        """Remove what matches a filter and came before a microsecond; how many that were."""
        topics = await self.topics(topic_filter)
        removed = 0
        bucket: int | None = None
        while True:

            def step(after: int | None = bucket) -> tuple[int, int | None]:
                file = self._opened
                ids = {file.ids[name] for name in topics if name in file.ids}
                return Removing(file).asked(ids, beyond, after, topic_filter)

            count, bucket = await self._do(partial(self._explained, step))
            removed += count
            if bucket is None:
                return removed

    async def removals(self) -> list[Removal]:
        """What was removed or lost, by day, reason and filter."""
        return await self._do(lambda: self._explained(self._opened.removals))

    async def figures(self) -> HistoryFigures:
        """How much there is."""
        return await self._do(lambda: self._explained(self._opened.figures))

    async def close(self) -> None:
        """End when all that was asked for is done."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await thread.end(self._close)

    def _close(self) -> None:
        file, self._file, self._removing = self._file, None, None
        if file is not None:
            file.close()

    @property
    def _opened(self) -> HistoryFile:
        if self._file is None:
            raise StoreError(f"{self.path} is not open.")
        return self._file

    def _explained(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except sqlite3.Error as error:  # damage, which is seen to when something is written
            raise StoreError(f"{self.path} cannot be read ({error}).") from error

    async def _do(self, call: Callable[[], T]) -> T:
        if self._thread is None:
            raise StoreError(f"{self.path} is not open: it is opened first, and closed last.")
        return await self._thread.run(call)


def read_history(
    path: str | os.PathLike[str], query: HistoryQuery
) -> Generator[HistoryPage, None, None]:
    """The pages of an answer, from the file of a broker that does not run. It blocks.

    Raises StoreError where the file is in use, damaged or not there.
    """
    from dataclasses import replace

    path = os.fspath(path)
    if not os.path.exists(path):
        raise StoreError(f"There is no {path}. A broker with a history makes it.")
    try:
        file = HistoryFile(path)
        try:
            while True:
                reading = Reading(file, query)
                while not reading.step():
                    pass
                page = reading.page or HistoryPage()
                yield page
                if not page.next:
                    return
                query = replace(query, after=page.next)
        finally:
            file.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path} is damaged ({error}).") from error
