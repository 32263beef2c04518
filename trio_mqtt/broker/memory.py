"""What clients make the broker hold, in bytes: the sums, and who gives way where they are full."""

from __future__ import annotations

from typing import Protocol


class Receiving(Protocol):
    """A connection of which part of a packet has come."""

    def give_up_unfinished(self) -> None:
        """Let go of that part, and end: the broker has no room for it."""


class Memory:
    """The sums of one broker. What is retained has a sum of its own, with the retained messages."""

    __slots__ = ("_maximum_unfinished", "_receiving", "unfinished")

    def __init__(self, maximum_unfinished: int) -> None:
        self._maximum_unfinished = maximum_unfinished
        # Bytes of packets of which part has come, by whom; who got more of it last comes last.
        self._receiving: dict[Receiving, int] = {}
        self.unfinished = 0

    def bound(self, maximum_unfinished: int) -> None:
        """From now on no more is held than that."""
        self._maximum_unfinished = maximum_unfinished

    def receiving(self, whose: Receiving, size: int) -> None:
        """So many bytes have come of a packet that has not ended yet.

        Beyond the bound, one of the large ones is given up: that which has not grown for longest.
        Small ones, and those that go on, are the last to suffer from many that do not.
        """
        self.unfinished += size - self._receiving.pop(whose, 0)
        if size:
            self._receiving[whose] = size
        while self.unfinished > self._maximum_unfinished:
            large = max(self._receiving.values()) // 2
            given_up = next(one for one, held in self._receiving.items() if held >= large)
            self.unfinished -= self._receiving.pop(given_up)
            given_up.give_up_unfinished()
