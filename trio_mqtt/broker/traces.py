"""Who looks at what clients say and are sent, as far as the parts know that hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

Direction: TypeAlias = Literal["in", "out"]
"""Whether the client has said it, or is sent it."""


class PacketFollower(Protocol):
    """Who traces a client: told at once, so that it must not take long."""

    def packets(self, direction: Direction, packets: Sequence[object]) -> None:
        """The client has said this, or is sent it."""


class Observer(Protocol):
    """Who looks at what a client says and is sent, while somebody asks for it."""

    def received(self, packets: Sequence[object], size: int) -> None:
        """A read has brought these packets, and so many bytes."""

    def sent(self, data: bytes) -> None:
        """Whole packets leave for the client."""
