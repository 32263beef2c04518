"""What each packet must not be: flags, identifiers, fields, wildcards (MQTT 5.0 §2 and §3)."""

from __future__ import annotations

import pytest

from tests.protocol.packets_by_hand import (
    BAD_TOPICS,
    V5,
    V31,
    V311,
    Decode,
    ReadyDecoder,
    Sample,
    V,
    connect,
    frame,
    none,
    refusal,
    string,
)
from trio_mqtt.errors import LocalProtocolError, MalformedPacketError, RemoteProtocolError
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
    Connect,
    Packet,
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
    Will,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

BAD_FILTERS = [
    "a+", "+a", "a/b+", "a/+b/c", "++", "a#", "#a", "#/a", "a/#/b", "##", "a/b#", "$share",
    "$share/", "$share/g", "$share/ab", "$share//t", "$share/g/", "$share/+/t", "$share/#/t",
    "$share/a+b/t", "$share/a#b/t", "$share/g/a+", "$share/g/#/a", "$share/+", "$share/#",
]  # fmt: skip


# -- fixed header -----------------------------------------------------------------------------


@pytest.mark.normative(
    "MQTT-2.1.3-1", "MQTT-3.1.2-12", "MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1",
    "MQTT-3.14.1-1", "MQTT-3.15.1-1",
)  # fmt: skip
@pytest.mark.normative_v311("MQTT-2.2.2-1", "MQTT-2.2.2-2", "MQTT-3.10.1-1", "MQTT-3.14.1-1")
def test_reserved_flags_have_the_value_of_the_standard(
    sample: Sample, ready_decoder: ReadyDecoder
) -> None:
    _, packet, version, _ = sample
    if isinstance(packet, Publish):
        assert encode(packet, version)[0] >> 4 == PacketType.PUBLISH  # its flags all mean something
        return
    data = encode(packet, version)
    wanted = 2 if isinstance(packet, PubRel | Subscribe | Unsubscribe) else 0
    assert data[0] & 15 == wanted
    for flags in range(16):
        if flags == wanted or (version == V31 and wanted == 2 and flags == 10):
            continue
        first = data[0] & 0xF0 | flags
        decoder = ready_decoder(version, first)
        assert decoder.feed(bytes((first,)) + data[1:]) == []
        assert isinstance(decoder.violation, MalformedPacketError)
        assert decoder.violation.reason_code == ReasonCode.MALFORMED_PACKET


@V
@pytest.mark.parametrize("flags", range(16))
def test_packet_type_0_does_not_exist(version: ProtocolVersion, flags: int, decode: Decode) -> None:
    refusal(bytes((flags, 0)), version, decode)


@pytest.mark.parametrize("version", [V31, V311], ids=lambda v: v.text)
def test_mqtt_3_has_no_auth(version: ProtocolVersion, decode: Decode) -> None:
    refusal(b"\xf0\x00", version, decode)
    with pytest.raises(LocalProtocolError, match="no AUTH"):
        encode(Auth(), version)


# -- PUBLISH ----------------------------------------------------------------------------------


@pytest.mark.normative("MQTT-3.3.1-4")
@pytest.mark.normative_v311("MQTT-3.3.1-4")
@V
@pytest.mark.parametrize("first", [0x36, 0x37, 0x3E, 0x3F])
def test_qos_3_is_malformed(version: ProtocolVersion, first: int, decode: Decode) -> None:
    data = frame(first, b"\0\1t\0\1" + none(version))
    assert isinstance(refusal(data, version, decode), MalformedPacketError)
    with pytest.raises(LocalProtocolError, match="QoS 3"):
        encode(Publish("t", qos=3, packet_id=1), version)


@pytest.mark.normative("MQTT-3.3.1-2", "MQTT-4.3.1-1")
@pytest.mark.normative_v311("MQTT-3.3.1-2")
@V
@pytest.mark.parametrize("first", [0x38, 0x39])
def test_dup_at_qos_0_is_malformed(version: ProtocolVersion, first: int, decode: Decode) -> None:
    data = frame(first, b"\0\1t" + none(version))
    assert isinstance(refusal(data, version, decode), MalformedPacketError)
    with pytest.raises(LocalProtocolError, match="neither DUP"):
        encode(Publish("t", dup=True), version)


@pytest.mark.normative("MQTT-2.2.1-2")
@pytest.mark.normative_v311("MQTT-2.3.1-5")
@V
def test_qos_0_has_no_packet_identifier(version: ProtocolVersion, decode: Decode) -> None:
    with pytest.raises(LocalProtocolError, match="packet identifier"):
        encode(Publish("t", packet_id=1), version)
    packet = decode(frame(0x30, b"\0\1t" + none(version) + b"\0\1"), version)
    assert isinstance(packet, Publish)
    assert (packet.packet_id, packet.payload) == (0, b"\0\1")


