"""What clients ask of the broker itself: by publishing to topics that only it may publish to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.batch import Author
    from trio_mqtt.protocol.packets import Publish


class Answerer(Protocol):
    """Who answers what is published to `$NAME`, and below it."""

    def ask(self, sender: Author, message: Publish) -> bool:
        """Take a message of a client, which may publish that; whether it is one for this.

        It is acknowledged then. Else it is refused, as any to a topic that begins with $. Answers
        leave later, and in turns: what is much is not done here.
        """
