"""How a byte stream is cut into packets: bounds first, and no work done twice."""

from __future__ import annotations

import tracemalloc

import pytest

from trio_mqtt.errors import MalformedPacketError, RemoteProtocolError
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_decoding import decode_packet
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Packet, PingReq, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.wire import encode_variable_byte_integer

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5


def connected(version: ProtocolVersion = V5, maximum: int = 1_000_000) -> PacketDecoder:
    """A decoder past its first packet."""
    decoder = PacketDecoder(PacketType.CONNACK, version, maximum)
    decoder.feed(encode(ConnAck(), version))
    return decoder


# -- the first packet -------------------------------------------------------------------------


@pytest.mark.normative("MQTT-3.1.0-1")
@pytest.mark.normative_v311("MQTT-3.1.0-1")
@pytest.mark.parametrize("kind", range(16))
def test_the_first_byte_decides_whether_a_server_listens(kind: int) -> None:
    """CVE-2023-0809: what is not CONNECT must not be waited for, however long it says it is."""
    decoder = PacketDecoder(PacketType.CONNECT)
    assert decoder.feed(bytes((kind << 4,))) == []
    if kind == PacketType.CONNECT:
        assert decoder.violation is None
    else:
        assert isinstance(decoder.violation, RemoteProtocolError)
        assert "CONNECT" in str(decoder.violation)


@pytest.mark.normative("MQTT-3.2.0-1")
@pytest.mark.parametrize("kind", range(16))
def test_the_first_byte_decides_whether_a_client_listens(kind: int) -> None:
    decoder = PacketDecoder(PacketType.CONNACK, V5)
    assert decoder.feed(bytes((kind << 4, 0xFF, 0xFF, 0xFF, 0x7F))) == []
    if kind == PacketType.CONNACK:
        assert decoder.violation is None
    else:
        assert "CONNACK" in str(decoder.violation)


def test_nothing_is_not_yet_a_first_packet() -> None:
    decoder = PacketDecoder(PacketType.CONNECT)
    assert decoder.feed(b"") == []
    assert decoder.violation is None
    assert decoder.feed(encode(Connect("c"), V5)) == [Connect("c")]


@pytest.mark.parametrize("version", [V31, V311, V5], ids=lambda v: v.text)
def test_connect_sets_the_version_of_what_follows(version: ProtocolVersion) -> None:
    decoder = PacketDecoder(PacketType.CONNECT)
    connect = Connect("c", protocol_version=version)
    publish = Publish("t", b"\0")
    data = encode(connect, version) + encode(publish, version)
    assert decoder.feed(data) == [connect, publish]
    assert decoder.version == version


@pytest.mark.normative("MQTT-3.1.0-2")
def test_a_second_connect_does_not_change_the_version() -> None:
    decoder = PacketDecoder(PacketType.CONNECT)
    old, new = Connect("c", protocol_version=V311), Connect("c")
    publish = Publish("t", b"\0")
    data = encode(old, V311) + encode(new, V5) + encode(publish, V311)
    assert decoder.feed(data) == [old, new, publish]
    assert decoder.version == V311


# -- the largest packet -----------------------------------------------------------------------


@pytest.mark.parametrize("extra", [0, 1])
def test_the_maximum_packet_size_counts_every_byte(extra: int) -> None:
    data = encode(Publish("t", bytes(200)), V5)
    decoder = connected(maximum=len(data) - extra)
    packets = decoder.feed(data)
    if extra:
        assert packets == []
        assert decoder.violation is not None
        assert decoder.violation.reason_code == ReasonCode.PACKET_TOO_LARGE
    else:
        assert packets == [Publish("t", bytes(200))]


@pytest.mark.parametrize("claimed", [1_000, 100_000, 268_435_455])
def test_a_packet_too_large_is_refused_at_its_length(claimed: int) -> None:
    """CVE-2017-7651, CVE-2021-33175: not when it has come, and not a byte earlier or later."""
    head = b"\x10" + encode_variable_byte_integer(claimed)
    decoder = PacketDecoder(PacketType.CONNECT, None, 500)
    for at in range(len(head)):
        assert decoder.violation is None
        assert decoder.feed(head[at : at + 1]) == []
    assert decoder.violation is not None
    assert decoder.violation.reason_code == ReasonCode.PACKET_TOO_LARGE
    assert decoder.feed(bytes(10_000)) == []


def test_packets_before_one_too_large_are_delivered() -> None:
    decoder = connected(maximum=100)
    small = Publish("t", b"x")
    assert decoder.feed(encode(small, V5) * 2 + b"\x30\xff\x7f") == [small, small]
    assert decoder.violation is not None
    assert decoder.violation.reason_code == ReasonCode.PACKET_TOO_LARGE


def test_the_maximum_may_change_between_reads() -> None:
    data = encode(Publish("t", bytes(500)), V5)
    decoder = connected(maximum=100)
    decoder.maximum_packet_size = 1_000
    assert len(decoder.feed(data)) == 1
    decoder.maximum_packet_size = 100
    assert decoder.feed(data) == []
    assert decoder.violation is not None


