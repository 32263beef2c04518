"""What CONNECT and CONNACK say, and each end holds later packets to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.protocol.ends import V5, V311, Ends
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
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
    Subscription,
    UnsubAck,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode as Code
from trio_mqtt.protocol.states import State
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE


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
