"""The sessions of which cursors have moved since somebody looked."""

from __future__ import annotations

from itertools import islice

import trio


class Moved:
    """By their numbers, the first that have moved first."""

    def __init__(self) -> None:
        self._moved: dict[int, None] = {}
        self._are_some = trio.Event()

    def add(self, number: int) -> None:
        """Cursors of a session are to be looked at, when there is time."""
        self._moved[number] = None
        if not self._are_some.is_set():
            self._are_some.set()

    def discard(self, number: int) -> None:
        """A session has gone."""
        self._moved.pop(number, None)

    async def wait(self) -> None:
        """Wait until there are some."""
        await self._are_some.wait()

    def take(self, most: int) -> list[int]:
        """At most so many of them, which are looked at now."""
        found = list(islice(self._moved, most))
        for number in found:
            del self._moved[number]
        if not self._moved:
            self._are_some = trio.Event()
        return found