def test_no_more_is_held_than_the_maximum() -> None:
    decoder = connected(maximum=10_000)
    head = b"\x30" + encode_variable_byte_integer(9_000)
    decoder.feed(head)
    tracemalloc.start()
    for _ in range(80):
        decoder.feed(bytes(100))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 40_000


# -- remaining length -------------------------------------------------------------------------


@pytest.mark.normative("MQTT-1.5.5-1")
@pytest.mark.parametrize("head", ["308000", "30808000", "3080808000", "308100", "30ff8000"])
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
def test_a_remaining_length_longer_than_need_be_is_malformed(head: str, bytewise: bool) -> None:
    decoder = connected()
    data = bytes.fromhex(head)
    for chunk in [bytes((b,)) for b in data] if bytewise else [data]:
        assert decoder.feed(chunk) == []
    assert isinstance(decoder.violation, MalformedPacketError)


@pytest.mark.parametrize("head", ["3080808080", "30ffffffff", "308080808001", "30ffffffff7f"])
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
def test_a_remaining_length_of_five_bytes_is_malformed(head: str, bytewise: bool) -> None:
    """CVE-2026-21888."""
    decoder = connected()
    data = bytes.fromhex(head)
    for chunk in [bytes((b,)) for b in data] if bytewise else [data]:
        assert decoder.feed(chunk) == []
    assert isinstance(decoder.violation, MalformedPacketError)
    assert "more than four bytes" in str(decoder.violation)


@pytest.mark.parametrize("size", [126, 127, 128, 16_382, 16_383, 16_384, 2_097_151, 2_097_152])
def test_remaining_lengths_at_the_boundaries_in_pieces(size: int) -> None:
    """The size is that of the body: topic, property length and payload."""
    packet = Publish("t", bytes(size - 4))
    data = encode(packet, V5)
    assert data[1 : 1 + len(data) - 1 - size] == encode_variable_byte_integer(size)
    for cut in (1, 2, 3, 4, 5, 6, len(data) - 1):
        decoder = connected(maximum=3_000_000)
        assert decoder.feed(data[:cut]) == []
        assert decoder.feed(data[cut:]) == [packet]


# -- after a violation ------------------------------------------------------------------------


def test_after_a_violation_nothing_is_decoded() -> None:
    decoder = connected()
    assert decoder.feed(b"\xc0\x00\x00\x00\xc0\x00") == [PingReq()]
    violation = decoder.violation
    assert violation is not None
    assert decoder.feed(b"\xc0\x00") == []
    assert decoder.violation is violation


# -- large packets ----------------------------------------------------------------------------


@pytest.mark.pure("each look of the decoder is counted")
@pytest.mark.parametrize(
    ("size", "chunk"), [(20_000, 1), (200_000, 7), (1_000_000, 1_000), (1_000_000, 65_536)]
)
def test_a_large_packet_in_many_reads_is_looked_at_once(size: int, chunk: int) -> None:
    """Time is linear: chunks are joined and decoded only when the packet is whole."""
    looked_at: list[int] = []

    class Watched(PacketDecoder):
        def _decode(self, data: bytes, position: int, packets: list[Packet]) -> int:
            looked_at.append(len(data))
            return super()._decode(data, position, packets)

    decoder = Watched(PacketType.CONNACK, V5)
    decoder.feed(encode(ConnAck(), V5))
    looked_at.clear()
    packet = Publish("t", bytes(size))
    data = encode(packet, V5)
    found: list[Packet] = []
    for at in range(0, len(data), chunk):
        found += decoder.feed(data[at : at + chunk])
    assert found == [packet]
    # A few looks at the header as it comes, and one at the whole.
    assert len(looked_at) <= 5
    assert sum(looked_at) <= len(data) + 5 * max(chunk, 5)


def test_a_read_that_ends_one_packet_and_begins_the_next_keeps_both() -> None:
    decoder = connected()
    packets = [Publish("t", bytes((i,)) * 3_000) for i in range(10)]
    data = b"".join(encode(p, V5) for p in packets)
    found: list[Packet] = []
    for at in range(0, len(data), 4_096):
        found += decoder.feed(data[at : at + 4_096])
    assert found == packets


# -- PUBACK with a reason code ----------------------------------------------------------------


@pytest.mark.parametrize("version", [V31, V311, V5])
@pytest.mark.parametrize("packet_id", [0, 1, 65_535])
def test_a_puback_is_decoded_in_its_short_form_as_in_its_long_one(
    version: ProtocolVersion, packet_id: int
) -> None:
    for code in range(256):
        body = packet_id.to_bytes(2, "big") + bytes((code,))
        decoder = connected(version)
        expected: list[Packet] = []
        violation = None
        try:
            expected.append(decode_packet(0x40, body, version))
        except RemoteProtocolError as error:
            violation = str(error)
        assert decoder.feed(b"\x40\x03" + body) == expected
        assert (str(decoder.violation) if decoder.violation else None) == violation
