"""Whatever bytes come, nothing is raised, and a violation is one that the library knows."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_mqtt.errors import MqttError, RemoteProtocolError
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Packet, Publish
from trio_mqtt.protocol.properties import Carrier, decode_properties
from trio_mqtt.protocol.reason_codes import ALLOWED
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.protocol.wire import Reader, encode_variable_byte_integer

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5
VERSIONS = [V31, V311, V5]
V = pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.text)
Sample = tuple[str, Packet, ProtocolVersion, frozenset[int]]
End = PacketDecoder | ServerConnection | ClientConnection


def feed(end: End, data: bytes) -> list[Packet]:
    return end.feed(data) if isinstance(end, PacketDecoder) else end.receive(data)


def ends(version: ProtocolVersion) -> list[End]:
    """Each kind of receiver, new and in the middle of a connection."""
    connect, connack = Connect("c", protocol_version=version), ConnAck()
    decoder = PacketDecoder(PacketType.CONNACK, version)
    decoder.feed(encode(connack, version))
    server = ServerConnection(maximum_packet_size=9_999, receive_maximum=9, topic_alias_maximum=9)
    fresh = ServerConnection(maximum_packet_size=9_999, receive_maximum=9, topic_alias_maximum=9)
    server.receive(encode(connect, version))
    server.send(connack)
    client = ClientConnection(version)
    client.send(connect)
    waiting = ClientConnection(version)
    waiting.send(connect)
    client.receive(encode(connack, version))
    return [PacketDecoder(PacketType.CONNECT), decoder, fresh, server, client, waiting]


def survives(end: End, chunks: list[bytes], version: ProtocolVersion) -> int:
    """Feed everything; return how many packets came out, each of which must make sense."""
    count = 0
    for chunk in chunks:
        before = end.violation
        packets = feed(end, chunk)
        count += len(packets)
        if before is not None:
            assert packets == []
            assert end.violation is before
        for packet in packets:
            if isinstance(packet, Publish):
                assert isinstance(packet.payload, bytes)
                assert isinstance(packet.topic, str)
            # A packet that the decoder let through is one that can be written.
            if isinstance(packet, Publish) and packet.topic == "":
                assert "topic_alias" in packet.properties
            used = packet.protocol_version if isinstance(packet, Connect) else None
            encodable(packet, used or end.version or version)
    violation = end.violation
    if violation is not None:
        assert isinstance(violation, RemoteProtocolError)
        assert str(violation)
        assert violation.reason_code.is_failure
        assert violation.reason_code in ALLOWED[PacketType.DISCONNECT] | ALLOWED[PacketType.CONNACK]
    return count


def encodable(packet: Packet, version: ProtocolVersion) -> None:
    # MQTT 3 leaves an empty client identifier with a session to the server to refuse (§3.1.3.1).
    if isinstance(packet, Connect) and not packet.client_id and not packet.clean_start:
        return
    assert encode(packet, version)


@V
@settings(max_examples=250)
@given(chunks=st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_survived(version: ProtocolVersion, chunks: list[bytes]) -> None:
    for end in ends(version):
        survives(end, chunks, version)


@V
@settings(max_examples=250)
@given(first=st.integers(0, 255), body=st.binary(max_size=80), more=st.binary(max_size=8))
def test_any_body_of_any_packet_is_survived(
    version: ProtocolVersion, first: int, body: bytes, more: bytes
) -> None:
    data = bytes((first,)) + encode_variable_byte_integer(len(body)) + body + more
    for end in ends(version):
        survives(end, [data], version)
    for level in VERSIONS:
        name = b"\0\6MQIsdp" if level == V31 else b"\0\4MQTT"
        connect = name + bytes((level, first)) + body
        data = b"\x10" + encode_variable_byte_integer(len(connect)) + connect + more
        for end in ends(version):
            survives(end, [data], version)


@pytest.mark.parametrize("carrier", list(Carrier), ids=lambda c: c.name)
@settings(max_examples=150)
@given(body=st.binary(max_size=60))
def test_any_properties_are_survived(carrier: Carrier, body: bytes) -> None:
    for data in (body, encode_variable_byte_integer(len(body)) + body):
        reader = Reader(data)
        try:
            decode_properties(reader, carrier)
        except MqttError as error:
            assert isinstance(error, RemoteProtocolError)  # noqa: PT017 (or nothing is raised)
        else:
            assert reader.position <= len(data)


def mutate(rng: random.Random, data: bytearray) -> None:
    """Harm a stream the way that finds most: near its lengths, and by repetition."""
    choice = rng.randrange(7)
    at = rng.randrange(len(data))
    if choice == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif choice == 1:
        data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x26, 0x23, rng.randrange(256)])
    elif choice == 2:
        del data[at : at + rng.randint(1, 4)]
    elif choice == 3:
        data[at:at] = rng.randbytes(rng.randint(1, 4))
    elif choice == 4:
        start = rng.randrange(len(data))
        data[at:at] = data[start : start + rng.randint(1, 30)]
    elif choice == 5:
        data[at : at + 2] = rng.choice([b"\0\0", b"\xff\xff", b"\x80\x80", b"\xed\xa0"])
    else:
        del data[at:]
    if not data:
        data += b"\0"


@V
@pytest.mark.parametrize("seed", range(8))
def test_harmed_streams_are_survived(
    version: ProtocolVersion, seed: int, samples: list[Sample]
) -> None:
    rng = random.Random(seed)  # noqa: S311 (what to harm is no secret)
    packets = [s[1] for s in samples if s[2] == version]
    connect = encode(Connect("c", protocol_version=version), version)
    connack = encode(ConnAck(), version)
    makers: list[tuple[Callable[[], End], bytes]] = [
        (lambda: PacketDecoder(PacketType.CONNECT), connect),
        (lambda: ServerConnection(
            maximum_packet_size=9_999, receive_maximum=99, topic_alias_maximum=9
        ), connect),
        (lambda: ClientConnection(version), connack),
    ]  # fmt: skip
    decoded = refused = 0
    for _ in range(120):
        chosen = [rng.choice(packets) for _ in range(rng.randint(1, 4))]
        for make, first in makers:
            end = make()
            if isinstance(end, ClientConnection):
                end.send(Connect("c", protocol_version=version))
            stream = bytearray(b"".join(encode(p, version) for p in chosen))
            for _ in range(rng.randint(1, 3)):
                mutate(rng, stream)
            data = first + bytes(stream)
            if rng.random() < 0.2:
                data = bytes(stream) + first
            cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(0, 4)))
            edges = [0, *cuts, len(data)]
            chunks = [data[a:b] for a, b in itertools.pairwise(edges)]
            decoded += survives(end, chunks, version)
            refused += end.violation is not None
    assert decoded > 100
    assert refused > 100


@V
@pytest.mark.parametrize("seed", range(4))
def test_a_harmed_stream_means_the_same_however_it_is_cut(
    version: ProtocolVersion, seed: int, samples: list[Sample]
) -> None:
    rng = random.Random(1_000 + seed)  # noqa: S311 (what to harm is no secret)
    packets = [s[1] for s in samples if s[2] == version]
    connect = encode(Connect("c", protocol_version=version), version)
    for _ in range(60):
        stream = bytearray(b"".join(encode(rng.choice(packets), version) for _ in range(3)))
        mutate(rng, stream)
        data = connect + bytes(stream)
        results = []
        for step in (len(data), 1, rng.randint(2, 9)):
            decoder = PacketDecoder(PacketType.CONNECT)
            found: list[Packet] = []
            for at in range(0, len(data), step):
                found += decoder.feed(data[at : at + step])
            results.append((found, type(decoder.violation), str(decoder.violation)))
        assert results[0] == results[1] == results[2]
