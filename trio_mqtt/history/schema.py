"""The tables in the file of a history."""

from __future__ import annotations

import sqlite3

from trio_mqtt.errors import StoreError
from trio_mqtt.version import __version__

APPLICATION = 0x746D7168  # "tmqh": says that a file of SQLite is one of these

_SCHEMA = """
CREATE TABLE about (trio_mqtt TEXT NOT NULL);  -- the version that made it
CREATE TABLE topics (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    messages INTEGER NOT NULL
);
-- In the order in which they come. What is looked for is a topic within some time: the index begins
-- with the time, so that what is added stands together in it, however many topics there are, and so
-- does what is removed for its age.
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    bucket INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX places ON chunks (bucket, topic);
"""
_REMOVED = """
CREATE TABLE removed (
    day TEXT NOT NULL,
    reason TEXT NOT NULL,
    filter TEXT NOT NULL,
    messages INTEGER NOT NULL,
    oldest INTEGER,
    newest INTEGER,
    PRIMARY KEY (day, reason, filter)
) WITHOUT ROWID;
"""
# What was removed had no filter once.
_SECOND = """
ALTER TABLE removed RENAME TO removed_once;
{}
INSERT INTO removed SELECT day, reason, '', messages, oldest, newest FROM removed_once;
DROP TABLE removed_once;
"""
VERSION = 2


def prepare(database: sqlite3.Connection, path: str) -> None:
    """Have the file hold the tables. Raises StoreError where it is something else, or newer."""
    run = database.execute
    version = run("PRAGMA user_version").fetchone()[0]
    application = run("PRAGMA application_id").fetchone()[0]
    if version == VERSION and application == APPLICATION:
        return
    if application == APPLICATION and version == 1:
        _change(database, _SECOND.format(_REMOVED))
        return
    if application == APPLICATION:
        writer = run("SELECT trio_mqtt FROM about").fetchone()
        raise StoreError(
            f"{path} is a history that trio-mqtt {writer[0] if writer else ''} has written, whose"
            f" version {version} this one, {__version__}, does not know. Use that one or a newer."
        )
    if application or version or run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{path} is no history of trio-mqtt. Choose another path.")
    of_version = f"INSERT INTO about VALUES ('{__version__}');"  # noqa: S608 # ours
    _change(database, f"{_SCHEMA}{_REMOVED}{of_version}PRAGMA application_id = {APPLICATION};")


def _change(database: sqlite3.Connection, script: str) -> None:
    """Have the tables be those of this version, or leave them as they are."""
    try:
        database.executescript(f"BEGIN IMMEDIATE;{script}PRAGMA user_version = {VERSION};COMMIT;")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
