"""Clocks that jump to the next deadline when there is nothing else to do, for both backends."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

import trio.testing

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike


class _JumpingSelector(selectors.BaseSelector):
    """A selector that, instead of waiting for a time, lets that time have passed."""

    def __init__(self) -> None:
        self.now = 0.0
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return self._real.select(None)
        ready = self._real.select(0)
        if not ready and timeout > 0:
            self.now += timeout
        return ready

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Any:  # noqa: ANN401 # typeshed's own type for it is private
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class JumpingEventLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time, as Trio's MockClock is for Trio."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def virtual_backend(name: str) -> tuple[str, dict[str, Any]]:
    """The value of an `anyio_backend` fixture that runs a test in virtual time."""
    if name == "trio":
        return name, {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return name, {"loop_factory": JumpingEventLoop}
