"""Much for many at once: those whom it reaches begin to send a few at a time.

A read of 256 KiB that reaches a hundred clients is 25 MB to write, which takes as long as a hundred
turns. All of it waits in their queues at once, in order; but only so many of their tasks run
before everybody else has had their turn, and whoever published it is read from when all have begun.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.routing.batch import Author, Batch
    from trio_mqtt.broker.routing.target import Target

# Bytes of a batch times those whom it reaches, beyond which it is spread: some milliseconds.
MUCH = 4 * 1024 * 1024
_AT_ONCE = 1024 * 1024  # of them, for which the others wait
_BESIDE = 16 * 1024  # as many bytes as the rest of a task's turn takes the time of
_LOOKS = 1_024  # at who is reached, in one turn: many may have nothing to do, or no room to write


class _Spread:
    """One batch, and how far it is among those whom it reaches."""

    __slots__ = ("_at", "_targets", "_wakes")

    def __init__(self, size: int, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._at = 0
        self._wakes = max(1, _AT_ONCE // (size + _BESIDE))  # in one turn

    def go_on(self) -> bool:
        """Have the next of them begin; whether these were the last."""
        wakes, targets = self._wakes, self._targets
        end = min(len(targets), self._at + _LOOKS)
        for at in range(self._at, end):
            if targets[at].subscription.begin_sending():
                wakes -= 1
                if not wakes:
                    end = at + 1
                    break
        self._at = end
        return end == len(targets)


class Spreading:
    """What is spread now, by author: each of them in turn."""

    def __init__(self) -> None:
        # Empty nearly always, and nobody looks further then.
        self.under_way: dict[Author | None, deque[_Spread]] = {}
        self._waiting: dict[Author | None, trio.Event] = {}
        self._wake = trio.Event()

    def begin(self, batch: Batch, targets: Sequence[Target]) -> None:
        """Have all send a batch, who have it in their queues and have not begun."""
        spread = _Spread(batch.size, targets)
        if not self.under_way:
            if spread.go_on():
                return
            self._wake.set()
        self.under_way.setdefault(batch.sender, deque()).append(spread)

    async def passed(self, author: Author) -> None:
        """Wait until all have begun to send what an author has published."""
        if author in self.under_way:
            await self._waiting.setdefault(author, trio.Event()).wait()

    async def run(self) -> None:
        """Have the next begin, in turns, for as long as the broker runs."""
        while True:
            while self.under_way:
                await trio.lowlevel.checkpoint()
                self._go_on()
            self._wake = trio.Event()
            await self._wake.wait()

    def _go_on(self) -> None:
        author = next(iter(self.under_way))
        spreads = self.under_way.pop(author)
        if spreads[0].go_on():
            spreads.popleft()
        if spreads:
            self.under_way[author] = spreads  # it is the next one's turn
        elif author in self._waiting:
            self._waiting.pop(author).set()
