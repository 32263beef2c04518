"""Messages that were taken, and who published them, as others may look at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.access.permissions import Permissions


class Author(Protocol):
    """The session that published messages, as far as these know of it."""

    @property
    def client_id(self) -> str:
        """Its client's identifier."""

    @property
    def key(self) -> str:
        """What tells it from all others, of which one elsewhere may have the same identifier."""

    @property
    def permissions(self) -> Permissions | None:
        """What its client may do; None if nothing is forbidden."""


class Published(Protocol):
    """Messages that were taken, as whoever follows that may look at them."""

    @property
    def count(self) -> int:
        """How many they are."""

    @property
    def messages(self) -> Sequence[Publish]:
        """The messages one by one."""

    def sample(self, count: int) -> Sequence[Publish]:
        """The first `count` messages."""


class OneMessage:
    """A message that came alone, for those who follow messages."""

    __slots__ = ("count", "messages")

    def __init__(self, message: Publish) -> None:
        self.count = 1
        self.messages: Sequence[Publish] = (message,)

    def sample(self, count: int) -> Sequence[Publish]:
        """The first `count` messages."""
        return self.messages[:count]
