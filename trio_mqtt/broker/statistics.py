"""The broker's counters: one object that the terminal, metrics and system topics read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    """Totals since the start, and what there is now. Messages are PUBLISH packets."""

    connections_accepted: int = 0
    clients_accepted: int = 0
    clients_connected: int = 0
    sessions: int = 0
    sessions_expired: int = 0
    subscriptions: int = 0
    messages_received: int = 0
    messages_sent: int = 0
    messages_dropped: int = 0
    # Messages that would have reached a client which may not receive them.
    deliveries_refused: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
