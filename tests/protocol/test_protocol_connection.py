"""Both ends of a connection, wired back to back: what each may send, and holds the other to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.encoding import encode
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
from trio_mqtt.protocol.states import CLIENT_MAY_SEND, SERVER_MAY_SEND, State
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE

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


# -- a connection as it should be -------------------------------------------------------------


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


# -- the tables -------------------------------------------------------------------------------


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
            before = vars(end).copy()
            allowed = kind in table[state]
            if side == "server" and kind is Disconnect and version != V5:
                allowed = False
            if allowed:
                assert end.send(packet) == encode(packet, version)
            else:
                with pytest.raises(LocalProtocolError, match=r"must not|says nothing"):
                    end.send(packet)
                assert vars(end) == before


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


# -- session present --------------------------------------------------------------------------


@pytest.mark.normative("MQTT-3.2.2-4", "MQTT-3.2.2-5")
@pytest.mark.parametrize("version", [V311, V5], ids=lambda v: v.text)
def test_a_session_after_a_clean_start_is_a_violation(version: ProtocolVersion) -> None:
    ends = Ends(version)
    ends.client.send(ends.connect)
    assert ends.client.receive(encode(ConnAck(True), version)) == []
    assert ends.client.violation is not None
    assert ends.client.state is State.CONNECTING


@pytest.mark.parametrize("version", [V311, V5], ids=lambda v: v.text)
def test_a_session_may_be_present_otherwise(version: ProtocolVersion) -> None:
    ends = Ends(version, clean_start=False)
    ends.connack.session_present = True
    ends.open()


# -- receive maximum --------------------------------------------------------------------------


def qos_packets(count: int) -> list[Packet]:
    return [Publish("t", b"", 1 + i % 2, packet_id=i + 1) for i in range(count)]


@pytest.mark.normative("MQTT-3.3.4-8")
@STEP
def test_more_than_receive_maximum_is_a_violation_at_the_server(step: int) -> None:
    ends = Ends(step=step, receive_maximum=3).open()
    assert ends.up(*qos_packets(4)) == qos_packets(3)
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.RECEIVE_MAXIMUM_EXCEEDED


@STEP
def test_more_than_receive_maximum_is_a_violation_at_the_client(step: int) -> None:
    ends = Ends(step=step, connect={"receive_maximum": 2}).open()
    assert ends.server.peer_receive_maximum == 2
    assert ends.down(*qos_packets(3)) == qos_packets(2)
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.RECEIVE_MAXIMUM_EXCEEDED


def test_what_is_acknowledged_no_longer_counts() -> None:
    ends = Ends(receive_maximum=2).open()
    for _ in range(5):
        assert ends.up(*qos_packets(2)) == qos_packets(2)
        assert ends.server.unacknowledged == 2
        ends.server.acknowledged(2)
    assert ends.server.violation is None


def test_qos_0_never_counts() -> None:
    ends = Ends(receive_maximum=1).open()
    many: list[Packet] = [
        Publish("t", properties={"content_type": "x"} if i % 2 else {}) for i in range(10)
    ]
    assert ends.up(*many) == many
    assert ends.server.unacknowledged == 0


def test_early_messages_count_too() -> None:
    ends = Ends(receive_maximum=1)
    assert ends.up(ends.connect, *qos_packets(2)) == [ends.connect, *qos_packets(1)]
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.RECEIVE_MAXIMUM_EXCEEDED


WORDS: list[Properties] = [{"reason_string": "why"}, {"user_property": [("why", "so")]}]


@pytest.mark.normative("MQTT-3.1.2-29")
@pytest.mark.parametrize("properties", WORDS, ids=["reason", "user property"])
@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda words: PubAck(1, Code.QUOTA_EXCEEDED, words),
        lambda words: PubRec(1, Code.SUCCESS, words),
        lambda words: PubRel(1, Code.SUCCESS, words),
        lambda words: PubComp(1, Code.SUCCESS, words),
        lambda words: SubAck(1, [Code.SUCCESS], words),
        lambda words: UnsubAck(1, [Code.SUCCESS], words),
    ],
    ids=["PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK"],
)
def test_words_that_a_client_declined_are_a_violation(
    make: Callable[[Properties], Packet], properties: Properties, wanted: bool
) -> None:
    client = ClientConnection(V5)
    client.send(Connect("c", properties={"request_problem_information": int(wanted)}))
    client.receive(encode(ConnAck(properties={"reason_string": "welcome"}), V5))
    user: Properties = {"user_property": [("a", "b")]}
    allowed: list[Packet] = [
        PubAck(1),
        PubAck(2, Code.QUOTA_EXCEEDED),
        Publish("t", properties=user),
    ]
    for packet in allowed:
        assert client.receive(encode(packet, V5)) == [packet]
    said = make(properties)
    assert client.receive(encode(said, V5)) == ([said] if wanted else [])
    if wanted:
        assert client.violation is None
    else:
        assert client.violation is not None
        assert client.violation.reason_code == Code.PROTOCOL_ERROR


@pytest.mark.normative("MQTT-3.1.2-29")
@pytest.mark.parametrize("properties", WORDS, ids=["reason", "user property"])
def test_disconnect_may_have_words_whatever_a_client_declined(properties: Properties) -> None:
    client = ClientConnection(V5)
    client.send(Connect("c", properties={"request_problem_information": 0}))
    client.receive(encode(ConnAck(properties=properties), V5))
    goodbye = Disconnect(Code.SERVER_BUSY, properties)
    assert client.receive(encode(goodbye, V5)) == [goodbye]


@pytest.mark.parametrize("version", [V31, V311], ids=lambda v: v.text)
def test_mqtt_3_knows_no_receive_maximum(version: ProtocolVersion) -> None:
    ends = Ends(version, receive_maximum=1).open()
    assert ends.up(*qos_packets(5)) == qos_packets(5)
    assert ends.server.violation is None


# -- maximum packet size ----------------------------------------------------------------------


@pytest.mark.normative("MQTT-3.1.2-24")
def test_nothing_larger_than_the_client_accepts_is_sent() -> None:
    ends = Ends(connect={"maximum_packet_size": 50}).open()
    assert ends.server.peer_maximum_packet_size == 50
    fits = Publish("t", bytes(44))
    assert len(encode(fits, V5)) == 50
    assert ends.down(fits) == [fits]
    with pytest.raises(LocalProtocolError, match="larger than the 50"):
        ends.server.send(Publish("t", bytes(45)))
    with pytest.raises(LocalProtocolError, match="larger than the 50"):
        ends.server.send(Disconnect(Code.SERVER_BUSY, {"reason_string": "x" * 60}))
    assert ends.server.state is State.CONNECTED


@pytest.mark.normative("MQTT-3.2.2-15")
def test_nothing_larger_than_the_server_accepts_is_sent() -> None:
    ends = Ends(connack={"maximum_packet_size": 50}).open()
    with pytest.raises(LocalProtocolError, match="larger than the 50"):
        ends.client.send(Publish("t", bytes(45)))
    assert ends.up(Publish("t", bytes(44))) == [Publish("t", bytes(44))]


def test_before_connack_little_is_accepted_and_then_more() -> None:
    ends = Ends(maximum_packet_size=100).open()
    large = Publish("t", bytes(1_000))
    ends.server.accept_packets_of(2_000)
    assert ends.up(large) == [large]
    ends = Ends(maximum_packet_size=100).open()
    assert ends.up(PingReq(), large) == [PingReq()]
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.PACKET_TOO_LARGE


def test_without_a_limit_there_is_that_of_the_wire() -> None:
    ends = Ends().open()
    assert ends.client.peer_maximum_packet_size == MAX_PACKET_SIZE == 268_435_460


# -- topic aliases ----------------------------------------------------------------------------


def aliased(topic: str, alias: int, payload: bytes = b"p", packet_id: int = 0) -> Publish:
    properties: Properties = {"topic_alias": alias, "content_type": "x"}
    return Publish(topic, payload, int(packet_id > 0), packet_id=packet_id, properties=properties)


@pytest.mark.normative("MQTT-3.3.2-12")
@STEP
def test_an_alias_stands_for_its_topic_until_it_is_set_anew(step: int) -> None:
    ends = Ends(connack={"topic_alias_maximum": 5}, step=step, topic_alias_maximum=5).open()
    received = ends.up(
        aliased("a", 1, b"1"), aliased("b", 5, b"2"), aliased("", 1, b"3"), aliased("", 5, b"4"),
        aliased("c", 1, b"5"), aliased("", 1, b"6"), aliased("", 5, b"7", packet_id=9),
    )  # fmt: skip
    assert ends.server.violation is None
    found = [(p.topic, p.payload) for p in received if isinstance(p, Publish)]
    assert found == [
        ("a", b"1"), ("b", b"2"), ("a", b"3"), ("b", b"4"), ("c", b"5"), ("c", b"6"), ("b", b"7"),
    ]  # fmt: skip
    for packet in received:
        assert isinstance(packet, Publish)
        assert packet.properties == {"content_type": "x"}
        assert packet.frame is None  # it names the alias, which ends here
    assert isinstance(received[-1], Publish)
    assert (received[-1].qos, received[-1].packet_id) == (1, 9)


def test_the_server_may_use_aliases_too() -> None:
    ends = Ends(connect={"topic_alias_maximum": 2}).open()
    assert ends.server.peer_topic_alias_maximum == 2
    received = ends.down(aliased("a", 2, b"1"), aliased("", 2, b"2"))
    assert [(p.topic, p.payload) for p in received if isinstance(p, Publish)] == [
        ("a", b"1"),
        ("a", b"2"),
    ]


@pytest.mark.normative("MQTT-3.3.2-9", "MQTT-3.2.2-17", "MQTT-3.2.2-18")
@pytest.mark.parametrize("maximum", [0, 1, 4])
def test_an_alias_above_the_maximum_is_neither_sent_nor_accepted(maximum: int) -> None:
    connack: Properties = {"topic_alias_maximum": maximum} if maximum else {}
    ends = Ends(connack=connack, topic_alias_maximum=maximum).open()
    with pytest.raises(LocalProtocolError, match="alias"):
        ends.client.send(aliased("t", maximum + 1))
    assert ends.server.receive(encode(aliased("t", maximum + 1), V5)) == []
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.TOPIC_ALIAS_INVALID


@pytest.mark.normative("MQTT-3.3.2-10")
def test_an_alias_that_was_never_set_is_a_protocol_error() -> None:
    limit: Properties = {"topic_alias_maximum": 2}
    ends = Ends(connect=limit).open()
    assert ends.server.receive(encode(PingReq(), V5) + encode(aliased("", 1), V5)) == [PingReq()]
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.PROTOCOL_ERROR
    assert ends.client.receive(encode(PingResp(), V5) + encode(aliased("", 1), V5)) == [PingResp()]
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.PROTOCOL_ERROR


@pytest.mark.normative("MQTT-3.3.2-10")
def test_aliases_end_with_their_connection() -> None:
    ends = Ends(connack={"topic_alias_maximum": 5}).open()
    ends.up(aliased("a", 1))
    again = Ends().open()
    assert again.server.receive(encode(aliased("", 1), V5)) == []
    assert again.server.violation is not None


# -- what the server said it cannot do --------------------------------------------------------


@pytest.mark.normative("MQTT-3.2.2-11")
@pytest.mark.parametrize("maximum", [0, 1])
def test_a_qos_above_the_maximum_is_not_sent(maximum: int) -> None:
    ends = Ends(connack={"maximum_qos": maximum}).open()
    assert ends.client.maximum_qos == maximum
    with pytest.raises(LocalProtocolError, match=f"no QoS above {maximum}"):
        ends.client.send(Publish("t", qos=maximum + 1, packet_id=1))
    identifier = 1 if maximum else 0
    assert ends.client.send(Publish("t", qos=maximum, packet_id=identifier))


@pytest.mark.normative("MQTT-3.2.2-14")
def test_a_retained_message_is_not_sent_where_none_is_kept() -> None:
    ends = Ends(connack={"retain_available": 0}).open()
    with pytest.raises(LocalProtocolError, match="retained"):
        ends.client.send(Publish("t", retain=True))


@pytest.mark.normative("MQTT-3.3.4-6")
def test_a_client_sends_no_subscription_identifier() -> None:
    ends = Ends().open()
    packet = Publish("t", properties={"subscription_identifier": [1]})
    assert ends.server.receive(encode(packet, V5)) == []
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.PROTOCOL_ERROR
    assert ends.down(packet) == [packet]


def test_connect_of_another_version_is_not_sent() -> None:
    client = ClientConnection(V311)
    with pytest.raises(LocalProtocolError, match="another protocol version"):
        client.send(Connect("c"))
    assert client.state is State.OPENED


# -- authentication methods -------------------------------------------------------------------


@pytest.mark.normative("MQTT-3.1.2-30")
def test_a_client_that_authenticates_sends_nothing_else_meanwhile() -> None:
    method: Properties = {"authentication_method": "m"}
    for early in (Publish("t"), PingReq(), Subscribe(1, [Subscription("t")])):
        server = new_server()
        connect = Connect("c", properties=method)
        assert server.receive(encode(connect, V5) + encode(early, V5)) == [connect]
        assert server.violation is not None
        assert server.violation.reason_code == Code.PROTOCOL_ERROR
    server = new_server()
    connect = Connect("c", properties=method)
    assert server.receive(encode(connect, V5) + encode(Disconnect(), V5)) == [
        connect,
        Disconnect(),
    ]


@pytest.mark.normative("MQTT-4.12.0-1")
def test_an_authentication_method_can_be_refused() -> None:
    ends = Ends(connect={"authentication_method": "m"})
    ends.up(ends.connect)
    refusal = ConnAck(False, Code.BAD_AUTHENTICATION_METHOD)
    assert ends.down(refusal) == [refusal]


# -- what CONNECT, CONNACK and DISCONNECT hold later packets to ---------------------------------


@pytest.mark.normative("MQTT-3.2.2-2")
@pytest.mark.normative_v311("MQTT-3.2.2-1")
@pytest.mark.parametrize("version", [V311, V5], ids=lambda v: v.text)
def test_a_server_says_no_session_after_a_clean_start(version: ProtocolVersion) -> None:
    ends = Ends(version)
    ends.up(ends.connect)
    with pytest.raises(LocalProtocolError, match="clean start"):
        ends.server.send(ConnAck(True))
    assert ends.server.state is State.CONNECTING


@pytest.mark.normative("MQTT-3.14.2-2")
def test_a_server_changes_no_session_expiry_when_it_disconnects() -> None:
    farewell = Disconnect(properties={"session_expiry_interval": 5})
    ends = Ends(connect={"session_expiry_interval": 5}).open()
    with pytest.raises(LocalProtocolError, match="session expiry"):
        ends.server.send(farewell)
    assert ends.server.state is State.CONNECTED
    assert ends.client.receive(encode(farewell, V5)) == []
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.PROTOCOL_ERROR


@pytest.mark.parametrize("connect", [{}, {"session_expiry_interval": 0}], ids=["absent", "zero"])
def test_disconnect_does_not_prolong_a_session_that_ends_at_once(connect: Properties) -> None:
    """MQTT 5.0 §3.14.2.2.2: it is not even a valid DISCONNECT, and the will is published."""
    farewell = Disconnect(properties={"session_expiry_interval": 5})
    ends = Ends(connect=connect).open()
    with pytest.raises(LocalProtocolError, match="prolong"):
        ends.client.send(farewell)
    assert ends.client.state is State.CONNECTED
    assert ends.server.receive(encode(farewell, V5)) == []
    assert ends.server.state is State.CONNECTED
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.PROTOCOL_ERROR
    assert ends.down(Disconnect(Code.PROTOCOL_ERROR)) == [Disconnect(Code.PROTOCOL_ERROR)]


@pytest.mark.parametrize(("asked", "then"), [(0, 0), (5, 0), (5, 0xFFFF_FFFF)])
def test_disconnect_may_change_the_expiry_of_other_sessions(asked: int, then: int) -> None:
    ends = Ends(connect={"session_expiry_interval": asked}).open()
    farewell = Disconnect(properties={"session_expiry_interval": then})
    assert ends.up(farewell) == [farewell]


@pytest.mark.normative("MQTT-3.1.2-24")
def test_a_client_holds_the_server_to_its_maximum_packet_size() -> None:
    ends = Ends(connect={"maximum_packet_size": 50}).open()
    assert ends.client.receive(encode(PingResp(), V5) + b"\x30\x31") == [PingResp()]
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.PACKET_TOO_LARGE


@pytest.mark.normative("MQTT-3.1.2-26", "MQTT-3.1.2-27", "MQTT-3.3.2-11")
@pytest.mark.parametrize("maximum", [0, 1, 4])
def test_a_server_sends_no_alias_above_the_maximum(maximum: int) -> None:
    ends = Ends(connect={"topic_alias_maximum": maximum}).open()
    with pytest.raises(LocalProtocolError, match="alias"):
        ends.server.send(aliased("t", maximum + 1))
    assert ends.client.receive(encode(aliased("t", maximum + 1), V5)) == []
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.TOPIC_ALIAS_INVALID


def test_an_alias_that_was_never_set_is_not_sent() -> None:
    limit: Properties = {"topic_alias_maximum": 2}
    ends = Ends(connect=limit, connack=limit).open()
    with pytest.raises(LocalProtocolError, match="never set"):
        ends.client.send(aliased("", 1))
    with pytest.raises(LocalProtocolError, match="never set"):
        ends.server.send(aliased("", 1))
    # One that the client could not send sets nothing.
    ends.client.peer_maximum_packet_size = 10
    with pytest.raises(LocalProtocolError, match="larger"):
        ends.client.send(aliased("a long topic", 1))
    ends.client.peer_maximum_packet_size = 100
    with pytest.raises(LocalProtocolError, match="never set"):
        ends.client.send(aliased("", 1))


@pytest.mark.normative("MQTT-3.3.4-6")
def test_a_client_does_not_send_a_subscription_identifier_with_a_message() -> None:
    ends = Ends().open()
    with pytest.raises(LocalProtocolError, match="subscription identifier"):
        ends.client.send(Publish("t", properties={"subscription_identifier": [1]}))


@pytest.mark.normative("MQTT-3.2.2-21")
@pytest.mark.parametrize(
    ("lacking", "topic_filter"),
    [
        ("wildcard_subscription_available", "a/+"),
        ("wildcard_subscription_available", "#"),
        ("wildcard_subscription_available", "$share/g/#"),
        ("shared_subscription_available", "$share/g/t"),
    ],
)
def test_a_subscription_that_the_server_cannot_serve_is_not_sent(
    lacking: str, topic_filter: str
) -> None:
    packet = Subscribe(1, [Subscription("t"), Subscription(topic_filter)])
    connack: Properties = {lacking: 0}  # type: ignore[misc]  # the name is a parameter
    ends = Ends(connack=connack).open()
    with pytest.raises(LocalProtocolError, match="broker accepts no"):
        ends.client.send(packet)
    plain = Subscribe(1, [Subscription("t")])
    assert ends.up(plain) == [plain]
    ends = Ends().open()
    assert ends.up(packet) == [packet]


def test_a_subscription_identifier_is_not_sent_where_there_are_none() -> None:
    packet = Subscribe(1, [Subscription("t")], {"subscription_identifier": [1]})
    ends = Ends(connack={"subscription_identifier_available": 0}).open()
    with pytest.raises(LocalProtocolError, match="subscription identifiers"):
        ends.client.send(packet)
    assert Ends().open().up(packet) == [packet]


@pytest.mark.normative("MQTT-3.1.2-30")
def test_a_client_that_authenticates_may_only_leave_before_connack() -> None:
    ends = Ends(connect={"authentication_method": "m"})
    ends.up(ends.connect)
    for packet in (Publish("t"), PingReq(), PubAck(1), Subscribe(1, [Subscription("t")])):
        with pytest.raises(LocalProtocolError, match="authentication"):
            ends.client.send(packet)
    assert ends.up(Disconnect()) == [Disconnect()]


@pytest.mark.normative("MQTT-4.12.0-5")
def test_a_method_that_is_accepted_at_once_is_named_in_connack() -> None:
    method: Properties = {"authentication_method": "m"}
    ends = Ends(connect=method, connack=method).open()
    assert ends.up(PingReq()) == [PingReq()]
    assert ends.server.violation is None


@pytest.mark.normative("MQTT-4.12.0-5", "MQTT-4.12.0-6")
@pytest.mark.parametrize(("asked", "named"), [(None, "m"), ("m", None), ("m", "M")])
def test_connack_names_the_method_of_connect_and_no_other(
    asked: str | None, named: str | None
) -> None:
    connect: Properties = {"authentication_method": asked} if asked else {}
    answer = ConnAck(properties={"authentication_method": named} if named else {})
    ends = Ends(connect=connect)
    ends.up(ends.connect)
    with pytest.raises(LocalProtocolError, match="authentication method"):
        ends.server.send(answer)
    assert ends.server.state is State.CONNECTING
    assert ends.client.receive(encode(answer, V5)) == []
    assert ends.client.violation is not None
    assert ends.client.state is State.CONNECTING


def test_version_3_has_no_properties_that_bind() -> None:
    properties: Properties = {
        "authentication_method": "m", "receive_maximum": 1, "topic_alias_maximum": 9,
        "maximum_packet_size": 10,
    }  # fmt: skip
    ends = Ends(V311, connect=properties)
    assert ends.up(ends.connect, PingReq()) == [Connect("c", protocol_version=V311), PingReq()]
    assert ends.down(ends.connack) == [ends.connack]
    assert ends.client.receive_maximum == 65_535
    assert ends.client.topic_alias_maximum == 0
    large = Publish("t", bytes(100))
    assert ends.down(large) == [large]


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
