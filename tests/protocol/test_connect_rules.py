"""What CONNECT, CONNACK and AUTH must not be: flags, fields, versions (MQTT 5.0 §3.1, §3.2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.protocol.packets_by_hand import (
    BAD_TOPICS,
    V5,
    V31,
    V311,
    Decode,
    V,
    connect,
    frame,
    none,
    refusal,
    string,
)
from trio_mqtt.errors import LocalProtocolError, MalformedPacketError, UnsupportedVersionError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Auth, ConnAck, Connect, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

# -- CONNECT ----------------------------------------------------------------------------------


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
        ("MQTT", 0), ("MQTT", 3), ("MQTT", 6), ("MQTT", 0x83), ("MQTT", 0x85), ("MQTT", 255),
        ("MQIsdp", 4), ("MQIsdp", 6), ("MQIsdp", 0x84),
    ],
)  # fmt: skip
def test_another_protocol_level_is_told_apart(name: str, level: int, decode: Decode) -> None:
    data = connect(level, 2, b"\0\0", string(name))
    error = refusal(data, V5, decode)
    assert error.reason_code == ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
    assert isinstance(error, UnsupportedVersionError)
    assert error.answer_version == (V5 if (name, level) == ("MQTT", 6) else V311)


def test_a_bridge_of_mqtt_3_sets_the_highest_bit_of_the_level(decode: Decode) -> None:
    for name, level, version in (("MQIsdp", 0x83, V31), ("MQTT", 0x84, V311)):
        packet = decode(connect(level, 2, b"\0\1c", string(name)), version)
        assert isinstance(packet, Connect)
        assert (packet.protocol_version, packet.is_bridge) == (version, True)
    with pytest.raises(LocalProtocolError, match="MQTT 5 has options"):
        encode(Connect("c", is_bridge=True), V5)


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
