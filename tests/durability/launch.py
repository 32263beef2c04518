"""`tmqtt`, with an end at a fault point of its storage, or with a deliberate defect.

    launch.py [--fault PLACE:COMMIT] [--defect NAME] ARGUMENT …

The process ends as if it was killed at that commit: `before` it, `inside` its transaction, or
`after` it, when nobody has been told yet. A defect is in what is written; the checker has to find
it.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections import deque
from collections.abc import Callable
from itertools import count

from tmqtt.__main__ import main

from trio_mqtt.storage import sqlite_tables
from trio_mqtt.storage.rows import Changes
from trio_mqtt.storage.sqlite import SqliteStorage
from trio_mqtt.storage.sqlite_file import BrokerFile

EXIT_CODE = 137  # as of a process that was killed


def end_at(place: str, commit: int) -> None:
    """Have the process end at this commit, counted from 1."""
    append, write = BrokerFile.append, sqlite_tables.write
    commits = count(1)
    current = 0

    def end(where: str) -> None:
        if where == place and current == commit:
            os._exit(EXIT_CODE)

    def append_with_fault(file: BrokerFile, changes: Changes) -> None:
        nonlocal current
        current = next(commits)
        end("before")
        append(file, changes)
        end("after")

    def write_with_fault(database: sqlite3.Connection, changes: Changes) -> None:
        write(database, changes)
        end("inside")

    BrokerFile.append = append_with_fault  # type: ignore[method-assign, assignment]  # this is the fault
    sqlite_tables.write = write_with_fault


def acknowledge_early() -> None:
    """The last three groups of changes are said to be durable, and are not."""
    append = SqliteStorage.append
    late: deque[Changes] = deque()

    async def append_late(storage: SqliteStorage, changes: Changes) -> None:
        late.append(changes)
        if len(late) > 3:
            await append(storage, late.popleft())

    SqliteStorage.append = append_late  # type: ignore[method-assign, assignment]  # this is the defect


def _changed(change: Callable[[Changes], None]) -> None:
    append = BrokerFile.append

    def append_changed(file: BrokerFile, changes: Changes) -> None:
        change(changes)
        append(file, changes)

    BrokerFile.append = append_changed  # type: ignore[method-assign, assignment]  # this is the defect


def forget_deliveries() -> None:
    """One in twenty rows of the queues is not written."""
    numbers = count(1)

    def forget(changes: Changes) -> None:
        for key in [key for key, row in changes.deliveries.items() if row is not None]:
            if next(numbers) % 20 == 0:
                del changes.deliveries[key]

    _changed(forget)


def forget_identifiers() -> None:
    """The identifiers of QoS 2 messages that are not released are not stored."""
    _changed(lambda changes: changes.identifiers.clear())


def forget_packet_ids() -> None:
    """That a message is on its way, and how far, is not stored."""

    def forget(changes: Changes) -> None:
        for key, row in changes.deliveries.items():
            if row is not None:
                changes.deliveries[key] = row._replace(packet_id=0, is_released=0)

    _changed(forget)


def keep_removed() -> None:
    """Retained messages that were removed stay in the file."""

    def keep(changes: Changes) -> None:
        for topic in [topic for topic, row in changes.retained.items() if row is None]:
            del changes.retained[topic]

    _changed(keep)


def keep_unsubscribed() -> None:
    """Subscriptions that were given up stay in the file."""

    def keep(changes: Changes) -> None:
        for key in [key for key, row in changes.subscriptions.items() if row is None]:
            del changes.subscriptions[key]

    _changed(keep)


def forget_wills() -> None:
    """Sessions are stored without their wills."""

    def forget(changes: Changes) -> None:
        for number, row in changes.sessions.items():
            if row is not None:
                changes.sessions[number] = row._replace(will=None, will_due_at=None)

    _changed(forget)


def forget_expiry() -> None:
    """Messages are stored without their expiry."""

    def forget(changes: Changes) -> None:
        for number, row in changes.messages.items():
            if row is not None and row.expires_at is not None:
                changes.messages[number] = row._replace(properties=b"", expires_at=None)

    _changed(forget)


DEFECTS = {
    "acknowledge-early": acknowledge_early,
    "forget-deliveries": forget_deliveries,
    "forget-expiry": forget_expiry,
    "forget-identifiers": forget_identifiers,
    "forget-packet-ids": forget_packet_ids,
    "forget-wills": forget_wills,
    "keep-removed": keep_removed,
    "keep-unsubscribed": keep_unsubscribed,
}


def launch() -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--fault")
    parser.add_argument("--defect", choices=sorted(DEFECTS))
    known, arguments = parser.parse_known_args()
    if known.defect is not None:
        DEFECTS[known.defect]()
    if known.fault is not None:
        place, commit = known.fault.split(":")
        end_at(place, int(commit))
    sys.argv = ["tmqtt", *arguments]
    main()


if __name__ == "__main__":
    launch()
