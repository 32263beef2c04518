"""What keeps what outlives a broker of a test: its disk may be full, and it may die at once."""

from __future__ import annotations

from trio_mqtt.errors import StoreError
from trio_mqtt.storage.rows import Changes, Kept, Progress, Storage

DISK_FULL = "{} could not be written: no space left on device. Its disk is full: make room there."


class Disk:
    """What the storages of one broker after the other have in common."""

    def __init__(self) -> None:
        self.is_full = False


class MortalStorage:
    """A storage for one broker's life, which hands all on to the one that outlives it."""

    def __init__(self, storage: Storage, disk: Disk) -> None:
        self._storage = storage
        self._disk = disk
        self._is_dead = False
        # As those have it who look for the folder beside what is kept.
        self.path: str | None = getattr(storage, "path", None)

    def die(self) -> None:
        """From now on nothing is kept, as of a process that was killed."""
        self._is_dead = True

    async def load(self, progress: Progress | None = None) -> Kept:
        return await self._storage.load(progress)

    async def append(self, changes: Changes) -> None:
        if self._is_dead:
            return  # nobody is told that it was kept: all connections are cut
        if self._disk.is_full:
            raise StoreError(DISK_FULL.format(self.path or "The storage"))
        await self._storage.append(changes)

    async def close(self) -> None:
        await self._storage.close()
