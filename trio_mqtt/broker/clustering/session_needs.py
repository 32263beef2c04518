"""What sessions that move need of the node's other parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.cluster.kept_session import KeptSession


class Neighbours(Protocol):
    """The other nodes."""

    def tell(self, node: str, kind: int, data: bytes) -> None:
        """Send a node an item that is not dropped."""


class Queues(Protocol):
    """What waits in the engine for durable sessions."""

    def came(self, session: Session) -> None:
        """A session is one that is kept from now on, under its number."""

    async def is_whole(self, fields: Mapping[bytes, bytes]) -> bool:
        """Whether all is there that waits for a session, of which these fields are kept."""

    async def resume(self, session: Session, fields: Mapping[bytes, bytes]) -> None:
        """A session has come, with what was kept of its deliveries."""

    def leave(self, session: Session) -> dict[bytes, bytes | None]:
        """A session goes, as it is: what is to be written of its deliveries; None has gone."""

    async def ended(self, kept: KeptSession) -> None:
        """A session that no node had has ended: nothing waits any more for its filters."""
