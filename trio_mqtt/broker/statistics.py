"""The broker's counters: one object that the terminal, metrics and system topics read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    """Totals since the start, and what there is now.

    Messages are PUBLISH packets. Those received are what came to be published: also those of the
    program itself, and wills.
    """

    connections_accepted: int = 0
    clients_accepted: int = 0
    clients_connected: int = 0
    sessions: int = 0
    sessions_expired: int = 0
    subscriptions: int = 0
    # Those of them that are shared.
    shared_subscriptions: int = 0
    messages_received: int = 0
    # Those of them that no client sent in a PUBLISH: the program's, and wills.
    messages_without_packet: int = 0
    messages_sent: int = 0
    messages_dropped: int = 0
    # What waits in the queues of all sessions.
    queued_bytes: int = 0
    # Messages that would have reached a client which may not receive them.
    deliveries_refused: int = 0
    # The payloads of PUBLISH packets.
    payload_bytes_received: int = 0
    payload_bytes_sent: int = 0
    # Packets of any kind that clients sent, and those that are no PUBLISH among what they are sent.
    packets_received: int = 0
    other_packets_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0

    @property
    def publishes_received(self) -> int:
        """PUBLISH packets that clients sent."""
        return self.messages_received - self.messages_without_packet

    @property
    def packets_sent(self) -> int:
        """Packets of any kind that clients were sent."""
        return self.messages_sent + self.other_packets_sent
