"""A storage in memory: it outlives brokers, not the process."""

from __future__ import annotations

from collections.abc import Sequence

from trio_mqtt.storage.records import (
    Change,
    RetainedChange,
    Stored,
    StoredMessage,
    StoredSession,
)


class MemoryStorage:
    """Hands sessions and retained messages from one broker of a program to the next.

    storage = trio_mqtt.MemoryStorage()
    async with trio_mqtt.open_broker(storage=storage): ...
    async with trio_mqtt.open_broker(storage=storage): ...  # goes on where the first ended
    """

    def __init__(self) -> None:
        self._retained: dict[str, StoredMessage] = {}
        self._sessions: dict[str, StoredSession] = {}

    async def load(self) -> Stored:
        return Stored(tuple(self._retained.values()), tuple(self._sessions.values()))

    async def append(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, RetainedChange):
                if change.message is None:
                    self._retained.pop(change.topic, None)
                else:
                    self._retained[change.topic] = change.message
            elif change.session is None:
                self._sessions.pop(change.client_id, None)
            else:
                self._sessions[change.client_id] = change.session

    async def close(self) -> None:
        pass  # there is nothing to let go of: the next broker loads it
