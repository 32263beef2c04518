"""Much for many at once: those whom it reaches begin to send a few at a time.

A read of 256 KiB that reaches a hundred clients is 25 MB to write, which takes as long as a hundred
turns. All of it waits in their queues at once, in order; but only so many of their tasks run
before everybody else has had their turn, and whoever published it is read from when all have begun.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.routing.batch import JOIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.published import Author
    from trio_mqtt.broker.routing.target import Target

LITTLE = 256 * 1024  # bytes of a batch for all whom it reaches, up to which nobody looks further
# Those of all that comes of one read and is not little, beyond which the rest is spread: they take
# some milliseconds.
MUCH = 4 * 1024 * 1024
_AT_ONCE = 1024 * 1024  # of what is spread, for which the others wait
_BESIDE = 16 * 1024  # as many bytes as the rest of a task's turn takes the time of
_LOOKS = 1_024  # at who is reached, in one turn: many may have nothing to do, or no room to write


class _Spread:
    """Those whom something reaches, and how many of them have begun."""

    __slots__ = ("_at", "_targets")

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._at = 0

    def go_on(self) -> bool:
        """Have the next of them begin; whether these were the last."""
        targets, left = self._targets, _AT_ONCE
        at = self._at
        end = min(len(targets), at + _LOOKS)
        while at < end and left > 0:
            waiting = targets[at].subscription.begin_sending()
            if waiting:
                left -= min(waiting, JOIN) + _BESIDE
            at += 1
        self._at = at
        return at == len(targets)


class Spreading:
    """What is spread now, by author: each of them in turn."""

    def __init__(self) -> None:
        # Empty nearly always, and nobody looks further then.
        self.under_way: dict[Author | None, deque[_Spread]] = {}
        # Who is not read from now, as something of theirs is spread, or a reader takes no more of
        # it; for how many reasons.
        self.held_back: dict[Author | None, int] = {}
        self._waiting: dict[Author | None, trio.Event] = {}
        self._wake = trio.Event()
        # When the last read came of which not little was routed, and how much that was.
        self._read_at = 0.0
        self._routed = 0

    def is_much(self, batch: Batch, size: int) -> bool:
        """Whether a batch, of `size` bytes for all whom it reaches, must be spread.

        It counts with what came before it in the same read.
        """
        if batch.received_at != self._read_at:
            self._read_at = batch.received_at
            self._routed = 0
        self._routed += size
        return self._routed > MUCH

    def begin(self, targets: Sequence[Target], author: Author | None) -> None:
        """Have all targets send what they were offered, and have not begun with."""
        spread = _Spread(targets)
        if not self.under_way:
            if spread.go_on():
                return
            self._wake.set()
        if author not in self.under_way:
            self.hold_back(author)
        self.under_way.setdefault(author, deque()).append(spread)

    def hold_back(self, author: Author | None) -> None:
        """Have an author's client not read from, until that is `let_on` as often."""
        self.held_back[author] = self.held_back.get(author, 0) + 1

    def let_on(self, author: Author | None) -> None:
        """One reason less to hold an author back."""
        self.held_back[author] -= 1
        if not self.held_back[author]:
            del self.held_back[author]
            if author in self._waiting:
                self._waiting.pop(author).set()

    async def passed(self, author: Author | None) -> None:
        """Wait until all have begun to send what an author has published, and nobody holds it."""
        if author in self.held_back:
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
        else:
            self.let_on(author)
