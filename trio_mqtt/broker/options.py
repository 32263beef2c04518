"""What the broker offers and how it behaves, where a choice is not a matter of bounds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class SharedStrategy(Enum):
    """Which member of a shared subscription gets a message (MQTT 5.0 §4.8.2).

    Members that are connected come before all others.
    """

    ROUND_ROBIN = "round-robin"  # each in turn
    LEAST_LOADED = "least-loaded"  # who has the fewest messages waiting and in flight
    HASH = "hash"  # the same for all messages of a publishing client, while the members stay
    STICKY = "sticky"  # the same for all messages, until it goes away


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """What the broker offers to its clients."""

    shared_strategy: SharedStrategy = SharedStrategy.ROUND_ROBIN
