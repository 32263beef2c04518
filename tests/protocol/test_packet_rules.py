"""What each packet must not be: flags, identifiers, fields, wildcards (MQTT 5.0 §2 and §3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trio_mqtt.errors import (
    LocalProtocolError,
    MalformedPacketError,
    RemoteProtocolError,
    UnsupportedVersionError,
)
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
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

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5
V = pytest.mark.parametrize("version", [V31, V311, V5], ids=lambda v: v.text)
Decode = Callable[[bytes, ProtocolVersion], Packet]
ReadyDecoder = Callable[[ProtocolVersion, int], PacketDecoder]
Sample = tuple[str, Packet, ProtocolVersion, frozenset[int]]

BAD_TOPICS = ["+", "#", "a/+", "a/#", "a+", "#/a", "+/a"]
BAD_FILTERS = [
    "a+", "+a", "a/b+", "a/+b/c", "++", "a#", "#a", "#/a", "a/#/b", "##", "a/b#", "$share",
    "$share/", "$share/g", "$share/ab", "$share//t", "$share/g/", "$share/+/t", "$share/#/t",
    "$share/a+b/t", "$share/a#b/t", "$share/g/a+", "$share/g/#/a", "$share/+", "$share/#",
]  # fmt: skip


def frame(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((first, len(body))) + body


def string(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def none(version: ProtocolVersion) -> bytes:
    """No properties."""
    return b"\0" if version == V5 else b""


def refusal(data: bytes, version: ProtocolVersion, decode: Decode) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data, version)
    assert str(caught.value)
    return caught.value


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


# -- CONNECT ----------------------------------------------------------------------------------


def connect(level: int, flags: int, payload: bytes, name: bytes = b"\0\4MQTT") -> bytes:
    properties = b"\0" if level == 5 else b""
    return frame(0x10, name + bytes((level, flags)) + b"\0\x3c" + properties + payload)


@pytest.mark.normative("MQTT-3.1.2-3", "MQTT-3.1.4-1")
@pytest.mark.normative_v311("MQTT-3.1.2-3", "MQTT-3.1.4-1")
@pytest.mark.parametrize("level", [4, 5])
def test_the_reserved_flag_of_connect_is_zero(level: int, decode: Decode) -> None:
    error = refusal(connect(level, 0x03, b"\0\1c"), V5, decode)
    assert error.reason_code == ReasonCode.MALFORMED_PACKET


@pytest.mark.normative("MQTT-3.1.2-7", "MQTT-3.1.2-8", "MQTT-3.1.2-13")
@pytest.mark.normative_v311("MQTT-3.1.2-11", "MQTT-3.1.2-13", "MQTT-3.1.2-15")
@pytest.mark.parametrize("flags", [0x08, 0x10, 0x18, 0x20, 0x38])
@pytest.mark.parametrize("level", [4, 5])
def test_without_a_will_its_flags_are_zero(level: int, flags: int, decode: Decode) -> None:
    refusal(connect(level, flags, b"\0\1c"), V5, decode)


@pytest.mark.normative_v311("MQTT-3.1.2-14")
@pytest.mark.parametrize("level", [4, 5])
def test_a_will_of_qos_3_is_malformed(level: int, decode: Decode) -> None:
    will = (b"\0" if level == 5 else b"") + b"\0\1w\0\0"
    assert isinstance(decode(connect(level, 0x14, b"\0\1c" + will), V5), Connect)
    refusal(connect(level, 0x1C, b"\0\1c" + will), V5, decode)
    with pytest.raises(LocalProtocolError, match="QoS"):
        encode(Connect("c", will=Will("w", qos=3)), V5)


@pytest.mark.normative("MQTT-3.1.2-9", "MQTT-3.1.2-17", "MQTT-3.1.2-19")
@pytest.mark.normative_v311("MQTT-3.1.2-9", "MQTT-3.1.2-19", "MQTT-3.1.2-21")
@pytest.mark.parametrize("flags", [0x04, 0x80, 0xC0])
@pytest.mark.parametrize("level", [4, 5])
def test_what_the_flags_announce_is_there(level: int, flags: int, decode: Decode) -> None:
    refusal(connect(level, flags, b"\0\1c"), V5, decode)


@pytest.mark.normative("MQTT-3.1.2-16", "MQTT-3.1.2-18")
@pytest.mark.normative_v311("MQTT-3.1.2-18", "MQTT-3.1.2-20")
@pytest.mark.parametrize("level", [4, 5])
def test_what_the_flags_do_not_announce_is_not_there(level: int, decode: Decode) -> None:
    refusal(connect(level, 0x02, b"\0\1c\0\1u"), V5, decode)
    refusal(connect(level, 0x82, b"\0\1c\0\1u\0\1p"), V5, decode)


@pytest.mark.normative_v311("MQTT-3.1.2-22")
def test_a_password_without_a_user_name_is_only_for_version_5(decode: Decode) -> None:
    refusal(connect(4, 0x42, b"\0\1c\0\1p"), V311, decode)
    packet = decode(connect(5, 0x42, b"\0\1c\0\1p"), V5)
    assert isinstance(packet, Connect)
    assert (packet.username, packet.password) == (None, b"p")
    for version in (V31, V311):
        with pytest.raises(LocalProtocolError, match="without a user name"):
            encode(Connect("c", protocol_version=version, password=b"p"), version)


@pytest.mark.normative("MQTT-3.1.2-2")
@pytest.mark.normative_v311("MQTT-3.1.2-2")
@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("MQTT", 0), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0x84), ("MQTT", 255), ("MQIsdp", 4),
        ("MQIsdp", 6),
    ],
)  # fmt: skip
def test_another_protocol_level_is_told_apart(name: str, level: int, decode: Decode) -> None:
    data = connect(level, 2, b"\0\0", string(name))
    error = refusal(data, V5, decode)
    assert error.reason_code == ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
    assert isinstance(error, UnsupportedVersionError)
    assert error.answer_version == (V5 if (name, level) == ("MQTT", 6) else V311)


@pytest.mark.normative("MQTT-3.1.2-1")
@pytest.mark.normative_v311("MQTT-3.1.2-1")
@pytest.mark.parametrize("name", ["", "mqtt", "MQTt", "MQTTX", "MQ", "MQIsdP", "HTTP"])
def test_another_protocol_name_is_malformed(name: str, decode: Decode) -> None:
    data = connect(4, 2, b"\0\0", string(name))
    assert isinstance(refusal(data, V5, decode), MalformedPacketError)


@pytest.mark.parametrize("topic", ["", *BAD_TOPICS])
@pytest.mark.parametrize("level", [4, 5])
def test_a_will_goes_to_a_topic_name(level: int, topic: str, decode: Decode) -> None:
    none = b"\0" if level == 5 else b""
    error = refusal(connect(level, 0x06, b"\0\1c" + none + string(topic) + b"\0\0"), V5, decode)
    assert error.reason_code == ReasonCode.MALFORMED_PACKET
    with pytest.raises(LocalProtocolError, match="will"):
        encode(Connect("c", will=Will(topic)), V5)


@pytest.mark.normative("MQTT-3.1.3-11", "MQTT-3.1.3-12")
@pytest.mark.normative_v311("MQTT-3.1.3-4", "MQTT-3.1.3-10", "MQTT-3.1.3-11")
@pytest.mark.parametrize("bad", [b"\xed\xa0\x80", b"\xc0\x80", b"\0", b"\xff"])
@pytest.mark.parametrize(
    "make",
    [
        lambda s: connect(4, 0x02, s),
        lambda s: connect(4, 0x06, b"\0\1c" + s + b"\0\0"),
        lambda s: connect(4, 0x82, b"\0\1c" + s),
    ],
    ids=["client identifier", "will topic", "user name"],
)
def test_the_strings_of_connect_are_utf8(
    make: Callable[[bytes], bytes], bad: bytes, decode: Decode
) -> None:
    data = make(len(bad).to_bytes(2, "big") + bad)
    assert isinstance(refusal(data, V311, decode), MalformedPacketError)


def test_authentication_data_need_a_method(decode: Decode) -> None:
    body = b"\0\4MQTT\x05\x02\0\x3c" + b"\x04\x16\0\1x" + b"\0\0"
    assert refusal(frame(0x10, body), V5, decode).reason_code == ReasonCode.PROTOCOL_ERROR
    with pytest.raises(LocalProtocolError, match="without a method"):
        encode(Connect("c", properties={"authentication_data": b"x"}), V5)


@pytest.mark.normative_v311("MQTT-3.1.3-7")
@pytest.mark.parametrize("version", [V31, V311], ids=lambda v: v.text)
def test_mqtt_3_keeps_no_session_without_a_client_identifier(version: ProtocolVersion) -> None:
    with pytest.raises(LocalProtocolError, match="client identifier"):
        encode(Connect("", False, protocol_version=version), version)
    assert encode(Connect("", True, protocol_version=version), version)
    assert encode(Connect("", False), V5)


@pytest.mark.normative("MQTT-4.12.0-5")
def test_auth_names_its_method(decode: Decode) -> None:
    """MQTT 5.0 §3.15.2.2.2; only a success may leave all out (§3.15.2.1)."""
    assert decode(b"\xf0\x00", V5) == Auth()
    for data in (b"\xf0\x02\x18\x00", b"\xf0\x02\x00\x00", b"\xf0\x06\x18\x04\x1f\0\1x"):
        assert refusal(data, V5, decode).reason_code == ReasonCode.PROTOCOL_ERROR
    assert isinstance(refusal(b"\xf0\x01\x18", V5, decode), MalformedPacketError)
    for packet in (Auth(ReasonCode.RE_AUTHENTICATE), Auth(properties={"reason_string": "x"})):
        with pytest.raises(LocalProtocolError, match="authentication method"):
            encode(packet, V5)


@pytest.mark.parametrize("seconds", [-1, 65_536])
def test_a_keep_alive_that_does_not_fit_is_not_written(seconds: int) -> None:
    with pytest.raises(LocalProtocolError, match="keep alive"):
        encode(Connect("c", keep_alive=seconds), V5)


# -- CONNACK ----------------------------------------------------------------------------------


@V
@pytest.mark.normative("MQTT-3.2.2-1")
def test_the_reserved_flags_of_connack_are_zero(version: ProtocolVersion, decode: Decode) -> None:
    for flags in range(2, 256):
        refusal(frame(0x20, bytes((flags, 0)) + none(version)), version, decode)


@pytest.mark.normative("MQTT-3.2.2-6")
@pytest.mark.normative_v311("MQTT-3.2.2-4")
@V
def test_a_refusal_has_no_session(version: ProtocolVersion, decode: Decode) -> None:
    code = 0x87 if version == V5 else 5
    refusal(frame(0x20, bytes((1, code)) + none(version)), version, decode)
    with pytest.raises(LocalProtocolError, match="session is present"):
        encode(ConnAck(True, ReasonCode.NOT_AUTHORIZED), version)


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
