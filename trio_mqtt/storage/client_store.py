"""What a client keeps in SQLite: messages that it has to deliver, and QoS 2 that it has received.

All calls block: a client makes them in a worker thread, one at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from trio_mqtt.errors import MalformedPacketError, RemoteProtocolError, StoreError
from trio_mqtt.protocol.properties import (
    Carrier,
    decode_properties,
    encode_properties,
)
from trio_mqtt.protocol.wire import Reader
from trio_mqtt.storage.client_changes import (
    ClientChange,
    OutgoingDone,
    OutgoingReleased,
    OutgoingStored,
    ReceivedDone,
    ReceivedForgotten,
    ReceivedStored,
)

_APPLICATION = 0x746D7174  # "tmqt": says that a file of SQLite is one of these
_SCHEMA_VERSION = 1
_SCHEMA = f"""
CREATE TABLE client (client_id TEXT NOT NULL);
CREATE TABLE outgoing (
    number INTEGER PRIMARY KEY,  -- the order of publishing
    packet_id INTEGER NOT NULL UNIQUE,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    released INTEGER NOT NULL DEFAULT 0,  -- PUBREC came
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    properties BLOB NOT NULL
);
CREATE TABLE received (packet_id INTEGER PRIMARY KEY);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_SCHEMA_VERSION};
"""


class ClientStore:
    """The file, open and locked: no other program can use it meanwhile."""

    def __init__(self, path: str, client_id: str, new_client_id: str) -> None:
        """Open the file at `path`, or make one that only its owner may read.

        It belongs to one client identifier: `client_id`, or, if that is empty, the one that is
        in it; a new file takes `new_client_id` then. Raises StoreError, whose text says what is
        wrong with the file and what to do.
        """
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreError(
                f"The store {path} cannot be opened ({(error.strerror or str(error)).lower()})."
                " Check its folder and who may write there."
            ) from error
        self._database = sqlite3.connect(
            Path(path), timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self.client_id = self._open(client_id, new_client_id)
        except sqlite3.Error as error:
            self._database.close()
            raise self._problem(error) from error
        except BaseException:
            self._database.close()
            raise

    def _open(self, client_id: str, new_client_id: str) -> str:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("BEGIN IMMEDIATE")
        run("COMMIT")  # from here on the file is this program's
        application = run("PRAGMA application_id").fetchone()[0]
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application == 0 and tables == 0:
            self._database.executescript(f"BEGIN;{_SCHEMA}")
            run("INSERT INTO client VALUES (?)", (client_id or new_client_id,))
            run("COMMIT")
        elif application != _APPLICATION:
            raise StoreError(
                f"{self._path} is a file of SQLite, but not the store of a client."
                " Choose another path."
            )
        version = run("PRAGMA user_version").fetchone()[0]
        if version != _SCHEMA_VERSION:
            raise StoreError(
                f"The store {self._path} is of version {version}, and this program knows version"
                f" {_SCHEMA_VERSION}. Use the program that wrote it, or choose another path."
            )
        if run("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("it is damaged")
        stored = str(run("SELECT client_id FROM client").fetchone()[0])
        if client_id and client_id != stored:
            raise StoreError(
                f"The store {self._path} belongs to the client {stored!r}, not to {client_id!r}."
                " Each client needs a store of its own."
            )
        return stored

    def load(self) -> tuple[list[OutgoingStored], set[int]]:
        """Messages to deliver, in order, and packet identifiers of QoS 2 received."""
        try:
            rows = self._database.execute(
                "SELECT number, packet_id, qos, retain, topic, payload, properties, released"
                " FROM outgoing ORDER BY number"
            ).fetchall()
            outgoing = [
                OutgoingStored(
                    number,
                    packet_id,
                    qos,
                    bool(retain),
                    topic,
                    payload,
                    decode_properties(Reader(properties), Carrier.PUBLISH),
                    bool(released),
                )
                for number, packet_id, qos, retain, topic, payload, properties, released in rows
            ]
            received = {row[0] for row in self._database.execute("SELECT * FROM received")}
        except (sqlite3.Error, MalformedPacketError, RemoteProtocolError) as error:
            raise self._problem(error) from error
        return outgoing, received

    def apply(self, changes: Iterable[ClientChange]) -> None:
        """Make changes, in order, all or none; returns when they are on the disk."""
        try:
            self._database.execute("BEGIN")
            try:
                for change in changes:
                    self._apply(change)
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(
                f"The store {self._path} cannot be written ({error}). Is the disk full?"
            ) from error

    def _apply(self, change: ClientChange) -> None:
        run = self._database.execute
        match change:
            case OutgoingStored():
                run(
                    "INSERT INTO outgoing VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        change.number,
                        change.packet_id,
                        change.qos,
                        change.retain,
                        change.released,
                        change.topic,
                        change.payload,
                        encode_properties(change.properties, Carrier.PUBLISH),
                    ),
                )
            case OutgoingReleased():
                run(
                    "UPDATE outgoing SET released = 1, payload = x'' WHERE number = ?",
                    (change.number,),
                )
            case OutgoingDone():
                run("DELETE FROM outgoing WHERE number = ?", (change.number,))
            case ReceivedStored():
                run("INSERT OR IGNORE INTO received VALUES (?)", (change.packet_id,))
            case ReceivedDone():
                run("DELETE FROM received WHERE packet_id = ?", (change.packet_id,))
            case ReceivedForgotten():
                run("DELETE FROM received")

    def close(self) -> None:
        """Let others use the file."""
        self._database.close()

    def _problem(self, error: Exception) -> StoreError:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return StoreError(
                f"The store {self._path} is in use by another program. Stop that one, or choose"
                " another path: each client needs a store of its own."
            )
        return StoreError(
            f"The store {self._path} cannot be read ({error}). If it is damaged, remove it, and"
            " what it holds is lost; if it is something else, choose another path."
        )
