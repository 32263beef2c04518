"""What the broker's parts know of other brokers, where it belongs to a cluster.

A broker that belongs to none has nothing here, and its parts look at a None. Whom a message reaches
elsewhere the router knows: who passes it on stands in its tree (`SubscriptionIndex.add_elsewhere`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from trio_mqtt.records import record

if TYPE_CHECKING:
    from trio_mqtt.broker.access.bans import Ban, BanKind
    from trio_mqtt.broker.promises import Awaited
    from trio_mqtt.broker.routing.target import Recipient


@record
class ClusterView:
    """A cluster as one of its nodes sees it."""

    name: str
    """What the cluster is called."""
    engine: str
    """Where its engine is, without passwords."""
    promise: str
    """What the engine promises as it is set up, in a sentence; empty while it was never reached."""
    node: str
    """What people call this node."""
    node_id: str
    """Its identifier; empty while it is none, as it was cut off from the engine for too long."""
    nodes: Sequence[str]
    """The identifiers of all nodes that are alive, this one too."""
    is_cut_off: bool
    """Whether the engine cannot be reached now."""
    lag: float
    """Seconds that what others had for this node waited lately, until it was read."""
    damaged: int
    """Entries of its inbox that could not be read."""


class Elsewhere(Protocol):
    """The other brokers of a cluster."""

    def place(self, subscription: Recipient) -> None:
        """From now on messages reach a subscription of this broker, wherever they are published.

        Placing it again takes its new options.
        """

    def displace(self, subscription: Recipient) -> None:
        """No message reaches a subscription from now on."""

    def known(self, session: object = None) -> Awaited | None:
        """What SUBACK promises: that all brokers know of the subscriptions that were placed, for
        this session at least. None where they do already.
        """

    def caught_up(self) -> Awaited:
        """What is over once this broker knows all retained messages that others have now."""

    async def ban(self, ban: Ban, *, ends: bool) -> None:
        """Somebody may not connect to any broker from now on; `ends`: nor stay connected.

        Raises StoreError where that cannot be said now.
        """

    async def unban(self, kind: BanKind, value: str) -> None:
        """They may again. Raises StoreError where that cannot be said now."""

    async def let_go(self) -> None:
        """The broker ends, and all clients have gone: have what is theirs go on elsewhere."""

    def view(self) -> ClusterView:
        """The cluster as it looks from here."""
