"""What comes alone: taken in few steps where it is as most are, and then as any read would be."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.protocol.ends import V5, V311, new_server
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Packet, PubAck, Publish, PubRel
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.protocol.states import State

VERSIONS = st.sampled_from([V311, V5])
MESSAGES = st.builds(
    lambda topic, size, qos, retain, dup: Publish(
        topic, b"x" * size, qos, retain, dup and qos > 0, 7 if qos else 0
    ),
    st.sampled_from(["a", "b", "ab", "é", "a/b", "x" * 130]),
    st.sampled_from([0, 1, 2, 118, 119, 120, 200]),
    st.integers(0, 2),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
)
CHANGES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 255)), max_size=2)


def connected(version: ProtocolVersion, receive_maximum: int = 10) -> ServerConnection:
    """A server whose client may send messages."""
    server = new_server(receive_maximum=receive_maximum, maximum_packet_size=250)
    server.receive(encode(Connect("c", protocol_version=version), version))
    server.send(ConnAck())
    assert server.state is State.CONNECTED
    return server


def changed(message: Publish, changes: list[tuple[int, int]], version: ProtocolVersion) -> bytes:
    data = bytearray(encode(message, version))
    for at, value in changes:
        if at < len(data):
            data[at] = value
    return bytes(data)


@given(version=VERSIONS, sent=st.lists(st.tuples(MESSAGES, CHANGES), min_size=1, max_size=4))
@example(V311, [(Publish("a", b"x", 1, packet_id=7), []), (Publish("b", b"x", 1, packet_id=7), [])])
@example(
    V311,
    [
        (Publish("a", b"x", 1, packet_id=7), []),
        (Publish("a", b"x", 1, packet_id=7), [(5, 0), (6, 0)]),
    ],
)
@example(V5, [(Publish("a", b"", 1, packet_id=7), []), (Publish("a", b""), [])])
def test_a_message_alone_is_what_any_read_makes_of_it(
    version: ProtocolVersion, sent: list[tuple[Publish, list[tuple[int, int]]]]
) -> None:
    one, other = connected(version), connected(version)
    for message, changes in sent:
        data = changed(message, changes, version)
        before = one.unacknowledged
        alone = one.receive_alone(data)
        if alone is None:
            assert one.unacknowledged == before
            whole = one.receive(data)
        else:
            whole = [alone]
            assert (alone.retain, alone.dup, alone.properties) == (False, False, {})
            assert alone.qos < 2
        expected = other.receive(data)
        assert whole == expected
        for got, want in zip(whole, expected, strict=True):
            if isinstance(got, Publish) and isinstance(want, Publish):
                assert (got.frame, got.packet_id_at) == (want.frame, want.packet_id_at)
                assert got.payload_at == want.payload_at
        assert one.unacknowledged == other.unacknowledged
        assert (one.unfinished, one.wanted) == (other.unfinished, other.wanted)
        assert repr(one.violation) == repr(other.violation)


@pytest.mark.parametrize("version", [V311, V5], ids=lambda v: v.text)
@pytest.mark.parametrize("size", [0, 1, 117, 118, 119, 120, 150])
@pytest.mark.parametrize("qos", [0, 1])
def test_messages_are_mostly_such(version: ProtocolVersion, size: int, qos: int) -> None:
    server = connected(version)
    for topic in ("a/b", "a/c", "a/c", "other"):
        message = Publish(topic, b"x" * size, qos, packet_id=7 if qos else 0)
        assert server.receive_alone(encode(message, version)) == message


@pytest.mark.parametrize("version", [V311, V5], ids=lambda v: v.text)
@pytest.mark.parametrize("qos", [0, 1])
def test_a_length_that_is_longer_than_it_need_be_is_wrong_also_alone(
    version: ProtocolVersion, qos: int
) -> None:
    server = connected(version)
    plain = encode(Publish("a", b"x", qos, packet_id=7 if qos else 0), version)
    data = bytes([plain[0], plain[1] | 0x80, 0]) + plain[2:]
    assert server.receive_alone(data) is None
    assert server.receive(data) == []
    assert "longer than it need be" in str(server.violation)


@pytest.mark.parametrize("version", [V311, V5], ids=lambda v: v.text)
def test_what_comes_in_two_reads_is_not_alone(version: ProtocolVersion) -> None:
    message = Publish("a/b", b"x", 1, packet_id=7)
    data = encode(message, version)
    for at in range(1, len(data)):
        server = connected(version)
        assert server.receive_alone(data[:at]) is None
        assert server.receive(data[:at]) == []
        # Though it may look like a whole packet.
        assert server.receive_alone(data) is None
        assert server.receive(data[at:]) == [message]
        assert server.receive_alone(data) == message


def test_a_client_that_is_not_connected_says_nothing_alone() -> None:
    server = new_server()
    assert server.receive_alone(encode(Publish("a"), V311)) is None
    assert server.receive_puback(encode(PubAck(1), V311)) == 0


def test_more_than_the_receive_maximum_is_a_violation_also_alone() -> None:
    server = connected(V5, receive_maximum=1)
    data = encode(Publish("a", b"x", 1, packet_id=7), V5)
    assert server.receive_alone(data) is not None
    assert server.receive_alone(data) is None
    assert server.receive(data) == []
    assert server.violation is not None
    assert server.violation.reason_code == ReasonCode.RECEIVE_MAXIMUM_EXCEEDED


@pytest.mark.parametrize(
    ("packet", "packet_id"),
    [
        (PubAck(0x1234), 0x1234),
        (PubAck(1, ReasonCode.QUOTA_EXCEEDED), 0),
        (PubRel(1), 0),
        (b"\x40\x02\x00\x00", 0),
        (b"\x40\x03\x00\x01", 0),
    ],
)
def test_a_puback_alone_is_known_by_its_identifier(packet: Packet | bytes, packet_id: int) -> None:
    server = connected(V5)
    data = packet if isinstance(packet, bytes) else encode(packet, V5)
    assert server.receive_puback(data) == packet_id
    server.receive(b"\x40\x02")
    assert server.receive_puback(data) == 0  # it is the middle of something
