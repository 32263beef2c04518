"""In the place of a session, where somebody else than a client takes messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.access.permissions import Permissions


class Nobody:
    """Everything of a session that routing asks: nothing waits there, and it may have all.

    `journal` is where what is promised to it is kept, so that it is refused while nothing is.
    """

    __slots__ = ("client_id", "journal")

    def __init__(self, name: str, journal: object | None) -> None:
        self.client_id = name
        self.journal = journal

    @property
    def key(self) -> str:
        """No client's: those have no such character."""
        return f"\0{self.client_id}"

    @property
    def permissions(self) -> Permissions | None:
        """Rules are asked where messages are delivered."""
        return None

    @property
    def outlet(self) -> object | None:
        """It is always there, for all that this node knows."""
        return self

    @property
    def queued_messages(self) -> int:
        """Nothing waits here."""
        return 0

    @property
    def sender(self) -> Sequence[None]:
        """Nothing was sent from here."""
        return ()

    @property
    def mount_point(self) -> str:
        """Topics go whole."""
        return ""
