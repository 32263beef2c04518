"""What waits and is for nobody any more: let go of in turns, for it may be much."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import trio

from trio_mqtt.broker.turns import Turn


class LettingGo:
    """Takes the steps of letting go, a turn at once, and the rest while others are served."""

    def __init__(self) -> None:
        self._left: deque[Iterator[None]] = deque()
        self._wake = trio.Event()

    def add(self, steps: Iterator[None]) -> None:
        """Take these steps. What is not done when the broker ends, the next one does."""
        turn = Turn()
        for _ in steps:
            if turn.is_over:
                self._left.append(steps)
                self._wake.set()
                return

    async def run(self) -> None:
        """Go on with what is left, for as long as the broker runs."""
        while True:
            turn = Turn()
            while self._left:
                for _ in self._left[0]:
                    if turn.is_over:
                        await turn.give_way()
                self._left.popleft()
            self._wake = trio.Event()
            await self._wake.wait()