@pytest.mark.normative("MQTT-2.2.1-3", "MQTT-2.2.1-4")
@pytest.mark.normative_v311("MQTT-2.3.1-1")
@V
@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (0x32, b""), (0x34, b""), (0x40, b""), (0x50, b""), (0x62, b""), (0x70, b""),
        (0x82, b"\0\1t\0"), (0x90, b"\0"), (0xA2, b"\0\1t"), (0xB0, b"\0"),
    ],
)  # fmt: skip
def test_packet_identifier_0_is_malformed(
    version: ProtocolVersion, first: int, rest: bytes, decode: Decode
) -> None:
    has_properties = first not in (0x40, 0x50, 0x62, 0x70)
    if first == 0xB0 and version != V5:
        rest = b""
    tail = (none(version) if has_properties else b"") + rest
    head = b"\0\1t" if first >> 4 == 3 else b""
    decode(frame(first, head + b"\0\1" + tail), version)
    error = refusal(frame(first, head + b"\0\0" + tail), version, decode)
    assert isinstance(error, MalformedPacketError)


@V
@pytest.mark.parametrize("identifier", [0, -1, 65_536])
def test_an_identifier_that_is_none_is_not_written(
    version: ProtocolVersion, identifier: int
) -> None:
    packets: list[Packet] = [
        Publish("t", qos=1, packet_id=identifier), PubAck(identifier), PubRec(identifier),
        PubRel(identifier), PubComp(identifier), Subscribe(identifier, [Subscription("t")]),
        SubAck(identifier, [ReasonCode.SUCCESS]), Unsubscribe(identifier, ["t"]),
        UnsubAck(identifier, [ReasonCode.SUCCESS]),
    ]  # fmt: skip
    for packet in packets:
        with pytest.raises(LocalProtocolError, match="packet identifier"):
            encode(packet, version)


@pytest.mark.normative("MQTT-3.3.2-2", "MQTT-4.7.0-1")
@pytest.mark.normative_v311("MQTT-3.3.2-2", "MQTT-4.7.1-1")
@V
@pytest.mark.parametrize("topic", BAD_TOPICS)
def test_a_topic_name_has_no_wildcards(
    version: ProtocolVersion, topic: str, decode: Decode
) -> None:
    error = refusal(frame(0x30, string(topic) + none(version)), version, decode)
    assert error.reason_code == ReasonCode.MALFORMED_PACKET
    with pytest.raises(LocalProtocolError, match="wildcard"):
        encode(Publish(topic), version)


@pytest.mark.normative("MQTT-4.7.3-1")
@pytest.mark.normative_v311("MQTT-4.7.3-1")
@V
def test_a_topic_name_is_not_empty_without_an_alias(
    version: ProtocolVersion, decode: Decode
) -> None:
    error = refusal(frame(0x30, b"\0\0" + none(version)), version, decode)
    assert error.reason_code == ReasonCode.PROTOCOL_ERROR
    with pytest.raises(LocalProtocolError, match="empty"):
        encode(Publish(""), version)
    # The empty topic must not pass because the one before was not, nor the other way round.
    decoder = PacketDecoder(PacketType.CONNACK, version)
    decoder.feed(frame(0x20, b"\0\0" + none(version)))
    good = frame(0x30, b"\0\1t" + none(version))
    assert decoder.feed(good + frame(0x30, b"\0\0" + none(version)) + good) == [Publish("t")]
    assert decoder.violation is not None


@pytest.mark.parametrize("version", [V31, V311], ids=lambda v: v.text)
def test_mqtt_3_has_no_alias_to_stand_for_a_topic(version: ProtocolVersion) -> None:
    with pytest.raises(LocalProtocolError, match="empty"):
        encode(Publish("", properties={"topic_alias": 1}), version)


@pytest.mark.normative("MQTT-3.3.2-7", "MQTT-3.3.2-8")
@pytest.mark.parametrize("topic", ["", "t"])
def test_topic_alias_0_is_invalid(topic: str, decode: Decode) -> None:
    error = refusal(frame(0x30, string(topic) + b"\x03\x23\0\0"), V5, decode)
    assert error.reason_code == ReasonCode.TOPIC_ALIAS_INVALID
    with pytest.raises(LocalProtocolError, match="topic_alias"):
        encode(Publish(topic, properties={"topic_alias": 0}), V5)


@pytest.mark.normative("MQTT-3.3.2-13", "MQTT-3.3.2-14")
@pytest.mark.parametrize("topic", ["", "a\0", *BAD_TOPICS])
def test_a_response_topic_that_is_no_topic_name_is_not_written(topic: str) -> None:
    properties: Properties = {"response_topic": topic}
    with pytest.raises(LocalProtocolError, match="response topic"):
        encode(Publish("t", properties=properties), V5)
    with pytest.raises(LocalProtocolError, match="response topic"):
        encode(Connect("c", will=Will("w", properties=properties)), V5)


@pytest.mark.normative("MQTT-3.3.2-14")
@pytest.mark.parametrize("topic", ["", *BAD_TOPICS])
def test_a_received_response_topic_is_a_topic_name(topic: str, decode: Decode) -> None:
    properties = b"\x08" + string(topic)
    properties = bytes((len(properties),)) + properties
    error = refusal(frame(0x30, b"\0\1t" + properties), V5, decode)
    assert error.reason_code == ReasonCode.MALFORMED_PACKET
    error = refusal(connect(5, 0x06, b"\0\1c" + properties + b"\0\1w\0\0"), V5, decode)
    assert error.reason_code == ReasonCode.MALFORMED_PACKET


