"""What a script's bytes alone tell of what the broker has to do."""

from __future__ import annotations

from tests.beside.answers import frames
from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect
from trio_mqtt.protocol.server_connection import ServerConnection

# Those of the broker that is tested, as far as a client can exceed them.
LIMITS: dict[str, float] = {
    "connect_timeout": 4.0,
    "maximum_connect_size": 64 * 1024,
    "maximum_packet_size": 1024 * 1024,
    "maximum_unfinished_bytes": 16 * 1024 * 1024,
    "maximum_user_properties": 1_000,
    "maximum_filters_at_once": 1_000,
    "maximum_request_size": 128 * 1024,
    "maximum_subscriptions": 2_000,
    "maximum_queued_messages": 5_000,
    "maximum_queued_bytes": 1024 * 1024,
    "maximum_retained_messages": 300,
    "maximum_retained_bytes": 1024 * 1024,
    "maximum_session_expiry": 3,
    "maximum_keep_alive": 10,
    "write_timeout": 4.0,
}
# A listener with less than others, and what stands before all topics there.
MOUNTED, MOUNT_POINT = "mounted", "site/"
# Where metrics are asked for by HTTP.
METRICS = "metrics"


def connect_of(data: bytes) -> Connect | None:
    """The CONNECT that the bytes begin with, if it is a valid one."""
    for first, _, end in frames(data):
        if first != 0x10:
            return None
        packets = PacketDecoder(PacketType.CONNECT).feed(data[:end])
        return packets[0] if packets and isinstance(packets[0], Connect) else None
    return None


def violation_of(sent: bytes) -> RemoteProtocolError | None:
    """What these bytes break of the rules, where they alone tell."""
    connect = connect_of(sent)
    if connect is not None and "authentication_method" in connect.properties:
        return None  # what may be said then depends on the answers
    server = ServerConnection(
        maximum_packet_size=int(LIMITS["maximum_connect_size"]),
        maximum_packet_size_later=int(LIMITS["maximum_packet_size"]),
        receive_maximum=65_535,
        topic_alias_maximum=65_535,
        maximum_user_properties=int(LIMITS["maximum_user_properties"]),
        maximum_filters=int(LIMITS["maximum_filters_at_once"]),
        maximum_request_size=int(LIMITS["maximum_request_size"]),
    )
    at = 0
    if connect is not None:
        at = next(end for _, _, end in frames(sent))
        server.receive(sent[:at])
        if server.violation is None:
            try:
                server.send(ConnAck())
            except LocalProtocolError:
                return None  # the client takes no packet as large as CONNACK
    for packet in server.receive(sent[at:]):
        if isinstance(packet, Disconnect):
            return None  # what comes after that, nobody hears
    return server.violation
