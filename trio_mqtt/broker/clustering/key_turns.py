"""What nodes do about one client identifier, at this node: one thing after the other."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_mqtt.broker.sessions.outlet import Outlet

TAKEN_OVER = "another client came with the same identifier"


class KeyTurn:
    """One of these things while it lasts. `outlet` is that of the connection that wants it."""

    __slots__ = ("outlet", "over")

    def __init__(self, outlet: Outlet | None) -> None:
        self.outlet = outlet
        self.over = trio.Event()

    def give_way(self) -> None:
        """Another connection wants the session: that of this turn does not get it any more."""
        if self.outlet is not None:
            self.outlet.end(ReasonCode.SESSION_TAKEN_OVER, TAKEN_OVER)


class KeyTurns:
    """Who has the turn for each session's key, while anybody has."""

    def __init__(self) -> None:
        self._turns: dict[str, KeyTurn] = {}
        self._none = trio.Event()  # there is none; for all who wait for that

    def __len__(self) -> int:
        return len(self._turns)

    def of(self, key: str) -> KeyTurn | None:
        """The turn that somebody has for a key now."""
        return self._turns.get(key)

    @contextmanager
    def taken(self, key: str, outlet: Outlet | None = None) -> Iterator[KeyTurn]:
        """Have the turn for a key that nobody has it for."""
        turn = self.take(key, outlet)
        try:
            yield turn
        finally:
            self.end(key, turn)

    def take(self, key: str, outlet: Outlet | None = None) -> KeyTurn:
        """Have the turn for a key that nobody has it for, until `end`."""
        turn = self._turns[key] = KeyTurn(outlet)
        return turn

    def end(self, key: str, turn: KeyTurn) -> None:
        """The turn is over: whoever waits for it goes on."""
        del self._turns[key]
        turn.outlet = None
        turn.over.set()
        if not self._turns:
            self._none.set()

    async def all_over(self) -> None:
        """Wait until nobody has a turn."""
        while self._turns:
            if self._none.is_set():
                self._none = trio.Event()
            await self._none.wait()
