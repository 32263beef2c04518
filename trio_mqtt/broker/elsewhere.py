"""What the broker's parts know of other brokers, where it belongs to a cluster.

A broker that belongs to none has nothing here, and its parts look at a None. Whom a message reaches
elsewhere the router knows: who passes it on stands in its tree (`Router.add_elsewhere`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trio_mqtt.broker.promises import Awaited
    from trio_mqtt.broker.routing.target import Recipient


class Elsewhere(Protocol):
    """The other brokers of a cluster."""

    def place(self, subscription: Recipient) -> None:
        """From now on messages reach a subscription of this broker, wherever they are published.

        Placing it again takes its new options.
        """

    def displace(self, subscription: Recipient) -> None:
        """No message reaches a subscription from now on."""

    def known(self) -> Awaited | None:
        """What SUBACK promises: that all brokers know of the subscriptions that were placed.

        None where they do already.
        """

    def caught_up(self) -> Awaited:
        """What is over once this broker knows all retained messages that others have now."""

    async def let_go(self) -> None:
        """The broker ends, and all clients have gone: have what is theirs go on elsewhere."""
