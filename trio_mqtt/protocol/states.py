"""How far a connection has come, and what each end may send then: all transitions in one place."""

from __future__ import annotations

from enum import Enum

from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)


class State(Enum):
    """How far a connection has come."""

    OPENED = "opened"  # nothing sent or received
    CONNECTING = "connecting"  # CONNECT is on its way or received, CONNACK is not
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"  # DISCONNECT or a refusal was sent or received


_ACKS: frozenset[type[Packet]] = frozenset({PubAck, PubRec, PubRel, PubComp})
_FROM_CLIENT: frozenset[type[Packet]] = _ACKS | {
    Publish,
    Subscribe,
    Unsubscribe,
    PingReq,
    Disconnect,
}
_FROM_SERVER: frozenset[type[Packet]] = _ACKS | {Publish, SubAck, UnsubAck, PingResp, Disconnect}

# The transitions: what each side may send in each state (MQTT 5.0 §3.1 to §3.15, "direction").
# A client may send on before CONNACK (§3.1.4), unless it authenticates by method (§3.1.2.11.9).
# When AUTH may be sent depends on the AUTH before it: `Authentication` says.
CLIENT_MAY_SEND: dict[State, frozenset[type[Packet]]] = {
    State.OPENED: frozenset({Connect}),
    State.CONNECTING: _FROM_CLIENT,
    State.CONNECTED: _FROM_CLIENT,
    State.DISCONNECTED: frozenset(),
}
SERVER_MAY_SEND: dict[State, frozenset[type[Packet]]] = {
    State.OPENED: frozenset(),
    State.CONNECTING: frozenset({ConnAck}),
    State.CONNECTED: _FROM_SERVER,
    State.DISCONNECTED: frozenset(),
}
