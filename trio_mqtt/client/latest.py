"""What happens to a client, for whoever follows it: the latest, where nobody keeps up."""

from __future__ import annotations

from collections import deque
from typing import Generic, Self, TypeVar

import anyio

T = TypeVar("T")


class Latest(Generic[T]):
    """An async iterator of what is pushed, from when it was made until it is closed.

    It keeps up to `limit` that were not taken yet; then the oldest is forgotten for each new, and
    counted in `missed`.
    """

    def __init__(self, limit: int) -> None:
        self.missed: int = 0
        self._queue: deque[T] = deque(maxlen=limit)
        self._changed = anyio.Event()
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            changed = self._changed
            await changed.wait()
        return self._queue.popleft()

    async def take(self) -> list[T]:
        """All that is here, at least one: it waits for that as iterating does.

        Raises StopAsyncIteration where iterating would end.
        """
        taken = [await self.__anext__(), *self._queue]
        self._queue.clear()
        return taken

    def push(self, *news: T) -> None:
        """Add what has happened (the client does)."""
        for one in news:
            self.missed += len(self._queue) == self._queue.maxlen
            self._queue.append(one)
        self._wake()

    def close(self) -> None:
        """End the iteration after what is queued."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
