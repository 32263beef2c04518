"""How much one call decodes at most, and that nothing else comes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.apart import taken_apart
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    AckRun,
    Connect,
    Packet,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PublishRun,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.server_connection import ServerConnection

V311, V5 = ProtocolVersion.V311, ProtocolVersion.V5
READ = 256 * 1024
AT_ONCE = 512

FLOODS: dict[str, Packet] = {
    "PINGREQ": PingReq(),
    "SUBSCRIBE": Subscribe(1, [Subscription("a")]),
    "UNSUBSCRIBE": Unsubscribe(1, ["a"]),
    "PUBLISH": Publish("t"),
    "retained": Publish("t", b"x", retain=True),
    "QoS 1": Publish("t", b"", 1, packet_id=1),
    "QoS 2": Publish("t", b"", 2, packet_id=1),
    "PUBACK": PubAck(1),
    "PUBACK with a code": PubAck(1, ReasonCode.NO_MATCHING_SUBSCRIBERS),
    "PUBREC": PubRec(1),
    "PUBREL": PubRel(1),
    "PUBCOMP": PubComp(1),
    "properties": Publish("t", properties={"user_property": [("", "")] * 100}),
}


def server(version: ProtocolVersion = V5, **bounds: int) -> PacketDecoder:
    """A broker's decoder past CONNECT."""
    decoder = PacketDecoder(PacketType.CONNECT, runs=True, **bounds)  # type: ignore[arg-type]
    decoder.feed(encode(Connect("c", protocol_version=version), version))
    while decoder.pending:
        decoder.feed(b"")
    return decoder


def weight(packet: Packet) -> float:
    """As how many packets that come alone one counts."""
    if isinstance(packet, PublishRun):
        return len(packet) / 16
    if isinstance(packet, AckRun):
        return len(packet.packet_ids) / 16
    return 1


def count(packets: list[Packet]) -> int:
    return sum(
        len(one) if isinstance(one, PublishRun)
        else len(one.packet_ids) if isinstance(one, AckRun)
        else 1
        for one in packets
    )  # fmt: skip


@pytest.mark.parametrize("kind", FLOODS)
def test_a_whole_read_is_decoded_in_turns(kind: str) -> None:
    one = encode(FLOODS[kind], V5)
    number = READ // len(one)
    decoder = server(packets_at_once=AT_ONCE)
    turns = [decoder.feed(one * number)]
    while decoder.pending:
        turns.append(decoder.feed(b""))
    assert decoder.violation is None
    assert sum(map(count, turns)) == number
    # The last packet of a turn may go beyond it: a run by as much as one is long.
    assert max(sum(map(weight, turn)) for turn in turns) <= AT_ONCE + 4_096 / 16
    assert max(map(count, turns)) <= 12_288
    if kind == "properties":
        assert max(map(len, turns)) <= AT_ONCE / 20


def test_a_run_is_bounded_whatever_its_first_packet_is() -> None:
    small = encode(Publish("t", b"x"), V311)
    number = 30_000
    decoder = server(V311, packets_at_once=AT_ONCE)
    turns = [decoder.feed(encode(Publish("t", bytes(71)), V311) + small * number)]
    while decoder.pending:
        turns.append(decoder.feed(b""))
    assert sum(map(count, turns)) == 1 + number
    assert max(map(count, turns)) <= 3 * 4_096
    assert {len(run) for turn in turns for run in turn if isinstance(run, PublishRun)} == {
        4_096,
        (1 + number) % 4_096,
    }


@given(
    packets=st.lists(st.sampled_from(list(FLOODS.values())), max_size=30),
    cuts=st.lists(st.integers(1, 60), max_size=40),
    at_once=st.integers(1, 20),
)
def test_turns_change_nothing(packets: list[Packet], cuts: list[int], at_once: int) -> None:
    data = b"".join(encode(packet, V5) for packet in packets)
    in_turns, whole = server(packets_at_once=at_once), server()
    received: list[Packet] = []
    expected: list[Packet] = []
    for cut in [*cuts, len(data)]:
        piece, data = data[:cut], data[cut:]
        received += in_turns.feed(piece)
        expected += whole.feed(piece)
    while in_turns.pending:
        received += in_turns.feed(b"")
    assert taken_apart(received) == taken_apart(expected)


def test_what_breaks_the_rules_is_found_when_it_is_its_turn() -> None:
    decoder = server(packets_at_once=2)
    data = encode(PingReq(), V5) * 3 + b"\xc1\x00"
    assert decoder.feed(data) == [PingReq()] * 2
    assert (decoder.pending, decoder.violation) == (True, None)
    assert decoder.feed(b"") == [PingReq()]
    assert decoder.violation is not None
    assert not decoder.pending
    assert decoder.feed(b"") == []


def test_a_server_says_whether_there_is_more() -> None:
    end = ServerConnection(
        maximum_packet_size=1_000, receive_maximum=10, topic_alias_maximum=0, packets_at_once=2
    )
    ping = encode(PingReq(), V5)
    assert len(end.receive(encode(Connect("c"), V5) + ping * 3)) == 2
    assert end.pending
    assert end.receive(b"") == [PingReq()] * 2
    assert not end.pending


# -- topic filters in one packet ------------------------------------------------------------------


def request(kind: type[Packet], filters: int, topic_filter: str = "a") -> Packet:
    if kind is Subscribe:
        return Subscribe(1, [Subscription(topic_filter)] * filters)
    return Unsubscribe(1, [topic_filter] * filters)


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("kind", [Subscribe, Unsubscribe])
def test_a_request_has_a_bound_on_topic_filters(
    kind: type[Packet], version: ProtocolVersion
) -> None:
    decoder = server(version, maximum_filters=100)
    for number in (1, 99, 100):
        packet = request(kind, number)
        assert decoder.feed(encode(packet, version)) == [packet]
    long = request(kind, 100, "a" * 50)
    assert decoder.feed(encode(long, version)) == [long]
    assert decoder.feed(encode(request(kind, 101), version)) == []
    assert decoder.violation is not None
    assert decoder.violation.reason_code == ReasonCode.QUOTA_EXCEEDED
    assert "100 topic filters" in str(decoder.violation)


@pytest.mark.parametrize("kind", [Subscribe, Unsubscribe])
def test_a_request_that_is_too_large_is_refused_before_it_is_held(kind: type[Packet]) -> None:
    whole = encode(request(kind, 1_000, "a" * 50), V5)
    decoder = server(maximum_request_size=10_000)
    assert decoder.feed(whole[:10]) == []
    assert decoder.violation is not None
    assert decoder.violation.reason_code == ReasonCode.QUOTA_EXCEEDED
    at_once = server(maximum_request_size=10_000)
    assert at_once.feed(whole) == []
    assert at_once.violation is not None
    exactly = request(kind, 1, "a" * 1_000)
    size = len(encode(exactly, V5))
    assert server(maximum_request_size=size).feed(encode(exactly, V5)) == [exactly]
    assert server(maximum_request_size=size - 1).feed(encode(exactly, V5)) == []
