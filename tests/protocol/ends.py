"""Both ends of a connection, wired back to back."""

from __future__ import annotations

import pytest

from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
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
    Subscription,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode as Code
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.protocol.states import State

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5
V = pytest.mark.parametrize("version", [V31, V311, V5], ids=lambda v: v.text)
STEP = pytest.mark.parametrize("step", [0, 1, 3], ids=["whole", "bytewise", "by three"])


def new_server(**limits: int) -> ServerConnection:
    defaults = {"maximum_packet_size": 10_000, "receive_maximum": 10, "topic_alias_maximum": 5}
    given = defaults | limits
    return ServerConnection(
        maximum_packet_size=given["maximum_packet_size"],
        receive_maximum=given["receive_maximum"],
        topic_alias_maximum=given["topic_alias_maximum"],
    )


class Ends:
    """A client and a server with a wire between them that cuts as it likes (0: not at all)."""

    def __init__(
        self,
        version: ProtocolVersion = V5,
        step: int = 0,
        connect: Properties | None = None,
        connack: Properties | None = None,
        clean_start: bool = True,
        **limits: int,
    ) -> None:
        self.step = step
        self.client = ClientConnection(version)
        self.server = new_server(**limits)
        self.connect = Connect("c", clean_start, 60, version, properties=connect or {})
        self.connack = ConnAck(properties=connack or {})

    def open(self) -> Ends:
        assert self.up(self.connect) == [self.connect]
        assert self.down(self.connack) == [self.connack]
        assert self.client.state is self.server.state is State.CONNECTED
        return self

    def up(self, *packets: Packet) -> list[Packet]:
        """From the client to the server."""
        data = b"".join(self.client.send(p) for p in packets)
        return self._carry(self.server, data)

    def down(self, *packets: Packet) -> list[Packet]:
        """From the server to the client."""
        data = b"".join(self.server.send(p) for p in packets)
        return self._carry(self.client, data)

    def _carry(self, end: ClientConnection | ServerConnection, data: bytes) -> list[Packet]:
        step = self.step or len(data)
        received: list[Packet] = []
        for at in range(0, len(data), step):
            received += end.receive(data[at : at + step])
        return received


def packets_for(version: ProtocolVersion) -> dict[type[Packet], Packet]:
    """One of each kind, right in the version."""
    codes = [Code.SUCCESS] if version == V5 else []
    packets: list[Packet] = [
        Connect("c", protocol_version=version), ConnAck(), Publish("t", b"p", 1, packet_id=1),
        PubAck(1), PubRec(1), PubRel(1), PubComp(1), Subscribe(1, [Subscription("t")]),
        SubAck(1, [Code.SUCCESS]), Unsubscribe(1, ["t"]), UnsubAck(1, codes), PingReq(),
        PingResp(), Disconnect(),
    ]  # fmt: skip
    if version == V5:
        packets.append(Auth(Code.CONTINUE_AUTHENTICATION, {"authentication_method": "m"}))
    return {type(p): p for p in packets}


def in_state(state: State, version: ProtocolVersion) -> Ends:
    ends = Ends(version)
    if state is State.OPENED:
        return ends
    if state is State.CONNECTING:
        ends.up(ends.connect)
        return ends
    ends.open()
    if state is State.DISCONNECTED:
        ends.up(Disconnect())
        ends.client.state = State.DISCONNECTED
    return ends
