"""The storage in memory."""

from __future__ import annotations

from pathlib import Path

from tests.storage.contract import StorageContract
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import Storage


class TestMemoryStorage(StorageContract):
    def storage(self, folder: Path) -> Storage:
        return MemoryStorage()

    def next(self, storage: Storage) -> Storage:
        return storage
