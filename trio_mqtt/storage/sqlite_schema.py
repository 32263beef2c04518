"""The tables in a broker's file, what they were in earlier versions, and how those become these."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from trio_mqtt.errors import StoreError
from trio_mqtt.version import __version__

APPLICATION = 0x746D7162  # "tmqb": says that a file of SQLite is one of these

_SCHEMA = """
CREATE TABLE about (trio_mqtt TEXT NOT NULL);  -- the version that used it last; stays as it is
CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    received_at REAL NOT NULL,
    properties BLOB NOT NULL,
    expires_at REAL
);
-- In the order in which they come, so that those of one moment stand together, however many
-- sessions they are for. What a session that goes leaves here is swept up when there is time.
CREATE TABLE deliveries (
    session INTEGER NOT NULL,
    message INTEGER NOT NULL,
    topic_filter TEXT NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    identifiers BLOB NOT NULL,
    packet_id INTEGER NOT NULL,
    is_released INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (message, session)
) WITHOUT ROWID;
CREATE TABLE identifiers (key INTEGER PRIMARY KEY);  -- session << 16 | packet identifier
CREATE TABLE subscriptions (
    session INTEGER NOT NULL,
    topic_filter TEXT NOT NULL,
    qos INTEGER NOT NULL,
    no_local INTEGER NOT NULL,
    retain_as_published INTEGER NOT NULL,
    identifier INTEGER,
    asked TEXT NOT NULL,
    searching INTEGER NOT NULL,
    PRIMARY KEY (session, topic_filter)
);
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,
    client_id TEXT NOT NULL,
    owner TEXT,
    expiry_interval INTEGER NOT NULL,
    expires_at REAL,
    will BLOB,
    will_due_at REAL,
    author TEXT
);
CREATE TABLE retained (
    topic TEXT PRIMARY KEY NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    received_at REAL NOT NULL,
    properties BLOB NOT NULL,
    author TEXT,
    expires_at REAL
);
"""

# The first makes the tables, the second makes version 2 of version 1, and so on.
STEPS = (_SCHEMA,)


def prepare(database: sqlite3.Connection, path: str) -> None:
    """Have the file hold the tables of this version, made or migrated, all or nothing.

    Raises StoreError where it is something else, or newer.
    """
    version = _pragma(database, "user_version")
    application = _pragma(database, "application_id")
    is_empty = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version == len(STEPS) and application == APPLICATION:
        is_damaged = _tables(database) != _tables_of_new()
    elif version not in range(len(STEPS)) or application != APPLICATION:
        is_damaged = not is_empty and _tables(database) == _tables_of_new() and _was_ours(database)
    else:
        is_damaged = False
    if is_damaged:
        raise sqlite3.DatabaseError("it is not what it was made as")
    if application != APPLICATION and not (is_empty and application == 0):
        raise StoreError(
            f"{path} is a file of SQLite, but not what a broker keeps. Choose another path."
        )
    if version not in range(len(STEPS) + 1):
        raise StoreError(
            f"{path} was written by trio-mqtt {_writer(database)}, whose version {version} of it"
            f" this one, {__version__}, does not know. Use that version or a newer one."
        )
    if version == len(STEPS) and _writer(database) == __version__:
        return
    try:
        _make(database, STEPS[version:])
    except (sqlite3.OperationalError, sqlite3.IntegrityError) as error:
        if version == 0:
            raise
        raise StoreError(
            f"{path} was written by trio-mqtt {_writer(database)}, and cannot be made into what"
            f" {__version__} needs ({error}). It is as it was."
        ) from error


def _make(database: sqlite3.Connection, steps: Sequence[str]) -> None:
    run = database.execute
    try:
        database.executescript("BEGIN IMMEDIATE;" + "".join(steps))
        run("DELETE FROM about")
        run("INSERT INTO about VALUES (?)", (__version__,))
        run(f"PRAGMA application_id = {APPLICATION}")
        run(f"PRAGMA user_version = {len(STEPS)}")
        run("COMMIT")
    except BaseException:
        if database.in_transaction:
            run("ROLLBACK")
        raise


def _was_ours(database: sqlite3.Connection) -> bool:
    """Whether this version of trio-mqtt has used it last."""
    try:
        return _writer(database) == __version__
    except sqlite3.Error:
        return False


def _tables(database: sqlite3.Connection) -> list[tuple[str, str]]:
    return sorted(database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def _tables_of_new() -> list[tuple[str, str]]:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.executescript("".join(STEPS))
    tables = _tables(database)
    database.close()
    return tables


def _writer(database: sqlite3.Connection) -> str:
    row = database.execute("SELECT trio_mqtt FROM about").fetchone()
    return "of an unknown version" if row is None else str(row[0])


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])
