"""Every packet in every protocol version: there and back, cut off, and in pieces."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode, publish_parts
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Packet, Publish
from trio_mqtt.protocol.wire import encode_variable_byte_integer

Sample = tuple[str, Packet, ProtocolVersion, frozenset[int]]
Decode = Callable[[bytes, ProtocolVersion], Packet]
ReadyDecoder = Callable[[ProtocolVersion, int], PacketDecoder]


def body_of(data: bytes) -> bytes:
    at = 1
    while data[at] & 0x80:
        at += 1
    return data[at + 1 :]


def frame(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_variable_byte_integer(len(body)) + body


def test_the_samples_cover_every_packet_in_every_version(samples: list[Sample]) -> None:
    kinds = {(encode(s[1], s[2])[0] >> 4, s[2]) for s in samples}
    wanted = {(kind, v) for kind in PacketType for v in ProtocolVersion}
    assert kinds == wanted - {(PacketType.AUTH, v) for v in ProtocolVersion if v < 5}


@pytest.mark.normative(
    "MQTT-2.2.2-1", "MQTT-3.1.2-9", "MQTT-3.1.2-16", "MQTT-3.1.2-17", "MQTT-3.1.2-18",
    "MQTT-3.1.2-19", "MQTT-3.1.3-1", "MQTT-3.3.2-1", "MQTT-3.10.3-1",
)  # fmt: skip
def test_a_packet_comes_back_as_it_was(sample: Sample, decode: Decode) -> None:
    _, packet, version, _ = sample
    data = encode(packet, version)
    decoded = decode(data, version)
    assert type(decoded) is type(packet)
    assert decoded == packet
    assert encode(decoded, version) == data


def test_a_packet_cut_off_is_refused(sample: Sample, ready_decoder: ReadyDecoder) -> None:
    """The remaining length is right, the body ends too early."""
    _, packet, version, whole_too = sample
    data = encode(packet, version)
    body = body_of(data)
    for length in range(len(body)):
        decoder = ready_decoder(version, data[0])
        packets = decoder.feed(frame(data[0], body[:length]))
        if length in whole_too:
            assert decoder.violation is None, length
            assert [type(p) for p in packets] == [type(packet)]
        else:
            assert isinstance(decoder.violation, RemoteProtocolError), length
            assert packets == []


def test_a_packet_that_goes_on_is_refused(sample: Sample, ready_decoder: ReadyDecoder) -> None:
    _, packet, version, _ = sample
    if isinstance(packet, Publish):
        packet = Publish(packet.topic, b"p", properties=packet.properties)
        assert body_of(encode(packet, version)).endswith(b"p")  # the payload is all the rest
        return
    data = encode(packet, version)
    decoder = ready_decoder(version, data[0])
    assert decoder.feed(frame(data[0], body_of(data) + b"\xff")) == []
    assert decoder.violation is not None


def test_the_beginning_of_a_packet_gives_nothing(
    sample: Sample, ready_decoder: ReadyDecoder
) -> None:
    _, packet, version, _ = sample
    data = encode(packet, version)
    for length in range(len(data)):
        decoder = ready_decoder(version, data[0])
        assert decoder.feed(data[:length]) == []
        assert decoder.violation is None
        assert decoder.feed(data[length:]) == [packet]


def test_a_packet_comes_byte_by_byte(sample: Sample, ready_decoder: ReadyDecoder) -> None:
    _, packet, version, _ = sample
    data = encode(packet, version)
    decoder = ready_decoder(version, data[0])
    packets = [p for byte in data for p in decoder.feed(bytes((byte,)))]
    assert packets == [packet]
    assert decoder.violation is None


@pytest.fixture(scope="module", params=list(ProtocolVersion), ids=lambda v: v.text)
def stream(
    request: pytest.FixtureRequest, samples: list[Sample]
) -> tuple[bytes, list[Packet], ProtocolVersion]:
    """All packets of one version in one stream, CONNECT first."""
    version: ProtocolVersion = request.param
    packets = [s[1] for s in samples if s[2] == version]
    packets.sort(key=lambda p: not isinstance(p, Connect))
    return b"".join(encode(p, version) for p in packets), packets, version


def test_many_packets_in_one_read(
    stream: tuple[bytes, list[Packet], ProtocolVersion],
) -> None:
    data, packets, version = stream
    decoder = PacketDecoder(PacketType.CONNECT)
    assert decoder.feed(data) == packets
    assert decoder.version == version


def test_a_stream_cut_anywhere_gives_the_same_packets(
    stream: tuple[bytes, list[Packet], ProtocolVersion],
) -> None:
    data, packets, _ = stream
    rng = random.Random(20)  # noqa: S311 (where to cut is no secret)
    for cuts in (1, 2, 5, 30, 200, len(data)):
        for _ in range(15):
            decoder = PacketDecoder(PacketType.CONNECT)
            at = [0, *sorted(rng.randrange(len(data)) for _ in range(cuts)), len(data)]
            found: list[Packet] = []
            for start, stop in itertools.pairwise(at):
                found += decoder.feed(data[start:stop])
            assert found == packets
            assert decoder.violation is None


def test_each_packet_alone_and_bytes_that_wait_for_the_next(
    stream: tuple[bytes, list[Packet], ProtocolVersion],
) -> None:
    data, packets, version = stream
    decoder = PacketDecoder(PacketType.CONNECT)
    sizes = [len(encode(p, version)) for p in packets]
    at = 0
    for packet, size in zip(packets, sizes, strict=True):
        begin = at + 1 if at else 0  # the first byte came with the packet before
        assert decoder.feed(data[begin : at + size + 1]) == [packet]
        at += size


@pytest.mark.parametrize("size", [0, 1, 124, 125, 16_380, 16_381, 70_000])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", list(ProtocolVersion), ids=lambda v: v.text)
def test_a_received_publish_knows_its_frame(
    version: ProtocolVersion, qos: int, size: int, decode: Decode
) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sent = Publish("t", payload, qos, packet_id=0x0102 if qos else 0)
    data = encode(sent, version)
    received = decode(data, version)
    assert isinstance(received, Publish)
    assert received == sent
    assert received.frame == data
    assert data[received.payload_at :] == payload
    if qos:
        assert data[received.packet_id_at :][:2] == b"\x01\x02"
    before, after = publish_parts("t", payload, qos, False, {}, version)
    assert data[: received.packet_id_at] == before
    assert data[received.packet_id_at + (2 if qos else 0) :] == after


def test_the_same_topic_again_and_again_is_decoded_alike(decode: Decode) -> None:
    """The decoder compares a topic with the one before; no neighbour may leak into another."""
    version = ProtocolVersion.V5
    topics = ["a", "a", "ab", "a", "abc", "abc", "b", "a" * 127, "a" * 127, "a" * 300, "a"]
    sent: list[Packet] = []
    for index, topic in enumerate(topics):
        qos = index % 3
        payload = topics[index - 1].encode()
        sent.append(Publish(topic, payload, qos, packet_id=index + 1 if qos else 0))
    data = b"".join(encode(p, version) for p in sent)
    decoder = PacketDecoder(PacketType.CONNACK, version)
    decoder.feed(b"\x20\x03\0\0\0")
    assert decoder.feed(data) == sent
    assert [decode(encode(p, version), version) for p in sent] == sent


def test_a_topic_that_reaches_into_the_next_packet_is_malformed() -> None:
    decoder = PacketDecoder(PacketType.CONNACK, ProtocolVersion.V311)
    decoder.feed(b"\x20\x02\0\0")
    # The second says that its topic is "0..." but ends after two bytes; what follows fits.
    packets = decoder.feed(b"\x30\x03\x00\x010" + b"\x30\x02\x00\x01" + b"0\x03\x00\x010")
    assert packets == [Publish("0")]
    assert decoder.violation is not None


@pytest.mark.normative("MQTT-3.1.3-1")
@pytest.mark.normative_v311("MQTT-3.1.3-1", "MQTT-3.1.3-3")
def test_the_fields_of_connect_have_the_order_of_the_standard(samples: list[Sample]) -> None:
    [packet] = [s[1] for s in samples if s[0] == "connect-full" and s[2] == 4]
    assert encode(packet, ProtocolVersion.V311)[12:].hex(" ") == (
        "00 02 69 64 00 03 77 2f 74 00 00 00 04 75 73 65 72 00 05 00 70 61 73 73"
    )
