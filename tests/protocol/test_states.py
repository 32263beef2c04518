"""What each end may send in each state, and what the other makes of what it may not."""

from __future__ import annotations

import pytest

from tests.compilation import attributes
from tests.protocol.ends import STEP, V5, Ends, V, in_state, packets_for
from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Publish,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.reason_codes import ReasonCode as Code
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.protocol.states import CLIENT_MAY_SEND, SERVER_MAY_SEND, State


@V
@STEP
def test_a_conversation_arrives_as_it_was_said(version: ProtocolVersion, step: int) -> None:
    ends = Ends(version, step).open()
    assert ends.server.version == ends.client.version == version
    kinds = packets_for(version)
    from_client = [kinds[k] for k in sorted(CLIENT_MAY_SEND[State.CONNECTED], key=str)]
    from_client.sort(key=lambda p: isinstance(p, Disconnect))
    from_server = [kinds[k] for k in sorted(SERVER_MAY_SEND[State.CONNECTED], key=str)]
    from_server.sort(key=lambda p: isinstance(p, Disconnect))
    if version != V5:
        del from_server[-1]
    assert ends.down(*from_server) == from_server
    assert ends.client.violation is None
    assert ends.client.state is (State.DISCONNECTED if version == V5 else State.CONNECTED)
    ends = Ends(version, step).open()
    assert ends.up(*from_client) == from_client
    assert ends.client.state is ends.server.state is State.DISCONNECTED
    assert ends.server.violation is None


@V
@STEP
def test_a_refused_connection_is_over(version: ProtocolVersion, step: int) -> None:
    ends = Ends(version, step)
    ends.up(ends.connect)
    refusal = ConnAck(False, Code.NOT_AUTHORIZED)
    assert ends.down(refusal) == [refusal]
    assert ends.client.state is ends.server.state is State.DISCONNECTED
    with pytest.raises(LocalProtocolError):
        ends.client.send(PingReq())
    with pytest.raises(LocalProtocolError):
        ends.server.send(PingResp())


@V
@STEP
def test_a_client_may_go_on_before_connack(version: ProtocolVersion, step: int) -> None:
    """MQTT 5.0 §3.1.4."""
    ends = Ends(version, step)
    early: list[Packet] = [
        ends.connect,
        Publish("t", b"p"),
        Subscribe(1, [Subscription("t")]),
        PingReq(),
    ]
    assert ends.up(*early) == early
    assert ends.down(ends.connack) == [ends.connack]
    assert ends.server.violation is None


def test_a_client_may_leave_before_connack() -> None:
    ends = Ends()
    assert ends.up(ends.connect, Disconnect()) == [ends.connect, Disconnect()]
    assert ends.server.state is State.DISCONNECTED
    with pytest.raises(LocalProtocolError):
        ends.server.send(ConnAck())


def test_the_tables_have_every_state() -> None:
    assert set(CLIENT_MAY_SEND) == set(SERVER_MAY_SEND) == set(State)


@pytest.mark.normative(
    "MQTT-3.1.0-1", "MQTT-3.2.0-1", "MQTT-3.2.0-2", "MQTT-3.14.0-1", "MQTT-3.14.4-1",
    "MQTT-4.12.0-6", "MQTT-4.12.0-7",
)  # fmt: skip
@pytest.mark.normative_v311("MQTT-3.1.0-1", "MQTT-3.2.0-1", "MQTT-3.14.4-2")
@V
@pytest.mark.parametrize("state", list(State), ids=lambda s: s.value)
def test_what_must_not_be_sent_now_is_not_sent(state: State, version: ProtocolVersion) -> None:
    for kind, packet in packets_for(version).items():
        for side, table in (("client", CLIENT_MAY_SEND), ("server", SERVER_MAY_SEND)):
            ends = in_state(state, version)
            end: ClientConnection | ServerConnection = getattr(ends, side)
            before = attributes(end)
            allowed = kind in table[state]
            if side == "server" and kind is Disconnect and version != V5:
                allowed = False
            if allowed:
                assert end.send(packet) == encode(packet, version)
            else:
                with pytest.raises(LocalProtocolError, match=r"must not|says nothing"):
                    end.send(packet)
                assert attributes(end) == before


