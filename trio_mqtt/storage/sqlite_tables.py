"""The tables of a broker's file: how rows are written to them, and read."""

# What statements are put together from are the names of tables and columns here, never values.
# ruff: noqa: S608

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from trio_mqtt.storage.gathered import Gathered
from trio_mqtt.storage.rows import (
    Changes,
    DeliveryRow,
    IdentifierRow,
    Kept,
    MessageRow,
    Progress,
    RetainedRow,
    Row,
    SessionRow,
    SubscriptionRow,
)
from trio_mqtt.storage.sqlite_ranges import delete_ranges
from trio_mqtt.storage.sqlite_runs import MOST_ROWS, write_runs


class Table(NamedTuple):
    """A table, whose columns are those of its rows; `make` makes one of what is read."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    row: type[Row]
    make: Callable[[Any], Any]


def _identifier(row: tuple[int]) -> IdentifierRow:
    return IdentifierRow(row[0] >> 16, row[0] & 0xFFFF)


MESSAGES = Table("messages", MessageRow._fields, ("number",), MessageRow, MessageRow._make)
DELIVERIES = Table(
    "deliveries", DeliveryRow._fields, ("session", "message"), DeliveryRow, DeliveryRow._make
)
# Session and identifier are one number, so that those of a session stand together.
IDENTIFIERS = Table("identifiers", ("key",), ("key",), IdentifierRow, _identifier)
SUBSCRIPTIONS = Table(
    "subscriptions",
    SubscriptionRow._fields,
    ("session", "topic_filter"),
    SubscriptionRow,
    SubscriptionRow._make,
)
SESSIONS = Table("sessions", SessionRow._fields, ("number",), SessionRow, SessionRow._make)
RETAINED = Table("retained", RetainedRow._fields, ("topic",), RetainedRow, RetainedRow._make)
# In the order of `Kept`.
TABLES = (MESSAGES, DELIVERIES, IDENTIFIERS, SUBSCRIPTIONS, SESSIONS, RETAINED)

_TABLE_OF = {table.row: table for table in TABLES}

_READ_AT_ONCE = 10_000


def write(database: sqlite3.Connection, changes: Changes) -> None:
    """Write all that has changed, in the transaction that is open.

    Deliveries of sessions that have gone stay until `sweep`.
    """
    _write_rows(database, changes)
    if changes.clock_set:
        _move_times(database, changes.clock_set)


def _write_rows(database: sqlite3.Connection, changes: Changes) -> None:
    if isinstance(changes, Gathered) and changes.delivery_runs:
        write_runs(database, changes)
        messages, deliveries = changes.beside_runs()
    else:
        messages, deliveries = changes.messages, changes.deliveries
    if messages or deliveries:
        left = delete_ranges(database, messages, deliveries)
        _write(database, MESSAGES, messages, left.messages)
        _write(database, DELIVERIES, deliveries, left.deliveries)
    _write(database, SUBSCRIPTIONS, changes.subscriptions)
    _write(database, RETAINED, changes.retained)
    if changes.identifiers:
        _write(
            database,
            IDENTIFIERS,
            {
                session << 16 | identifier: (session << 16 | identifier,) if is_kept else None
                for (session, identifier), is_kept in changes.identifiers.items()
            },
        )
    if changes.sessions:
        _write(database, SESSIONS, changes.sessions)
        gone = [number for number, row in changes.sessions.items() if row is None]
        _run(database, _deletion, ("subscriptions", ("session",)), [(number,) for number in gone])
        database.executemany(
            "DELETE FROM identifiers WHERE key BETWEEN ? AND ?",
            [(number << 16, number << 16 | 0xFFFF) for number in gone],
        )


def _move_times(database: sqlite3.Connection, seconds: float) -> None:
    """What has an end ends so much later; where nothing does, nobody asks when it was received."""
    for table in (MESSAGES, RETAINED):
        database.execute(
            f"UPDATE {table.name} SET received_at = received_at + ?, expires_at = expires_at + ?"
            " WHERE expires_at IS NOT NULL",
            (seconds, seconds),
        )
    database.execute(
        "UPDATE sessions SET expires_at = expires_at + ?, will_due_at = will_due_at + ?"
        " WHERE expires_at IS NOT NULL OR will_due_at IS NOT NULL",
        (seconds, seconds),
    )


def _write(
    database: sqlite3.Connection,
    table: Table,
    changes: Mapping[Any, Sequence[Any] | None],
    keys: list[Any] | None = None,
) -> None:
    """Write what has changed in a table; `keys` are those that have gone, if somebody knows."""
    if not changes:
        return
    rows = [row for row in changes.values() if row is not None]
    if len(rows) < len(changes):
        if keys is None:
            keys = [key for key, row in changes.items() if row is None]
        if len(table.key) == 1:
            keys = [(key,) for key in keys]
        _run(database, _deletion, (table.name, table.key), keys)
    _run(database, _upsert, (table.name, table.columns, table.key), rows)


def table_of(row: Row) -> Table:
    return _TABLE_OF[type(row)]


def stored(row: Row) -> Sequence[Any]:
    """The row as it stands in its table."""
    return (row.session << 16 | row.packet_id,) if isinstance(row, IdentifierRow) else row


def insert(database: sqlite3.Connection, table: Table, rows: list[Sequence[Any]]) -> None:
    """Write rows as they stand in the table, in the transaction that is open."""
    _run(database, _upsert, (table.name, table.columns, table.key), rows)


def _run(
    database: sqlite3.Connection,
    statement: Callable[..., str],
    about: tuple[Any, ...],
    rows: list[Sequence[Any]],
) -> None:
    """Run a statement that takes many rows, for all of these; of few sizes, so that they stay."""
    at = 0
    while at < len(rows):
        size = min(MOST_ROWS, 1 << (len(rows) - at).bit_length() - 1)
        some = rows[at : at + size]
        database.execute(statement(*about, size), list(chain.from_iterable(some)))
        at += size


@cache
def _upsert(table: str, columns: tuple[str, ...], key: tuple[str, ...], rows: int) -> str:
    others = [f"{name} = excluded.{name}" for name in columns if name not in key]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES {_values(len(columns), rows)}"
        f" ON CONFLICT ({', '.join(key)}) DO "
        + (f"UPDATE SET {', '.join(others)}" if others else "NOTHING")
    )


@cache
def _deletion(table: str, key: tuple[str, ...], rows: int) -> str:
    if len(key) == 1:
        return f"DELETE FROM {table} WHERE {key[0]} IN ({', '.join('?' * rows)})"
    # SQLite looks each of them up; for `(session, message) IN (VALUES …)` it would read them all.
    one = " AND ".join(f"{name} = ?" for name in key)
    return f"DELETE FROM {table} WHERE {' OR '.join([f'({one})'] * rows)}"


def _values(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


def read(database: sqlite3.Connection, progress: Progress | None) -> Kept:
    """All rows, but deliveries of sessions that have gone."""
    count = "SELECT " + " + ".join(f"(SELECT count(*) FROM {table.name})" for table in TABLES)
    total = database.execute(count).fetchone()[0]
    done = 0
    kept: list[Any] = []
    for table in TABLES:
        rows: list[Any] = []
        kept.append(rows)
        # Closed, for else an error that somebody keeps would keep the file from being closed.
        with closing(database.execute(_selection(table))) as cursor:
            while some := cursor.fetchmany(_READ_AT_ONCE):
                rows += map(table.make, some)
                done += len(some)
                if progress is not None:
                    progress(done, total)
    found = Kept(*kept)
    if any(row.place for row in found.deliveries):
        found.deliveries.sort(key=attrgetter("order"))
    return found


def _selection(table: Table) -> str:
    where = ""
    if table is DELIVERIES:
        where = " WHERE session IN (SELECT number FROM sessions) ORDER BY message"
    return f"SELECT {', '.join(table.columns)} FROM {table.name}{where}"


def forget_what_ended(database: sqlite3.Connection, now: float) -> None:
    """Delete what has expired, and what belongs to nothing any more, all over the file."""
    run = database.execute
    sessions = "(SELECT number FROM sessions)"
    run("DELETE FROM sessions WHERE expires_at <= ? AND will IS NULL", (now,))
    run(f"DELETE FROM subscriptions WHERE session NOT IN {sessions}")
    run(f"DELETE FROM identifiers WHERE key >> 16 NOT IN {sessions}")
    run(f"DELETE FROM deliveries WHERE session NOT IN {sessions}")
    # Sent once, it does not expire (§4.3.3).
    expired = "(SELECT number FROM messages WHERE expires_at <= ?)"
    run(f"DELETE FROM deliveries WHERE packet_id = 0 AND message IN {expired}", (now,))
    messages = "(SELECT number FROM messages)"
    run(f"DELETE FROM deliveries WHERE NOT is_released AND message NOT IN {messages}")
    run("DELETE FROM messages WHERE number NOT IN (SELECT message FROM deliveries)")
    run("DELETE FROM retained WHERE expires_at <= ?", (now,))


def last_session(database: sqlite3.Connection) -> int:
    """The highest number of a session that something is left of."""
    return max(
        int(database.execute(f"SELECT coalesce(max({session}), 0) FROM {table}").fetchone()[0])
        for table, session in (
            ("sessions", "number"),
            ("subscriptions", "session"),
            ("identifiers", "key >> 16"),
            ("deliveries", "session"),
        )
    )


def sweep(database: sqlite3.Connection, after: int, rows: int) -> int | None:
    """Delete deliveries of sessions that have gone, among some `rows` of messages after one.

    Returns the message up to which that is done, or None where there is none.
    """
    last = database.execute(
        "SELECT max(message) FROM"
        " (SELECT message FROM deliveries WHERE message > ? ORDER BY message LIMIT ?)",
        (after, rows),
    ).fetchone()[0]
    if last is None:
        return None
    database.execute(
        "DELETE FROM deliveries WHERE message > ? AND message <= ?"
        " AND session NOT IN (SELECT number FROM sessions)",
        (after, last),
    )
    return int(last)
