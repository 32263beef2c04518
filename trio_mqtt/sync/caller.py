"""By what other things of a client wait for its thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Caller(Protocol):
    """Has work done in the client's thread: the client."""

    def call(self, work: Callable[[], Awaitable[T]], timeout: float | None = None) -> T:
        """Wait for `work`, for at most `timeout` seconds."""