@pytest.mark.normative("MQTT-3.1.0-1", "MQTT-3.1.0-2", "MQTT-3.2.0-1", "MQTT-3.2.0-2")
@pytest.mark.normative_v311("MQTT-3.1.0-1", "MQTT-3.1.0-2", "MQTT-3.2.0-1", "MQTT-4.8.0-1")
@V
@pytest.mark.parametrize("state", list(State), ids=lambda s: s.value)
def test_what_the_peer_must_not_send_now_is_a_violation(
    state: State, version: ProtocolVersion
) -> None:
    """CVE-2021-28166: a broker met CONNACK from a client."""
    for kind, packet in packets_for(version).items():
        for side, table in (("server", CLIENT_MAY_SEND), ("client", SERVER_MAY_SEND)):
            ends = in_state(state, version)
            end: ClientConnection | ServerConnection = getattr(ends, side)
            allowed = kind in table[state]
            if side == "client" and kind is Disconnect and version != V5:
                allowed = False
            packets = end.receive(encode(packet, version))
            if allowed:
                assert (packets, end.violation) == ([packet], None)
                continue
            assert packets == []
            assert isinstance(end.violation, RemoteProtocolError)
            assert end.violation.reason_code == Code.PROTOCOL_ERROR
            assert end.state is state
            assert end.receive(encode(PingReq(), version)) == []  # from now on, nothing


@pytest.mark.normative("MQTT-3.1.0-2")
def test_packets_before_a_violation_are_delivered() -> None:
    ends = Ends().open()
    stream: list[Packet] = [Publish("t", b"1"), Publish("t", b"2", 1, packet_id=1), PingReq()]
    data = b"".join(encode(p, V5) for p in [*stream, ends.connect, PingReq()])
    assert ends.server.receive(data) == stream
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.PROTOCOL_ERROR


def test_of_two_violations_the_first_counts() -> None:
    ends = Ends().open()
    data = encode(PingReq(), V5) + encode(PingResp(), V5) + b"\x00\x00"
    assert ends.server.receive(data) == [PingReq()]
    assert "PINGRESP" in str(ends.server.violation)
    ends = Ends().open()
    data = encode(PingReq(), V5) + b"\x00\x00" + encode(PingResp(), V5)
    assert ends.server.receive(data) == [PingReq()]
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.MALFORMED_PACKET


@pytest.mark.normative("MQTT-4.13.1-1", "MQTT-3.14.1-1")
def test_a_violation_that_is_found_later_counts_if_it_comes_before() -> None:
    """Whoever handles the packets may find what one alone does not show."""
    ends = Ends().open()
    publish = Publish("t")
    assert ends.server.receive(encode(publish, V5) + b"\0") == [publish]
    found = RemoteProtocolError("that message was not for now")
    ends.server.violated(found)
    assert ends.server.violation is found
    assert ends.server.receive(encode(publish, V5)) == []


def test_after_a_violation_the_reason_can_be_sent() -> None:
    ends = Ends().open()
    ends.server.receive(b"\x36\x06\0\x01t\0\x01\0")
    assert ends.server.violation is not None
    farewell = Disconnect(ends.server.violation.reason_code)
    assert ends.down(farewell) == [Disconnect(Code.MALFORMED_PACKET)]
    assert ends.client.state is State.DISCONNECTED


@V
def test_what_comes_after_disconnect_is_a_violation_but_disconnect_counts(
    version: ProtocolVersion,
) -> None:
    ends = Ends(version).open()
    data = encode(Disconnect(), version) + encode(Publish("t"), version)
    assert ends.server.receive(data) == [Disconnect()]
    assert ends.server.state is State.DISCONNECTED
    assert ends.server.violation is not None


@pytest.mark.normative("MQTT-3.14.4-1", "MQTT-3.1.2-30", "MQTT-3.2.2-7")
def test_plain_reads_are_refused_outside_a_connection() -> None:
    """The short way past the checks is open only while the connection stands."""
    plain = encode(Publish("t", b"x"), V5)
    left = Ends().open()
    left.up(Disconnect())
    refused = Ends()
    refused.up(refused.connect)
    refused.down(ConnAck(False, Code.NOT_AUTHORIZED))
    authenticating = Ends(connect={"authentication_method": "m"})
    authenticating.up(authenticating.connect)
    for end in (left.server, refused.server, refused.client, authenticating.server):
        assert end.receive(plain) == []
        assert end.violation is not None
        assert end.violation.reason_code == Code.PROTOCOL_ERROR
