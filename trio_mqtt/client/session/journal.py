"""Keeping what a client has to remember in its store, many changes in one commit."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

if TYPE_CHECKING:
    from trio_mqtt.storage.client_changes import ClientChange, OutgoingStored
    from trio_mqtt.storage.client_store import ClientStore

# Messages that a client may have to deliver; who publishes more of them waits.
MAX_STORED = 10_000
# How long a broker is asked to keep the session of a client that stores its own half, in seconds.
SESSION_EXPIRY_INTERVAL = 86_400


class Journal:
    """Changes, in the order of `note`. Those that come while a commit is under way share the next.

    `on_commit` is called after each commit, when all that it made possible has been done.
    """

    def __init__(
        self, store: ClientStore, outgoing: list[OutgoingStored], received: set[int]
    ) -> None:
        self.client_id = store.client_id
        self.outgoing = outgoing
        self.received = received
        self.on_commit: Callable[[], None] = lambda: None
        self._store = store
        self._last = outgoing[-1].number if outgoing else 0
        self._noted: list[tuple[ClientChange, Callable[[], None] | None]] = []
        self._changed = anyio.Event()

    def next_number(self) -> int:
        """The place of the next message to deliver."""
        self._last += 1
        return self._last

    def note(self, change: ClientChange, then: Callable[[], None] | None = None) -> None:
        """Make a change soon; call `then`, which must not raise, once it is safe."""
        self._noted.append((change, then))
        self._changed.set()

    async def run(self) -> None:
        """Commit what is noted, for ever. Raises StoreError where it cannot."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self.commit()

    async def commit(self) -> None:
        """Commit what is noted now. It is never left half done: cancelling waits for the disk."""
        noted, self._noted = self._noted, []
        if not noted:
            return
        try:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._store.apply, [change for change, _ in noted])
        except BaseException:
            self._noted = noted + self._noted
            raise
        for _, then in noted:
            if then is not None:
                then()
        self.on_commit()


@asynccontextmanager
async def opened_journal(
    path: str | os.PathLike[str] | None, client_id: str
) -> AsyncIterator[Journal | None]:
    """The journal of the client whose store is at `path`; None where there is to be none.

    Raises StoreError for a file that cannot be used.
    """
    if path is None:
        yield None
        return
    # Loaded where it is used: most programs have no store.
    from trio_mqtt.storage.client_store import ClientStore

    opened: list[ClientStore] = []

    def load() -> Journal:
        store = ClientStore(os.fspath(path), client_id, f"tmqtt-{os.urandom(8).hex()}")
        opened.append(store)
        return Journal(store, *store.load())

    journal: Journal | None = None
    try:
        journal = await to_thread.run_sync(load)
        yield journal
    finally:
        with anyio.CancelScope(shield=True):
            try:
                if journal is not None:
                    journal.on_commit = lambda: None
                    await journal.commit()
            finally:
                for store in opened:
                    await to_thread.run_sync(store.close)