# -- SUBSCRIBE, UNSUBSCRIBE and their answers -------------------------------------------------


@pytest.mark.normative("MQTT-3.8.3-2", "MQTT-3.8.3-3", "MQTT-3.10.3-2")
@pytest.mark.normative_v311("MQTT-3.10.3-2")
@V
@pytest.mark.parametrize("first", [0x82, 0x90, 0xA2])
def test_what_asks_for_nothing_is_a_protocol_error(
    version: ProtocolVersion, first: int, decode: Decode
) -> None:
    error = refusal(frame(first, b"\0\1" + none(version)), version, decode)
    assert error.reason_code == ReasonCode.PROTOCOL_ERROR


@V
def test_what_asks_for_nothing_is_not_written(version: ProtocolVersion) -> None:
    for packet in (Subscribe(1, []), Unsubscribe(1, []), SubAck(1, [])):
        with pytest.raises(LocalProtocolError, match="at least one"):
            encode(packet, version)


def test_unsuback_of_version_5_has_a_code_for_each_filter(decode: Decode) -> None:
    refusal(b"\xb0\x03\0\1\0", V5, decode)
    with pytest.raises(LocalProtocolError, match="at least one"):
        encode(UnsubAck(1), V5)


@pytest.mark.normative(
    "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-1", "MQTT-4.8.2-1", "MQTT-4.8.2-2"
)
@pytest.mark.normative_v311("MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.3-1")
@V
@pytest.mark.parametrize("topic_filter", ["", *BAD_FILTERS])
def test_an_invalid_filter_is_refused(
    version: ProtocolVersion, topic_filter: str, decode: Decode
) -> None:
    head = b"\0\1" + none(version)
    good = string("t")
    for data in (
        frame(0x82, head + string(topic_filter) + b"\0"),
        frame(0x82, head + good + b"\0" + string(topic_filter) + b"\0"),
        frame(0xA2, head + good + string(topic_filter)),
    ):
        error = refusal(data, version, decode)
        assert error.reason_code == ReasonCode.MALFORMED_PACKET
    for packet in (Subscribe(1, [Subscription(topic_filter)]), Unsubscribe(1, [topic_filter])):
        with pytest.raises(LocalProtocolError, match="topic filter"):
            encode(packet, version)


@pytest.mark.normative("MQTT-3.8.3-5")
@V
def test_subscription_options_have_no_reserved_bits(
    version: ProtocolVersion, decode: Decode
) -> None:
    for options in range(256):
        data = frame(0x82, b"\0\1" + none(version) + b"\0\1t" + bytes((options,)))
        allowed = options & 3 != 3
        if version == V5:
            allowed = allowed and options < 0x40 and options & 0x30 != 0x30
        else:
            allowed = allowed and options < 4
        if allowed:
            packet = decode(data, version)
            assert packet == Subscribe(
                1,
                [Subscription("t", options & 3, options & 4 == 4, options & 8 == 8, options >> 4)],
            )
            assert encode(packet, version) == data
        else:
            assert isinstance(refusal(data, version, decode), MalformedPacketError)


@pytest.mark.parametrize(("qos", "handling"), [(3, 0), (-1, 0), (0, 3), (0, -1)])
def test_options_that_do_not_exist_are_not_written(qos: int, handling: int) -> None:
    with pytest.raises(LocalProtocolError, match="0, 1 or 2"):
        encode(Subscribe(1, [Subscription("t", qos, retain_handling=handling)]), V5)


@pytest.mark.normative("MQTT-3.8.3-4")
def test_a_shared_subscription_cannot_ask_for_no_local(decode: Decode) -> None:
    data = frame(0x82, b"\0\1\0" + string("$share/g/t") + b"\x04")
    error = refusal(data, V5, decode)
    assert error.reason_code == ReasonCode.PROTOCOL_ERROR
    assert isinstance(decode(data[:-1] + b"\x00", V5), Subscribe)
    with pytest.raises(LocalProtocolError, match="no local"):
        encode(Subscribe(1, [Subscription("$share/g/t", no_local=True)]), V5)


@pytest.mark.parametrize("zero", [b"\x02\x0b\x00", b"\x06\x0b\x80\x80\x80\x80\x01"])
def test_a_wrong_subscription_identifier_is_refused(zero: bytes, decode: Decode) -> None:
    refusal(frame(0x82, b"\0\1" + zero + b"\0\1t\0"), V5, decode)


def test_an_error_of_the_peer_says_what_and_which_code() -> None:
    error = MalformedPacketError("a string is not valid UTF-8")
    assert isinstance(error, RemoteProtocolError)
    assert error.reason_code == ReasonCode.MALFORMED_PACKET
    assert RemoteProtocolError("so").reason_code == ReasonCode.PROTOCOL_ERROR
    properties: Properties = {"receive_maximum": 0}
    with pytest.raises(LocalProtocolError, match="receive_maximum must not be 0"):
        encode(Connect("c", properties=properties), V5)
