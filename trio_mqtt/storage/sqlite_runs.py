"""How runs of messages are written to a broker's file: many rows by one statement."""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import Any, NamedTuple

from trio_mqtt.storage.gathered import Gathered, encoded, expiry

# What one statement writes at most. Python lets go of the interpreter for each statement, and waits
# for it again afterwards: beside a busy event loop, one row a statement takes ten times as long.
# Before SQLite 3.32 a statement had at most 999 values.
MOST_ROWS = 64


class _Insertion(NamedTuple):
    """A statement, what each row is in it, and how many values a row has.

    What comes twice does no harm: a message is the same whenever it is written, and of a delivery
    the last word counts.
    """

    statement: str
    row: str
    values: int


_OF_MESSAGES = _Insertion(
    "INSERT INTO messages"
    " (number, topic, payload, qos, retain, received_at, properties, expires_at)"
    " VALUES {} ON CONFLICT DO NOTHING",
    "(?, ?, ?, ?, ?, ?, ?, nullif(?, 0))",
    8,
)
_OF_DELIVERIES = _Insertion(
    "INSERT INTO deliveries"
    " (session, message, topic_filter, qos, retain, identifiers, packet_id, place, is_released)"
    " VALUES {} ON CONFLICT (message, session) DO UPDATE SET"
    " topic_filter = excluded.topic_filter, qos = excluded.qos, retain = excluded.retain,"
    " identifiers = excluded.identifiers, packet_id = excluded.packet_id, place = excluded.place,"
    " is_released = 0",
    "(?, ?, ?, ?, ?, ?, ?, ?, 0)",
    8,
)

# Of None and bytes Python asks around whether they want to be something else, which takes longer
# than writing them does; of 0 and of an array of bytes it does not.
_NOTHING = bytearray()


def write_runs(database: sqlite3.Connection, changes: Gathered) -> None:
    """Write what is left of the runs, in the transaction that is open."""
    values: list[Any] = []
    for number, message, at in changes.messages_left():
        frame, properties = message.frame, message.properties
        values += (
            number,
            message.topic,
            bytearray(message.payload if frame is None else frame[message.payload_at :]),
            message.qos,
            1 if message.retain else 0,
            at,
            bytearray(encoded(properties)) if properties else _NOTHING,
            (expiry(message, at) or 0) if properties else 0,
        )
        if len(values) == MOST_ROWS * _OF_MESSAGES.values:
            _write(database, _OF_MESSAGES, values)
    _write(database, _OF_MESSAGES, values)
    for delivery in changes.deliveries_left():
        values += delivery
        if len(values) == MOST_ROWS * _OF_DELIVERIES.values:
            _write(database, _OF_DELIVERIES, values)
    _write(database, _OF_DELIVERIES, values)


def _write(database: sqlite3.Connection, insertion: _Insertion, values: list[Any]) -> None:
    """Write rows, by statements of few sizes, so that they stay; `values` are gone then."""
    at = 0
    while at < len(values):
        rows = 1 << ((len(values) - at) // insertion.values).bit_length() - 1
        end = at + rows * insertion.values
        database.execute(_statement(insertion, rows), values[at:end])
        at = end
    values.clear()


@cache
def _statement(insertion: _Insertion, rows: int) -> str:
    return insertion.statement.format(", ".join([insertion.row] * rows))
