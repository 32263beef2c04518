"""What is removed from a history: for its age, for room, or as somebody asks. In small steps."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from trio_mqtt.history.chunks import bucket_of
from trio_mqtt.history.queries import MICROSECONDS
from trio_mqtt.history.retention import Retention
from trio_mqtt.storage.sqlite_opening import cut, free, transaction

if TYPE_CHECKING:
    from trio_mqtt.history.file import HistoryFile
    from trio_mqtt.history.settings import HistorySettings

_AT_ONCE = 200  # chunks
_BUCKETS_AT_ONCE = 500
_FREED_AT_ONCE = 256  # pages
_FREE = 256  # pages that may be free: what comes next uses them
_AGAIN = 1.0  # seconds until it is looked again whether something is too old


class Removing:
    """Makes room in one file, a little at a time."""

    def __init__(self, file: HistoryFile) -> None:
        self._file = file
        self._retention = Retention(file)
        self._is_freeing = False
        self._most = 0

    def step(self, settings: HistorySettings) -> float | None:
        """Do a little of what makes the file smaller; seconds until the next.

        What fails here is done another time, and whatever is wrong what is written next tells.
        """
        try:
            return self._step(settings)
        except sqlite3.Error:
            self._retention.begin_anew()
            return 10.0

    def _step(self, settings: HistorySettings) -> float:
        if self._too_old(settings) or self.too_large(settings) or self._too_many(settings):
            return 0.0
        database = self._file.database
        unused = database.execute("PRAGMA freelist_count").fetchone()[0]
        if unused > _FREE:
            self._is_freeing = True
            free(database, _FREED_AT_ONCE)
            return 0.0
        if self._is_freeing:
            self._is_freeing = False
            cut(database)
        return _AGAIN

    def _too_old(self, settings: HistorySettings) -> bool:
        """Remove some of what is older than it may be; whether there may be more."""
        if settings.ages:
            found = self._retention.find(settings, time.time())
            if found is not None:
                self._delete(found[1], "age", found[0])
            return found is not None
        if not settings.age:
            return False
        first = self._file.bucket_after(None)
        beyond = bucket_of(round((time.time() - settings.age) * MICROSECONDS))
        return first is not None and first < beyond and self._remove(first, "age")

    def too_large(self, settings: HistorySettings) -> bool:
        """Remove some of what is oldest if the file is too large; whether it was."""
        if not settings.size or self._file.used <= settings.size:
            return False
        first = self._file.bucket_after(None)
        return first is not None and self._remove(first, "size")

    def _remove(self, bucket: int, reason: str) -> bool:
        rows = self._file.database.execute(
            "SELECT id, topic, count, first, last FROM chunks WHERE bucket = ? ORDER BY id LIMIT ?",
            (bucket, _AT_ONCE),
        ).fetchall()
        return self._delete(rows, reason) > 0

    def _too_many(self, settings: HistorySettings) -> bool:
        """Remove some of the oldest messages of a topic that has too many; whether one had."""
        most = settings.messages
        if most != self._most:  # what was enough may be too much now
            self._most = most
            self._file.grown.update(self._file.counts)
        if not most:
            self._file.grown.clear()
            return False
        while self._file.grown:
            topic = self._file.grown.pop()
            surplus = self._file.counts.get(topic, 0) - most
            if surplus > 0 and self._remove_of(topic, surplus):
                self._file.grown.add(topic)
                return True
        return False

    def _remove_of(self, topic: int, surplus: int) -> bool:
        """Remove of a topic so many at most, as whole chunks; whether there was something to do."""
        run, looked = self._file.database.execute, self._file.looked
        bucket = looked.get(topic)
        if bucket is None:
            first = self._file.bucket_after(None)
            if first is None:
                return False
            bucket = first
        for _ in range(_BUCKETS_AT_ONCE):
            rows = run(
                "SELECT id, topic, count, first, last FROM chunks WHERE bucket = ? AND topic = ?"
                " ORDER BY id LIMIT ?",
                (bucket, topic, _AT_ONCE),
            ).fetchall()
            some = []
            for row in rows:
                if row[2] > surplus:
                    break
                surplus -= row[2]
                some.append(row)
            if some:
                looked[topic] = bucket
                return self._delete(some, "messages") > 0
            if rows:  # what is too much is part of a chunk that stays
                looked[topic] = bucket
                return False
            following = self._file.bucket_after(bucket)
            if following is None:
                looked.pop(topic, None)
                return False
            bucket = following
        looked[topic] = bucket
        return True

    def asked(
        self, topics: Collection[int], beyond: int, after: int | None, topic_filter: str = ""
    ) -> tuple[int, int | None]:
        """Remove of some topics what came before `beyond`, some buckets after `after`.

        They are those that match a filter, which is remembered with it. How many messages that
        were, and the bucket at which it goes on: None, if it is done. What shares a chunk with
        something that came later stays.
        """
        removed = 0
        bucket = self._file.bucket_after(after)
        chosen = frozenset(topics)
        for _ in range(_BUCKETS_AT_ONCE):
            if bucket is None or bucket > bucket_of(beyond):
                return removed, None
            found = [one for one in self._file.found(bucket, chosen) if one.last < beyond]
            if found:
                rows = self._file.rows([one.id for one in found[:_AT_ONCE]])
                removed += self._delete(rows, "asked", topic_filter)
                return removed, bucket - 1
            bucket = self._file.bucket_after(bucket)
        return removed, None if bucket is None else bucket - 1

    def _delete(
        self, rows: Sequence[tuple[int, int, int, int, int]], reason: str, topic_filter: str = ""
    ) -> int:
        """Delete chunks; how many messages they had."""
        if not rows:
            return 0
        file = self._file
        counts: dict[int, int] = {}
        for _, topic, count, _, _ in rows:
            counts[topic] = counts.get(topic, 0) + count
        messages = sum(counts.values())
        gone = [topic for topic, count in counts.items() if file.counts.get(topic, 0) <= count]
        oldest, newest = min(row[3] for row in rows), max(row[4] for row in rows)
        with transaction(file.database):
            run_many = file.database.executemany
            run_many("DELETE FROM chunks WHERE id = ?", [(row[0],) for row in rows])
            run_many(
                "UPDATE topics SET messages = messages - ? WHERE id = ?",
                [(count, topic) for topic, count in counts.items()],
            )
            run_many("DELETE FROM topics WHERE id = ?", [(topic,) for topic in gone])
            file.note(reason, messages, oldest, newest, topic_filter)
        file.subtract(counts, gone)
        return messages
