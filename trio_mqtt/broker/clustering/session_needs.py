"""What sessions that move need of the node's other parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trio_mqtt.broker.sessions.session import Session


class Neighbours(Protocol):
    """The other nodes."""

    def tell(self, node: str, kind: int, data: bytes) -> None:
        """Send a node an item that is not dropped."""


class Queues:
    """What waits in the engine for durable sessions. Each of these may do nothing."""

    async def resume(self, session: Session, fields: dict[bytes, bytes]) -> None:
        """A session has come, with what was kept of its deliveries."""

    def leave(self, session: Session) -> dict[bytes, bytes | None]:
        """A session goes, as it is: what is to be written of its deliveries; None has gone."""
        return {}

    async def ended(self, key: str, topic_filters: list[str]) -> None:
        """A session that no node had has ended: nothing waits any more for these filters of it."""
