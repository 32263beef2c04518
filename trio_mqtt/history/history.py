"""The history of a running broker: what comes waits, is written in groups, and can be asked for."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

import trio

from trio_mqtt.errors import ConfigurationError, StoreError
from trio_mqtt.history.chunks import Came
from trio_mqtt.history.file import history_path
from trio_mqtt.history.queries import (
    MICROSECONDS,
    HistoryFigures,
    HistoryPage,
    HistoryQuery,
    Removal,
)
from trio_mqtt.history.settings import HistorySettings
from trio_mqtt.history.store import HistoryStore
from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.protocol.packets import Publish, PublishRun

_FULL = 4 * 1024 * 1024  # bytes that are written without waiting for more
_AT_ONCE = 8 * 1024 * 1024  # bytes of one group
_AGAIN = 1.0  # seconds until what could not be written is tried again
_TELLS_AGAIN = 60.0  # seconds after which it is told again that something is lost
_LONGEST = 1 << 62

logger = logging.getLogger("trio_mqtt.history")


class Counters(Protocol):
    """Where it is counted what becomes of messages."""

    history_kept: int
    history_lost: int


class _Pages:
    """Pages as they are asked for: no generator, which would be left open by who is cancelled."""

    def __init__(self, history: History, query: HistoryQuery) -> None:
        self._history = history
        self._query: HistoryQuery | None = query

    def __aiter__(self) -> _Pages:
        return self

    async def __anext__(self) -> HistoryPage:
        if self._query is None:
            raise StopAsyncIteration
        page = await self._history.read(self._query)
        self._query = replace(self._query, after=page.next) if page.next else None
        return page


class History:
    """What a broker keeps of topics: `Broker.history` is one."""

    def __init__(self, store: HistoryStore, settings: HistorySettings, counters: Counters) -> None:
        self._store = store
        self._settings = settings
        self._counters = counters
        # What waits, with its bytes and how many messages it is.
        self._waiting: list[tuple[Sequence[Publish] | PublishRun, bool, float, int, int]] = []
        self._size = 0
        self._some = trio.Event()
        self._enough = trio.Event()
        self._turn = trio.Lock()
        self._failure: str | None = None
        self._lost = 0  # messages of which the file does not know yet that they are lost
        self._told_at = -math.inf

    @property
    def settings(self) -> HistorySettings:
        """What is kept."""
        return self._settings

    @property
    def failure(self) -> str | None:
        """Why nothing can be written now; None while it can."""
        return self._failure

    # -- what can be asked ---------------------------------------------------------------------

    async def read(
        self,
        query: HistoryQuery,
        *,
        topics: Collection[str] | None = None,
        patience: float | None = None,
    ) -> HistoryPage:
        """A page of what is asked for: for the next, the query has its `next` as `after`.

        What came within the last `HistorySettings.interval` may not be there yet. Of the topics
        that the filter matches, only `topics` are looked at if they are given. After `patience`
        seconds of work the page ends with what there is by then. Raises StoreError where the file
        cannot be read.
        """
        return await self._store.read(query, topics, patience)

    def pages(self, query: HistoryQuery) -> AsyncIterator[HistoryPage]:
        """All pages, one after the other. Nothing is to be closed where not all are taken."""
        return _Pages(self, query)

    async def topics(self, topic_filter: str) -> list[str]:
        """The topics that match a filter, of which something is kept."""
        return await self._store.topics(topic_filter)

    async def remove(self, topic_filter: str, *, until: float | None = None) -> int:
        """Remove what matches a filter, and came before `until` (seconds since 1970; None: all).

        Messages are kept together, some seconds of a topic at most: those stay of which one came
        later. Returns how many were removed. Raises StoreError.
        """
        query = HistoryQuery(topic_filter=topic_filter, until=until)  # which checks them
        return await self._store.remove(query.topic_filter, query.beyond)

    async def removals(self) -> list[Removal]:
        """What was removed, or never kept, by day, reason and filter."""
        return await self._store.removals()

    async def figures(self) -> HistoryFigures:
        """How it fares."""
        return replace(
            await self._store.figures(),
            waiting=self._size,
            kept=self._counters.history_kept,
            lost=self._counters.history_lost,
            failure=self._failure,
        )

    async def written(self) -> None:
        """Wait until what has come by now is written, or cannot be."""
        await self._write_all()

    # -- what the broker brings ----------------------------------------------------------------

    def take(
        self,
        content: Sequence[Publish] | PublishRun,
        is_v5: bool,
        received_at: float,
        size: int,
    ) -> None:
        """Keep what came together, at a moment of Trio's clock, of so many bytes; if it has room.

        `is_v5` says in which version its packets are. It stays as it is for as long as it waits.
        """
        count = len(content)
        if self._size + size > self._settings.waiting:
            self._lose(count)
            return
        self._waiting.append((content, is_v5, received_at, size, count))
        self._size += size
        if self._size >= _FULL:
            self._enough.set()
        if len(self._waiting) == 1:
            self._some.set()

    def _lose(self, count: int) -> None:
        self._counters.history_lost += count
        self._lost += count
        now = trio.current_time()
        if now >= self._told_at + _TELLS_AGAIN:
            lost = self._counters.history_lost
            logger.warning(
                "%s messages are not in the history by now: more comes than is written.",
                f"{lost:,}",
            )
            self._told_at = now

    def keep_to(self, settings: HistorySettings) -> None:
        """From now on it keeps as much, and for as long, as these say."""
        self._settings = settings
        self._store.keep_to(settings)

    async def run(self) -> None:
        """Write what comes, in groups, until cancelled."""
        while True:
            if not self._waiting:
                self._some = trio.Event()
                await self._some.wait()
            self._enough = trio.Event()
            if self._size < _FULL:
                with trio.move_on_after(self._settings.interval):
                    await self._enough.wait()
            await self._write_all()
            if self._failure is not None:
                await trio.sleep(_AGAIN)

    async def _write_all(self) -> None:
        """Write what waits, in groups, as long as that can be done."""
        async with self._turn:
            # Not what comes, or is lost, meanwhile: in a flood that has no end.
            left, is_to_tell = len(self._waiting), self._lost > 0
            while left > 0 or is_to_tell:
                written = await self._write()
                if self._failure is not None:
                    return
                left -= written
                is_to_tell = False

    async def _write(self) -> int:
        """Write a group of what waits; how many parts it had, 0 if it could not be written."""
        epoch = time.time() - trio.current_time()  # as the clock is now, which may have been set
        group: list[Came] = []
        size = messages = 0
        for content, is_v5, received_at, its_size, count in self._waiting:
            group.append(Came(content, is_v5, round((received_at + epoch) * MICROSECONDS)))
            size += its_size
            messages += count
            if size >= _AT_ONCE:
                break
        lost = self._lost
        kept = 0
        try:
            kept, _ = await self._store.append(group, lost)
        except StoreError as error:
            if self._failure is None:
                logger.error("Nothing is added to the history: %s", error)  # noqa: TRY400
            self._failure = str(error)
            return 0
        except Exception:  # whatever it is, what comes later is to be kept
            logger.exception("The history cannot keep what has come")
        if self._failure is not None:
            logger.warning("Messages are added to the history again.")
            self._failure = None
        del self._waiting[: len(group)]
        self._size -= size
        self._lost -= lost
        self._counters.history_kept += kept
        self._counters.history_lost += messages - kept
        return len(group)

    async def close(self) -> None:
        """Write what waits, if that can be done, and let others use the file."""
        try:
            await self._write_all()
            if self._waiting:
                messages = sum(one[4] for one in self._waiting)
                logger.error(
                    "%s messages are not in the history: %s", f"{messages:,}", self._failure
                )
        finally:
            await self._store.close()


def path_of(settings: HistorySettings, folder: str | os.PathLike[str] | None = None) -> str:
    """The file of a history, in the folder of a storage where it has no path of its own.

    Raises ConfigurationError where there is neither.
    """
    if settings.path is not None:
        return os.fspath(settings.path)
    if folder is None:
        raise ConfigurationError(
            "A history needs a file to be in: history.path, or a folder for all that is kept"
            " (storage.path, --data DIR)."
        )
    return history_path(folder)


@asynccontextmanager
async def keeping(
    path: str, settings: HistorySettings, counters: Counters
) -> AsyncIterator[History]:
    """A history that is kept for as long as the context lasts. Raises StoreError."""
    store = HistoryStore(path, settings)
    await store.open()
    history = History(store, settings, counters)
    async with tasks_beside() as nursery:
        nursery.start_soon(history.run)
        try:
            yield history
        finally:
            with trio.CancelScope(shield=True):
                await history.close()
