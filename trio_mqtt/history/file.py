"""The file of a history: what is added, and what is there. All calls block, in one thread."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from trio_mqtt.errors import StoreError
from trio_mqtt.history import schema
from trio_mqtt.history.chunks import Came, Chunk, chunks_of
from trio_mqtt.history.queries import MICROSECONDS, HistoryFigures, Removal
from trio_mqtt.protocol.topics import has_wildcard, topic_matches_filter
from trio_mqtt.storage.sqlite_opening import (
    is_damage,
    lock,
    open_database,
    sentence,
    transaction,
)

_DAYS = 400  # of what was removed, that are remembered
_FILTERS = 1_000  # rows of one day: what is removed by more filters is remembered without them
_IN = 200  # topics that are looked for one by one
_COMPARED = 256  # topics with a filter, at one time


class Found(NamedTuple):
    """A chunk that may have something of what is wanted; its data is read when it is its turn."""

    first: int
    id: int
    last: int
    topic: int


class HistoryFile:
    """The file, which no other program can use meanwhile."""

    def __init__(self, path: str) -> None:
        """Open the file at `path`, or make one that only its owner may read.

        Raises StoreError, whose text says what is wrong with it, and sqlite3.DatabaseError where it
        is damaged.
        """
        self.path = path
        self.database = open_database(path)
        try:
            with self.explained("opened"):
                # What is lost by a power cut is what came since the last checkpoint, and no more.
                lock(self.database, "NORMAL")
                schema.prepare(self.database, path)
                self.page_size: int = self.database.execute("PRAGMA page_size").fetchone()[0]
                rows = self.database.execute("SELECT id, name, messages FROM topics").fetchall()
        except BaseException:
            self.database.close()
            raise
        self.ids: dict[str, int] = {name: number for number, name, _ in rows}
        self.names: dict[int, str] = {number: name for number, name, _ in rows}
        self.counts: dict[int, int] = {number: count for number, _, count in rows}
        # The bucket that was looked into last, and of which topics, as long as nothing changes.
        self._found: tuple[tuple[int, frozenset[int] | None], list[Found]] | None = None
        # The earliest bucket to which something was added, since that was looked at.
        self.earliest: int | None = None
        self.removed = 0  # messages, since it was opened
        self.damaged = 0  # chunks that could not be read
        # Topics to which something was added since it was looked whether they have too much.
        self.grown = set(self.counts)
        # Of topics that had too much: the bucket that was looked into last.
        self.looked: dict[int, int] = {}

    def close(self) -> None:
        """Let others use the file."""
        self.database.close()

    # -- what comes ----------------------------------------------------------------------------

    def append(self, group: Iterable[Came], topics: int, lost: int = 0) -> tuple[int, int]:
        """Write what came, all or none; how many messages are kept, and how many are not.

        Those are not that are of more than so many `topics`. `lost` were not even brought here.
        """
        chunks = list(chunks_of(group))
        kept = beyond = 0
        new: dict[str, int] = {}
        counts: dict[int, int] = {}
        rows: list[tuple[int, int, int, int, int, bytes]] = []
        highest = max(self.names, default=0)
        for chunk in chunks:
            number = self.ids.get(chunk.topic) or new.get(chunk.topic)
            if number is None:
                if len(self.ids) + len(new) >= topics:
                    beyond += chunk.messages
                    continue
                number = new[chunk.topic] = highest + len(new) + 1
            kept += chunk.messages
            counts[number] = counts.get(number, 0) + chunk.messages
            rows.append(_row(chunk, number))
        with self.explained("written"), transaction(self.database):
            run_many = self.database.executemany
            run_many("INSERT INTO topics VALUES (?, ?, 0)", [(n, name) for name, n in new.items()])
            run_many(
                "INSERT INTO chunks (bucket, topic, first, last, count, data)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            run_many(
                "UPDATE topics SET messages = messages + ? WHERE id = ?",
                [(count, number) for number, count in counts.items()],
            )
            self.note("lost", lost)
            self.note("topics", beyond)
        self._found = None
        if rows:
            added = min(row[0] for row in rows)
            self.earliest = added if self.earliest is None else min(self.earliest, added)
        for name, number in new.items():
            self.ids[name] = number
            self.names[number] = name
        for number, count in counts.items():
            self.counts[number] = self.counts.get(number, 0) + count
        self.grown.update(counts)
        return kept, beyond

    # -- what is there -------------------------------------------------------------------------

    @property
    def used(self) -> int:
        """Bytes of the file that are in use."""
        run = self.database.execute
        pages = run("PRAGMA page_count").fetchone()[0] - run("PRAGMA freelist_count").fetchone()[0]
        return int(pages) * self.page_size

    def figures(self) -> HistoryFigures:
        """How much there is."""
        with self.explained("read"):
            return HistoryFigures(
                sum(self.counts.values()), len(self.ids), self.used, removed=self.removed
            )

    def bucket_after(self, bucket: int | None) -> int | None:
        """The next bucket after one in which something is, or the first; None if there is none."""
        where, values = ("", ()) if bucket is None else (" WHERE bucket > ?", (bucket,))
        found = self.database.execute(f"SELECT min(bucket) FROM chunks{where}", values)  # noqa: S608
        return _number(found.fetchone()[0])

    def bucket_before(self, bucket: int | None) -> int | None:
        """The next bucket before one, or the last one of all."""
        where, values = ("", ()) if bucket is None else (" WHERE bucket < ?", (bucket,))
        found = self.database.execute(f"SELECT max(bucket) FROM chunks{where}", values)  # noqa: S608
        return _number(found.fetchone()[0])

    def chunks_behind(
        self, bucket: int, topic: int, chunk: int, count: int
    ) -> list[tuple[int, int]]:
        """So many chunks of a bucket behind one of them, by topic: topics and chunks."""
        found = self.database.execute(
            "SELECT topic, id FROM chunks WHERE bucket = ? AND (topic, id) > (?, ?)"
            " ORDER BY topic, id LIMIT ?",
            (bucket, topic, chunk, count),
        )
        return found.fetchall()

    def rows(self, chunks: Sequence[int]) -> list[tuple[int, int, int, int, int]]:
        """What is known of chunks: number, topic, messages, first, last."""
        marks = ", ".join("?" * len(chunks))
        found = self.database.execute(
            f"SELECT id, topic, count, first, last FROM chunks WHERE id IN ({marks})",  # noqa: S608
            tuple(chunks),
        )
        return found.fetchall()

    def topics_of(self, topic_filter: str) -> list[str]:
        """The topics that match a filter, of which there is something."""
        if not has_wildcard(topic_filter):
            return [topic_filter] if topic_filter in self.ids else []
        found: list[str] = []
        for number, name in enumerate(self.ids, 1):
            if topic_matches_filter(name, topic_filter):
                found.append(name)
            if not number % _COMPARED:
                time.sleep(0)  # let others have the interpreter
        return found

    def found(self, bucket: int, topics: frozenset[int] | None) -> list[Found]:
        """The chunks of a bucket, of some topics or all, by when they begin."""
        key = bucket, topics
        if self._found is not None and self._found[0] == key:
            return self._found[1]  # the next page goes on where one has ended
        rows: list[tuple[int, int, int, int]] = []
        run = self.database.execute
        selection = "SELECT first, id, last, topic FROM chunks WHERE bucket = ?"
        with self.explained("read"):
            if topics is None:
                rows = run(selection, (bucket,)).fetchall()
            elif len(topics) > _IN:  # to look for each would take longer
                rows = [row for row in run(selection, (bucket,)) if row[3] in topics]
            else:
                marks = ", ".join("?" * len(topics))
                rows = run(f"{selection} AND topic IN ({marks})", (bucket, *topics)).fetchall()
        found = sorted(map(Found._make, rows))
        self._found = key, found
        return found

    def data(self, chunk: int) -> bytes | None:
        """The messages of a chunk; None where it was removed meanwhile."""
        with self.explained("read"):
            row = self.database.execute("SELECT data FROM chunks WHERE id = ?", (chunk,)).fetchone()
        return None if row is None else bytes(row[0])

    # -- what was removed ----------------------------------------------------------------------

    def note(
        self,
        reason: str,
        messages: int,
        oldest: int | None = None,
        newest: int | None = None,
        topic_filter: str = "",
    ) -> None:
        """Remember that so many messages were removed, or not kept; within a transaction."""
        if not messages:
            return
        day = time.strftime("%Y-%m-%d", time.gmtime())
        run = self.database.execute
        if topic_filter:
            known = run("SELECT count(*) FROM removed WHERE day = ?", (day,)).fetchone()[0]
            if known >= _FILTERS:
                topic_filter = ""
        run(
            "INSERT INTO removed VALUES (?1, ?2, ?6, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET"
            " messages = messages + ?3, oldest = min(ifnull(oldest, ?4), ifnull(?4, oldest)),"
            " newest = max(ifnull(newest, ?5), ifnull(?5, newest))",
            (day, reason, messages, oldest, newest, topic_filter),
        )
        self.database.execute(
            "DELETE FROM removed WHERE day < (SELECT day FROM removed GROUP BY day"
            " ORDER BY day DESC LIMIT 1 OFFSET ?)",
            (_DAYS,),
        )

    def removals(self) -> list[Removal]:
        """What was removed or lost, by day, reason and filter."""
        with self.explained("read"):
            rows = self.database.execute(
                "SELECT * FROM removed ORDER BY day, reason, filter"
            ).fetchall()
        return [
            Removal(day, reason, messages, _seconds(oldest), _seconds(newest), topic_filter)
            for day, reason, topic_filter, messages, oldest, newest in rows
        ]

    def subtract(self, counts: Mapping[int, int], gone: Iterable[int]) -> None:
        """So many messages of topics were removed; of those that are gone nothing is left."""
        self._found = None
        for number, count in counts.items():
            self.counts[number] = self.counts.get(number, 0) - count
            self.removed += count
        for number in gone:
            self.counts.pop(number, None)
            self.looked.pop(number, None)
            self.ids.pop(self.names.pop(number, ""), None)

    @contextmanager
    def explained(self, done: str) -> Iterator[None]:
        """Have what fails say why; but for what is damaged, where that is seen to."""
        try:
            yield
        except sqlite3.Error as error:
            if is_damage(error):
                raise
            raise StoreError(sentence(self.path, done, error)) from error


def _row(chunk: Chunk, topic: int) -> tuple[int, int, int, int, int, bytes]:
    return chunk.bucket, topic, chunk.first, chunk.last, chunk.messages, chunk.data


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _seconds(at: int | None) -> float | None:
    return None if at is None else at / MICROSECONDS


def history_path(folder: str | os.PathLike[str]) -> str:
    """The file of a history in a broker's `--data` folder; what is no folder is such a file."""
    from trio_mqtt.history.settings import FILE

    path = os.fspath(folder)
    is_file = os.path.exists(path) and not os.path.isdir(path)
    return path if is_file else os.path.join(path, FILE)
