"""How what was delivered leaves a broker's file: mostly one message after the other, at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_RANGE = 8  # messages, from which on one statement for all of them takes less time


class Left(NamedTuple):
    """The keys of what has gone and is not deleted yet."""

    messages: list[int]
    deliveries: list[tuple[int, int]]


def delete_ranges(
    database: sqlite3.Connection,
    messages: Mapping[int, object | None],
    deliveries: Mapping[tuple[int, int], object | None],
) -> Left:
    """Delete messages that follow one another, and their deliveries; returns what else has gone.

    Deliveries to many sessions are left: each range would be read once for each of them.
    """
    gone = [number for number, row in messages.items() if row is None]
    gone_deliveries = [key for key, row in deliveries.items() if row is None]
    if len(gone) < _RANGE:
        return Left(gone, gone_deliveries)
    left = Left([], [])
    for first, last in _ranges(gone):
        if last - first < _RANGE:
            left.messages.extend(range(first, last + 1))
        else:
            database.execute("DELETE FROM messages WHERE number BETWEEN ? AND ?", (first, last))
    if len(gone_deliveries) > 2 * len(gone):
        return Left(left.messages, gone_deliveries)
    by_session: dict[int, list[int]] = {}
    for session, number in gone_deliveries:
        by_session.setdefault(session, []).append(number)
    for session, numbers in by_session.items():
        for first, last in _ranges(numbers):
            if last - first < _RANGE:
                left.deliveries.extend((session, number) for number in range(first, last + 1))
            else:
                database.execute(
                    "DELETE FROM deliveries WHERE message BETWEEN ? AND ? AND session = ?",
                    (first, last, session),
                )
    return left


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each row of numbers without a gap; each is there once."""
    first = last = None
    for number in sorted(numbers):
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield first, last
            first = last = number
    if first is not None and last is not None:
        yield first, last
