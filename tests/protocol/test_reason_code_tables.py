"""The reason codes against tables copied by hand from the standard (MQTT 5.0 §2.4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trio_mqtt.errors import LocalProtocolError, MalformedPacketError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    SubAck,
    UnsubAck,
)
from trio_mqtt.protocol.reason_codes import ALLOWED, FROM_RETURN_CODE, ReasonCode, to_return_code

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5
Decode = Callable[[bytes, ProtocolVersion], Packet]

# One row for each row of table 2-6: the code, and the packets that the sections allow it in
# (C CONNACK, A PUBACK, R PUBREC, L PUBREL, P PUBCOMP, S SUBACK, U UNSUBACK, D DISCONNECT, X AUTH).
ROWS = """
00 C A R L P S U D X
01 S
02 S
04 D
10 A R
11 U
18 X
19 X
80 C A R S U D
81 C D
82 C D
83 C A R S U D
84 C
85 C
86 C
87 C A R S U D
88 C
89 C D
8A C
8B D
8C C
8D D
8E D
8F S U D
90 C A R D
91 A R S U
92 L P
93 D
94 D
95 C D
96 D
97 C A R S D
98 D
99 C A R D
9A C D
9B C D
9C C D
9D C D
9E S D
9F C D
A0 D
A1 S D
A2 S D
"""
LETTERS = {
    "C": PacketType.CONNACK,
    "A": PacketType.PUBACK,
    "R": PacketType.PUBREC,
    "L": PacketType.PUBREL,
    "P": PacketType.PUBCOMP,
    "S": PacketType.SUBACK,
    "U": PacketType.UNSUBACK,
    "D": PacketType.DISCONNECT,
    "X": PacketType.AUTH,
}
TABLE = {int(r.split()[0], 16): {LETTERS[x] for x in r.split()[1:]} for r in ROWS.split("\n") if r}
METHOD = b"\x04\x15\x00\x01m"

# The bytes of each packet around its reason code, and the packet.
AROUND: dict[PacketType, tuple[bytes, bytes, Callable[[ReasonCode], Packet]]] = {
    PacketType.CONNACK: (b"\x20\x03\x00", b"\x00", lambda c: ConnAck(False, c)),
    PacketType.PUBACK: (b"\x40\x03\x00\x01", b"", lambda c: PubAck(1, c)),
    PacketType.PUBREC: (b"\x50\x03\x00\x01", b"", lambda c: PubRec(1, c)),
    PacketType.PUBREL: (b"\x62\x03\x00\x01", b"", lambda c: PubRel(1, c)),
    PacketType.PUBCOMP: (b"\x70\x03\x00\x01", b"", lambda c: PubComp(1, c)),
    PacketType.SUBACK: (b"\x90\x04\x00\x01\x00", b"", lambda c: SubAck(1, [c])),
    PacketType.UNSUBACK: (b"\xb0\x04\x00\x01\x00", b"", lambda c: UnsubAck(1, [c])),
    PacketType.DISCONNECT: (b"\xe0\x01", b"", Disconnect),
    PacketType.AUTH: (b"\xf0\x06", METHOD, lambda c: Auth(c, {"authentication_method": "m"})),
}


def test_every_reason_code_of_the_standard_exists_and_no_other() -> None:
    assert {int(code) for code in ReasonCode} == set(TABLE)


@pytest.mark.normative(
    "MQTT-3.2.2-8", "MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1",
    "MQTT-3.9.3-2", "MQTT-3.11.3-2", "MQTT-3.14.2-1", "MQTT-3.15.2-1",
)  # fmt: skip
@pytest.mark.parametrize("kind", list(AROUND), ids=lambda k: k.name)
def test_a_packet_carries_the_codes_of_its_table_and_no_others(
    kind: PacketType, decode: Decode
) -> None:
    before, after, make = AROUND[kind]
    for value in range(256):
        data = before + bytes((value,)) + after
        if kind in TABLE.get(value, ()):
            packet = make(ReasonCode(value))
            assert decode(data, V5) == packet
            assert decode(encode(packet, V5), V5) == packet
            continue
        with pytest.raises(MalformedPacketError, match="reason code"):
            decode(data, V5)
        if value in TABLE:
            with pytest.raises(LocalProtocolError, match="reason code"):
                encode(make(ReasonCode(value)), V5)


def test_every_packet_with_reason_codes_has_a_table() -> None:
    assert set(ALLOWED) == set(LETTERS.values())


def test_failures_begin_at_0x80() -> None:
    assert {code for code in ReasonCode if code.is_failure} == {c for c in TABLE if c >= 0x80}


def test_a_reason_code_reads_as_a_sentence() -> None:
    assert ReasonCode.NOT_AUTHORIZED.sentence == "not authorized"
    assert ReasonCode.QOS_NOT_SUPPORTED.sentence == "QoS not supported"


def test_a_protocol_version_reads_as_people_write_it() -> None:
    assert [v.text for v in ProtocolVersion] == ["3.1", "3.1.1", "5"]


@pytest.mark.parametrize("version", [V31, V311], ids=lambda v: v.text)
def test_connack_of_mqtt_3_has_return_codes_0_to_5(
    version: ProtocolVersion, decode: Decode
) -> None:
    for value in range(256):
        data = bytes((0x20, 2, 0, value))
        if value <= 5:
            assert decode(data, version) == ConnAck(False, FROM_RETURN_CODE[value])
            assert to_return_code(FROM_RETURN_CODE[value]) == value
        else:
            with pytest.raises(MalformedPacketError, match="return code"):
                decode(data, version)


@pytest.mark.normative_v311("MQTT-3.1.2-2", "MQTT-3.1.3-8", "MQTT-3.1.3-9")
@pytest.mark.parametrize("code", sorted(TABLE))
def test_mqtt_3_says_every_refusal_in_one_of_its_return_codes(code: int, decode: Decode) -> None:
    reason = ReasonCode(code)
    assert (to_return_code(reason) == 0) == (reason == ReasonCode.SUCCESS)
    if reason.is_failure:
        packet = decode(encode(ConnAck(False, reason), V311), V311)
        assert isinstance(packet, ConnAck)
        assert packet.reason_code.is_failure


@pytest.mark.normative_v311("MQTT-3.9.3-2")
@pytest.mark.parametrize("version", [V31, V311], ids=lambda v: v.text)
def test_suback_of_mqtt_3_has_four_return_codes(version: ProtocolVersion, decode: Decode) -> None:
    for value in range(256):
        data = bytes((0x90, 3, 0, 1, value))
        if value in (0, 1, 2, 0x80):
            assert decode(data, version) == SubAck(1, [ReasonCode(value)])
        else:
            with pytest.raises(MalformedPacketError):
                decode(data, version)


@pytest.mark.normative_v311("MQTT-3.9.3-2")
def test_suback_of_mqtt_3_says_every_failure_as_0x80() -> None:
    codes = [ReasonCode.GRANTED_QOS_1, ReasonCode.NOT_AUTHORIZED, ReasonCode.QUOTA_EXCEEDED]
    assert encode(SubAck(1, codes), V311) == b"\x90\x05\x00\x01\x01\x80\x80"
    for code in (ReasonCode.NO_SUBSCRIPTION_EXISTED, ReasonCode.DISCONNECT_WITH_WILL_MESSAGE):
        with pytest.raises(LocalProtocolError, match="reason code"):
            encode(SubAck(1, [code]), V311)
