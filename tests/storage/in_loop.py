"""SQLite underneath the brokers of other tests, in their thread: virtual time waits for none."""

from __future__ import annotations

from pathlib import Path

import trio

from trio_mqtt.storage.rows import Changes, Kept, Progress
from trio_mqtt.storage.sqlite_file import BrokerFile


class InLoop:
    """A storage of SQLite whose calls block."""

    def __init__(self, folder: Path) -> None:
        self._file = BrokerFile(str(folder / "broker.sqlite3"), synchronous="OFF")

    async def load(self, progress: Progress | None = None) -> Kept:
        await trio.lowlevel.checkpoint()
        return self._file.load(progress)

    async def append(self, changes: Changes) -> None:
        await trio.lowlevel.checkpoint()
        self._file.append(changes)

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self._file.close()
