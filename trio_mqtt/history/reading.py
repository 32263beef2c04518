"""A page of an answer, made in steps: nobody waits long for its turn, however much there is."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING, TypeAlias

from trio_mqtt.history.chunks import BUCKET, ChunkError, Decoded, bucket_of, messages_in
from trio_mqtt.history.numbers import number_in, parse_path
from trio_mqtt.history.points import Points
from trio_mqtt.history.queries import (
    MICROSECONDS,
    HistoryPage,
    HistoryQuery,
    KeptMessage,
    Place,
    QueryError,
)

if TYPE_CHECKING:
    from trio_mqtt.history.file import Found, HistoryFile

_STEP = 0.01  # seconds
_BESIDE = 64  # bytes that a message counts beside its topic, payload and properties
_FULL = 1 << 62

# When, in which chunk, which one there, of which topic, and what: numbers are negative where the
# newest come first.
_Entry: TypeAlias = tuple[int, int, int, int, Decoded]


class Reading:
    """One page, from the place where the one before has ended."""

    def __init__(
        self,
        file: HistoryFile,
        query: HistoryQuery,
        topics: Collection[str] | None = None,
        patience: float | None = None,
    ) -> None:
        """Of the topics that the query's filter matches only `topics`, if they are given.

        After `patience` seconds of work the page ends, with what there is by then.
        """
        self._file = file
        self._query = query
        self._patience = patience
        self._worked = 0.0
        names = file.topics_of(query.topic_filter)
        if topics is not None:
            names = [name for name in names if name in topics]
        # Where all are wanted, nothing is looked up.
        self._topics: frozenset[int] | None = None
        if len(names) < len(file.ids):
            self._topics = frozenset(file.ids[name] for name in names)
        self._after = Place.parse(query.after) if query.after else None
        self._sign = 1 if query.last is None else -1
        # From where on the next page goes on, if this one ends now; None where that is no progress.
        self._place: Place | None = None
        self.page: HistoryPage | None = None
        self._steps = self._make_points() if query.every else self._make_messages()

    def step(self) -> bool:
        """Go on for some milliseconds; whether the page is made. Raises StoreError, QueryError."""
        if self.page is not None:
            return True
        began = time.perf_counter()
        for _ in self._steps:
            spent = time.perf_counter() - began
            if spent > _STEP:
                self._worked += spent
                return False
            time.sleep(0)  # let others have the interpreter
        return True

    @property
    def _is_over(self) -> bool:
        if self._patience is None or self._place is None:
            return False
        return self._worked > self._patience

    @property
    def _reached(self) -> Place:
        return self._place or Place(0, 0, 0)

    # -- messages ------------------------------------------------------------------------------

    def _make_messages(self) -> Iterator[None]:
        query, names = self._query, self._file.names
        left = query.last or 0
        if left and self._after is not None:
            left = self._after.left or left
        messages: list[KeptMessage] = []
        size = 0
        following = ""
        place = Place(0, 0, 0)
        for entry in self._entries():
            if entry is None:
                if self._is_over:
                    following = str(self._reached._replace(left=left))
                    break
                yield
                continue
            _, _, _, topic, decoded = entry
            name = names.get(topic)
            if name is None:
                continue  # removed meanwhile
            beside = sum(len(str(value)) for value in decoded.properties.values())
            more = len(name) + len(decoded.payload) + beside + _BESIDE
            if messages and (len(messages) >= query.limit or size + more > query.maximum_bytes):
                # From behind the one before on.
                following = str(place._replace(left=left))
                break
            size += more
            messages.append(
                KeptMessage(
                    name,
                    decoded.payload,
                    decoded.at / MICROSECONDS,
                    decoded.qos,
                    decoded.retain,
                    decoded.properties,
                )
            )
            sign = self._sign
            place = Place(sign * entry[0], sign * entry[1], sign * entry[2])
            if left:
                left -= 1
                if not left:
                    break
        if self._sign < 0:
            messages.reverse()
        self.page = HistoryPage(tuple(messages), next=following)

    # -- points --------------------------------------------------------------------------------

    def _make_points(self) -> Iterator[None]:
        query, names = self._query, self._file.names
        every = max(1, round((query.every or 0) * MICROSECONDS))
        path = parse_path(query.path) if query.path else ()
        counts_all = query.summary == "count" and not path
        points = Points(every, query.summary, query.limit)
        following = ""
        for entry in self._entries():
            if entry is None:
                if self._is_over:
                    if not points.is_open:
                        following = str(self._reached)
                    elif points.closed:
                        following = str(Place(points.begins, 0, 0))
                    else:
                        raise QueryError(
                            "There is too much to look through for one answer: ask for less time,"
                            " fewer topics, or a shorter every."
                        )
                    break
                yield
                continue
            at, _, _, topic, decoded = entry
            if points.is_beyond(at) and points.close():
                following = str(Place(at - at % every, 0, 0))
                break
            number = 0.0 if counts_all else number_in(decoded.payload, path)
            name = names.get(topic)
            if number is not None and name is not None:
                points.add(name, at, number)
        else:
            points.close()
        self.page = HistoryPage(points=tuple(points.closed), next=following)

    # -- what is looked through ----------------------------------------------------------------

    def _entries(self) -> Iterator[_Entry | None]:
        """The messages that are wanted, in order; None wherever there was something to do."""
        file, query, after = self._file, self._query, self._after
        first, beyond = query.first, query.beyond
        if (self._topics is not None and not self._topics) or first >= beyond:
            return
        if self._sign > 0:
            start = first if after is None else max(first, after.at)
            bucket = file.bucket_after(bucket_of(start) - 1)
            end = bucket_of(beyond - 1)
            while bucket is not None and bucket <= end:
                yield from self._merged(file.found(bucket, self._topics))
                self._place = Place((bucket + 1) * BUCKET, 0, 0)
                yield None
                bucket = file.bucket_after(bucket)
        else:
            start = beyond - 1 if after is None else min(beyond - 1, after.at)
            bucket = file.bucket_before(bucket_of(start) + 1)
            end = bucket_of(first)
            while bucket is not None and bucket >= end:
                yield from self._merged(file.found(bucket, self._topics))
                self._place = Place(bucket * BUCKET - 1, _FULL - 1, _FULL)
                yield None
                bucket = file.bucket_before(bucket)

    def _merged(self, found: list[Found]) -> Iterator[_Entry | None]:
        """What is wanted of the chunks of one bucket: of those that overlap, message by message."""
        sign = self._sign
        is_forward = sign > 0
        # Those that come first, last, each with the place before which it has nothing.
        waiting = sorted(
            (((one.first if is_forward else -one.last, sign * one.id), one) for one in found),
            reverse=True,
        )
        heap: list[tuple[int, int, int, int, Decoded, Iterator[_Entry]]] = []
        while waiting or heap:
            while waiting and (not heap or waiting[-1][0] < heap[0][:2]):
                entries = iter(self._opened(waiting.pop()[1]))
                entry = next(entries, None)
                if entry is not None:
                    heappush(heap, (*entry, entries))
                yield None
            if heap:
                at, chunk, number, topic, decoded, entries = heappop(heap)
                entry = next(entries, None)
                if entry is not None:
                    heappush(heap, (*entry, entries))
                yield at, chunk, number, topic, decoded
                self._place = Place(sign * at, sign * chunk, sign * number)

    def _opened(self, found: Found) -> list[_Entry]:
        """The messages of a chunk that are wanted, in order."""
        query, after, sign = self._query, self._after, self._sign
        first, beyond = query.first, query.beyond
        if found.last < first or found.first >= beyond:
            return []
        limit: tuple[int, int, int] | None = None
        if after is not None:
            if (found.last < after.at) if sign > 0 else (found.first > after.at):
                return []
            limit = sign * after.at, sign * after.chunk, sign * after.number
        data = self._file.data(found.id)
        if data is None:
            return []
        entries: list[_Entry] = []
        try:
            for number, decoded in enumerate(messages_in(data), 1):
                if first <= decoded.at < beyond:
                    key = sign * decoded.at, sign * found.id, sign * number
                    if limit is None or key > limit:
                        entries.append((*key, found.topic, decoded))
        except ChunkError:
            self._file.damaged += 1
        # What came together may be some microseconds out of order.
        entries.sort(key=_key)
        return entries


def _key(entry: _Entry) -> tuple[int, int, int]:
    return entry[:3]
