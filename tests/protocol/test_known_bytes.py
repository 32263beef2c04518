"""Packets written out by hand from the standard: coding cannot be wrong the same way twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
    Will,
)
from trio_mqtt.protocol.reason_codes import ReasonCode as Code

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5
ALL = (V31, V311, V5)
V3 = (V31, V311)
Decode = Callable[[bytes, ProtocolVersion], Packet]

VECTORS: list[tuple[str, tuple[ProtocolVersion, ...], str, Packet]] = [
    # MQTT 5.0 §3.1 and figure 3-6: user name, will QoS 1, clean start, keep alive 10, session
    # expiry interval 10.
    (
        "connect",
        (V5,),
        (
            "10 26  00 04 4d 51 54 54  05  ce  00 0a  05 11 00 00 00 0a"
            "  00 01 63  02 01 01  00 02 77 74  00 03 62 79 65  00 01 75  00 02 70 77"
        ),
        Connect(
            "c",
            True,
            10,
            V5,
            Will("wt", b"bye", 1, False, {"payload_format_indicator": 1}),
            "u",
            b"pw",
            {"session_expiry_interval": 10},
        ),
    ),
    # MQTT 3.1.1 §3.1, figure 3.6
    (
        "connect",
        (V311,),
        "10 16  00 04 4d 51 54 54  04  c2  00 0a  00 01 63  00 03 75 73 72  00 02 70 77",
        Connect("c", True, 10, V311, None, "usr", b"pw"),
    ),
    (
        "connect",
        (V311,),
        "10 0d 00 04 4d 51 54 54 04 00 00 00 00 01 63",
        Connect("c", False, 0, V311),
    ),
    # MQTT 3.1 §3.1: the name is MQIsdp, the level 3
    (
        "connect",
        (V31,),
        "10 16 00 06 4d 51 49 73 64 70 03 36 ff ff 00 01 63 00 01 77 00 02 68 69",
        Connect("c", True, 65_535, V31, Will("w", b"hi", 2, True)),
    ),
    # An empty client identifier and nothing else
    ("connect", (V5,), "10 0d 00 04 4d 51 54 54 05 02 00 3c 00 00 00", Connect()),
    # A password alone: MQTT 5.0 §3.1.2.9
    (
        "connect",
        (V5,),
        "10 10 00 04 4d 51 54 54 05 42 00 3c 00 00 00 00 01 7a",
        Connect(password=b"z"),
    ),
    ("connack", V3, "20 02 00 00", ConnAck()),
    ("connack", (V311,), "20 02 01 00", ConnAck(True)),
    ("connack", V3, "20 02 00 01", ConnAck(False, Code.UNSUPPORTED_PROTOCOL_VERSION)),
    ("connack", V3, "20 02 00 02", ConnAck(False, Code.CLIENT_IDENTIFIER_NOT_VALID)),
    ("connack", V3, "20 02 00 03", ConnAck(False, Code.SERVER_UNAVAILABLE)),
    ("connack", V3, "20 02 00 04", ConnAck(False, Code.BAD_USER_NAME_OR_PASSWORD)),
    ("connack", V3, "20 02 00 05", ConnAck(False, Code.NOT_AUTHORIZED)),
    ("connack", (V5,), "20 03 01 00 00", ConnAck(True)),
    (
        "connack",
        (V5,),
        (
            "20 1e 00 00 1b 21 00 14 24 01 25 00 27 00 01 00 00 12 00 02 69 64 22 00 0a 13 00 1e"
            " 28 00 29 00"
        ),
        ConnAck(
            properties={
                "receive_maximum": 20,
                "maximum_qos": 1,
                "retain_available": 0,
                "maximum_packet_size": 65_536,
                "assigned_client_identifier": "id",
                "topic_alias_maximum": 10,
                "server_keep_alive": 30,
                "wildcard_subscription_available": 0,
                "subscription_identifier_available": 0,
            }
        ),
    ),
    ("connack", (V5,), "20 03 00 87 00", ConnAck(False, Code.NOT_AUTHORIZED)),
    # MQTT 3.1.1 §3.3.2, figure 3.11: topic a/b, packet identifier 10
    ("publish", V3, "32 07 00 03 61 2f 62 00 0a", Publish("a/b", b"", 1, packet_id=10)),
    ("publish", V3, "30 05 00 03 61 2f 62", Publish("a/b")),
    ("publish", V3, "3d 08 00 01 74 00 01 61 62 63", Publish("t", b"abc", 2, True, True, 1)),
    # MQTT 5.0 §3.3.2.4, figure 3-9: the same with a property length of zero
    ("publish", (V5,), "32 08 00 03 61 2f 62 00 0a 00", Publish("a/b", b"", 1, packet_id=10)),
    ("publish", (V5,), "31 06 00 01 74 00 68 69", Publish("t", b"hi", 0, True)),
    (
        "publish",
        (V5,),
        "34 16 00 01 74 ff ff 0e 02 00 00 00 3c 0b 81 01 26 00 01 6b 00 00 68 69",
        Publish(
            "t",
            b"hi",
            2,
            packet_id=65_535,
            properties={
                "message_expiry_interval": 60,
                "subscription_identifier": [129],
                "user_property": [("k", "")],
            },
        ),
    ),
    (
        "publish",
        (V5,),
        "30 06 00 00 03 23 00 05",
        Publish("", properties={"topic_alias": 5}),
    ),
    ("puback", ALL, "40 02 00 0a", PubAck(10)),
    ("puback", (V5,), "40 03 00 0a 10", PubAck(10, Code.NO_MATCHING_SUBSCRIBERS)),
    (
        "puback",
        (V5,),
        "40 09 00 0a 97 05 1f 00 02 6e 6f",
        PubAck(10, Code.QUOTA_EXCEEDED, {"reason_string": "no"}),
    ),
    ("pubrec", ALL, "50 02 01 00", PubRec(256)),
    ("pubrec", (V5,), "50 03 01 00 91", PubRec(256, Code.PACKET_IDENTIFIER_IN_USE)),
    ("pubrel", ALL, "62 02 00 01", PubRel(1)),
    ("pubrel", (V5,), "62 03 00 01 92", PubRel(1, Code.PACKET_IDENTIFIER_NOT_FOUND)),
    ("pubcomp", ALL, "70 02 ff ff", PubComp(65_535)),
    ("pubcomp", (V5,), "70 03 ff ff 92", PubComp(65_535, Code.PACKET_IDENTIFIER_NOT_FOUND)),
    # MQTT 3.1.1 §3.8.3, figure 3.23: a/b at QoS 1, c/d at QoS 2
    (
        "subscribe",
        V3,
        "82 0e 00 0a 00 03 61 2f 62 01 00 03 63 2f 64 02",
        Subscribe(10, [Subscription("a/b", 1), Subscription("c/d", 2)]),
    ),
    (
        "subscribe",
        (V5,),
        "82 12 00 0a 03 0b ff 7f 00 03 61 2f 62 2d 00 03 63 2f 64 12",
        Subscribe(
            10,
            [Subscription("a/b", 1, True, True, 2), Subscription("c/d", 2, retain_handling=1)],
            {"subscription_identifier": [16_383]},
        ),
    ),
    # MQTT 3.1.1 §3.9.3, figure 3.26
    (
        "suback",
        V3,
        "90 05 00 0a 00 02 80",
        SubAck(10, [Code.SUCCESS, Code.GRANTED_QOS_2, Code.UNSPECIFIED_ERROR]),
    ),
    (
        "suback",
        (V5,),
        "90 06 00 0a 00 01 87 a1",
        SubAck(
            10,
            [Code.GRANTED_QOS_1, Code.NOT_AUTHORIZED, Code.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED],
        ),
    ),
    (
        "unsubscribe",
        V3,
        "a2 0c 00 0a 00 03 61 2f 62 00 03 63 2f 64",
        Unsubscribe(10, ["a/b", "c/d"]),
    ),
    ("unsubscribe", (V5,), "a2 08 00 0a 00 00 03 61 2f 62", Unsubscribe(10, ["a/b"])),
    ("unsuback", V3, "b0 02 00 0a", UnsubAck(10)),
    (
        "unsuback",
        (V5,),
        "b0 05 00 0a 00 00 11",
        UnsubAck(10, [Code.SUCCESS, Code.NO_SUBSCRIPTION_EXISTED]),
    ),
    ("pingreq", ALL, "c0 00", PingReq()),
    ("pingresp", ALL, "d0 00", PingResp()),
    ("disconnect", ALL, "e0 00", Disconnect()),
    ("disconnect", (V5,), "e0 01 04", Disconnect(Code.DISCONNECT_WITH_WILL_MESSAGE)),
    (
        "disconnect",
        (V5,),
        "e0 07 00 05 11 00 00 00 78",
        Disconnect(properties={"session_expiry_interval": 120}),
    ),
    ("auth", (V5,), "f0 00", Auth()),
    (
        "auth",
        (V5,),
        "f0 0c 18 0a 15 00 01 6d 16 00 03 00 01 02",
        Auth(
            Code.CONTINUE_AUTHENTICATION,
            {"authentication_method": "m", "authentication_data": b"\x00\x01\x02"},
        ),
    ),
]
CASES = [
    pytest.param(version, bytes.fromhex(text), packet, id=f"{name}-v{version.text}-{index}")
    for index, (name, versions, text, packet) in enumerate(VECTORS)
    for version in versions
]


@pytest.mark.parametrize(("version", "data", "packet"), CASES)
def test_bytes_of_the_standard_are_understood(
    version: ProtocolVersion, data: bytes, packet: Packet, decode: Decode
) -> None:
    assert decode(data, version) == packet


@pytest.mark.parametrize(("version", "data", "packet"), CASES)
def test_bytes_of_the_standard_are_written(
    version: ProtocolVersion, data: bytes, packet: Packet
) -> None:
    assert encode(packet, version).hex(" ") == data.hex(" ")


# Longer than need be, yet allowed: what a peer may write and this library never does.
@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("40 03 00 0a 00", PubAck(10)),
        ("40 04 00 0a 00 00", PubAck(10)),
        ("50 04 00 0a 10 00", PubRec(10, Code.NO_MATCHING_SUBSCRIBERS)),
        ("62 03 00 0a 00", PubRel(10)),
        ("70 04 00 0a 00 00", PubComp(10)),
        ("e0 01 00", Disconnect()),
        ("e0 02 00 00", Disconnect()),
        ("e0 02 8d 00", Disconnect(Code.KEEP_ALIVE_TIMEOUT)),
    ],
)
def test_reason_code_and_property_length_may_stand_or_be_left_out(
    text: str, packet: Packet, decode: Decode
) -> None:
    assert decode(bytes.fromhex(text), V5) == packet


def test_an_mqtt_3_refusal_of_version_5_is_understood(decode: Decode) -> None:
    """A server of MQTT 3.1.1 answers in its own words (MQTT 3.1.1 §3.1.2.2)."""
    refusal = ConnAck(False, Code.UNSUPPORTED_PROTOCOL_VERSION)
    assert decode(b"\x20\x02\x00\x01", V5) == refusal


@pytest.mark.parametrize("lacking", [b"", b"\0\1u"], ids=["user name", "password"])
def test_mqtt_31_may_leave_out_fields_whose_flags_are_set(lacking: bytes, decode: Decode) -> None:
    body = b"\0\6MQIsdp\x03\xc2\0\x0a\0\1c" + lacking
    packet = decode(bytes((0x10, len(body))) + body, V31)
    username = "u" if lacking else None
    assert packet == Connect("c", True, 10, V31, None, username, None)


@pytest.mark.parametrize("first", [0x62, 0x6A, 0x82, 0x8A, 0xA2, 0xAA])
def test_mqtt_31_has_a_dup_flag_where_311_reserves_it(first: int, decode: Decode) -> None:
    bodies = {6: b"\0\1", 8: b"\0\1\0\1a\0", 10: b"\0\1\0\1a"}
    body = bodies[first >> 4]
    data = bytes((first, len(body))) + body
    assert decode(data, V31) == decode(bytes((data[0] & 0xF7,)) + data[1:], V311)
