"""The broker's counters: one object that the terminal, metrics and system topics read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from trio_mqtt.attribute_docs import with_attribute_docs


@with_attribute_docs
@dataclass(slots=True)
class Statistics:
    """Totals since the start, and what there is now. Messages are PUBLISH packets."""

    connections_accepted: int = 0
    """Connections that came, also those that were turned away."""
    clients_accepted: int = 0
    """Clients that were told in CONNACK that they may stay."""
    clients_connected: int = 0
    """Those that are connected now."""
    connections_refused: int = 0
    """Connections and clients that were turned away as there are as many as may be: in all, of
    their address or of their user."""
    connects_timed_out: int = 0
    """Connections that have not said CONNECT, and authenticated, in time."""
    connects_too_fast: int = 0
    """Connections that were turned away as their address opens too many a second."""
    hold_offs: int = 0
    """Times that a client, user or address was held off: it connects too often, or guesses."""
    clients_held_off: int = 0
    """Clients that were turned away while they are held off."""
    password_checks_refused: int = 0
    """Clients that were turned away as too many passwords waited to be checked."""
    identifiers_refused: int = 0
    """Clients that were turned away for their client identifier, as what is too long."""
    hooks_timed_out: int = 0
    """Times that a program's hook took too long to decide."""
    packets_refused: int = 0
    """Clients that were disconnected as they sent more than they may: a packet that is too large,
    too many topic filters or user properties, or beyond the receive or topic alias maximum."""
    packets_given_up: int = 0
    """Clients that were disconnected as too many packets were unfinished."""
    keep_alives_expired: int = 0
    """Clients that were silent for one and a half times their keep alive."""
    logins_failed: int = 0
    """Clients that were turned away as what they showed to prove who they are was wrong."""
    clients_refused_busy: int = 0
    """Clients that were turned away as the broker does not keep up, or has no memory left."""
    messages_shed: int = 0
    """Messages of QoS 0 that clients published while the broker did not keep up, and which went
    nowhere."""
    overloads: int = 0
    """Times that the broker did not keep up, or had no memory left."""
    loop_lag: float = 0.0
    """Seconds that the broker was late with what was to be done when it last looked."""
    memory: int = 0
    """Bytes that its process occupied then."""
    keep_alives_refused: int = 0
    """Clients of MQTT 3 that were turned away for their keep alive."""
    takeovers_refused: int = 0
    """Clients that were turned away as their identifier is connected already."""
    sessions_refused: int = 0
    """Clients that were turned away as there is no room for their session."""
    wills_refused: int = 0
    """Clients that were turned away as there is no room for their will."""
    will_bytes: int = 0
    """Bytes of the wills of all sessions, now."""
    sessions: int = 0
    """Sessions that there are now, connected or not."""
    sessions_expired: int = 0
    """Sessions whose client was away for longer than their expiry interval."""
    subscriptions: int = 0
    """Subscriptions of all sessions, now."""
    shared_subscriptions: int = 0
    """Those of them that are shared."""
    messages_received: int = 0
    """Messages that came to be published, also by the program itself, and wills."""
    messages_without_packet: int = 0
    """Those of them that no client sent in a PUBLISH: the program's, and wills."""
    messages_sent: int = 0
    """Messages sent to clients: one counts for each client that it went to."""
    messages_dropped: int = 0
    """Messages that were refused or found no room, and, for each client, those that will not reach
    it."""
    queue_drops: int = 0
    """Those of them for which there was no room in the queue of a client."""
    messages_expired: int = 0
    """Those of them that had expired when it was their turn, or were too large for their client."""
    slow_consumers: int = 0
    """Times that a client was found to take less than comes for it; once a minute for each."""
    slow_consumers_disconnected: int = 0
    """Clients that were disconnected as too much waited for them."""
    stopped_reading: int = 0
    """Clients that were disconnected as they took nothing of what was written to them."""
    history_kept: int = 0
    """Messages that were written to the history."""
    history_lost: int = 0
    """Messages that were to be in the history and are not: more came than could be written, or on
    more topics than it has room for."""
    queued_bytes: int = 0
    """Bytes that wait in the queues of all sessions, now."""
    topics_refused: int = 0
    """Messages that clients published to topics which are not theirs, or are too deep or long."""
    subscriptions_refused: int = 0
    """Subscriptions that were refused for a bound on topic filters, or on how many there are."""
    retained_refused: int = 0
    """Retained messages for which there was no room."""
    reads_paused: int = 0
    """Times that the broker has stopped reading from a client for its rate."""
    sends_paused: int = 0
    """Times that the broker has waited before sending to a client, for its rate."""
    deliveries_refused: int = 0
    """Messages that would have reached a client which may not receive them."""
    payload_bytes_received: int = 0
    """Bytes of the payloads of PUBLISH packets that came."""
    payload_bytes_sent: int = 0
    """Bytes of the payloads of PUBLISH packets that were sent."""
    packets_received: int = 0
    """Packets of any kind that clients sent."""
    other_packets_sent: int = 0
    """Packets that are no PUBLISH among those that clients were sent."""
    kinds_received: Counter[tuple[str, int]] = field(default_factory=Counter)
    """The packets that clients sent, but for PUBLISH, by kind and reason code: ("PINGREQ", 0)."""
    kinds_sent: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Those that clients were sent, but for PUBLISH, by kind and reason code: ("CONNACK", 0x87). Of
    several codes in a packet, the highest counts."""
    bytes_received: int = 0
    """Bytes that came from clients, without those of TLS and WebSocket."""
    bytes_sent: int = 0
    """Bytes that were sent to clients, without those of TLS and WebSocket."""

    def count_sent(self, kind: str, code: int = 0, packets: int = 1) -> None:
        """Clients were sent packets of a kind, other than PUBLISH, with a reason code."""
        self.other_packets_sent += packets
        self.kinds_sent[kind, code] += packets

    @property
    def publishes_received(self) -> int:
        """PUBLISH packets that clients sent."""
        return self.messages_received - self.messages_without_packet

    @property
    def packets_sent(self) -> int:
        """Packets of any kind that clients were sent."""
        return self.messages_sent + self.other_packets_sent
