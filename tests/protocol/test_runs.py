"""Runs: consecutive messages that a server may pass on as the bytes they came in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.apart import ACKS, taken_apart
from trio_mqtt.protocol.ack_runs import LONGEST_ACK_RUN, encode_ack_run
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    AckRun,
    ConnAck,
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
)
from trio_mqtt.protocol.properties import Carrier, Properties, encode_properties
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode
from trio_mqtt.protocol.server_connection import ServerConnection

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5
VERSIONS = pytest.mark.parametrize("version", [V31, V311, V5], ids=lambda v: v.text)


def decoder_of(version: ProtocolVersion, *, runs: bool, maximum: int = 100_000) -> PacketDecoder:
    decoder = PacketDecoder(PacketType.CONNECT, None, maximum, runs=runs)
    decoder.feed(encode(Connect("c", protocol_version=version), version))
    return decoder


def joined(packets: list[Packet], version: ProtocolVersion) -> bytes:
    return b"".join(encode(packet, version) for packet in packets)


@VERSIONS
def test_messages_on_one_topic_are_one_run_of_the_same_bytes(version: ProtocolVersion) -> None:
    messages: list[Packet] = [Publish("t", b""), Publish("t", b"x" * 300), Publish("t", b"y")]
    data = joined(messages, version)
    (run,) = decoder_of(version, runs=True).feed(data)
    assert isinstance(run, PublishRun)
    assert (run.topic, len(run), run.frames) == ("t", 3, data)
    assert run.messages == messages
    assert run.first(2) == messages[:2]
    assert run.first(4) == messages


@VERSIONS
def test_messages_on_several_topics_are_one_run_of_stretches(version: ProtocolVersion) -> None:
    topics = ["t", "t", "a/b", "t", "ä" * 100, "ä" * 100]
    sizes = [0, 300, 1, 127, 128, 20_000]
    messages = [Publish(t, b"x" * size) for t, size in zip(topics, sizes, strict=True)]
    data = b"".join(encode(message, version) for message in messages)
    (run,) = decoder_of(version, runs=True).feed(data)
    assert isinstance(run, PublishRun)
    assert (run.topic, run.topics, run.frames) == (None, ["t", "a/b", "t", "ä" * 100], data)
    assert run.messages == messages
    assert run.first(4) == messages[:4]
    assert run.first(7) == messages
    assert [run.message(at) for at in range(6)] == messages
    assert run.payload_size == sum(sizes)


@pytest.mark.parametrize("qos", [1, 2])
@VERSIONS
def test_messages_above_qos_0_are_one_run_too(version: ProtocolVersion, qos: int) -> None:
    topics = ["t", "t", "a/b", "t"]
    sizes = [0, 300, 1, 20_000]
    messages = [
        Publish(topic, b"x" * size, qos, packet_id=packet_id)
        for topic, size, packet_id in zip(topics, sizes, [7, 65_535, 256, 1], strict=True)
    ]
    data = b"".join(encode(message, version) for message in messages)
    (run,) = decoder_of(version, runs=True).feed(data)
    assert isinstance(run, PublishRun)
    assert (run.qos, run.topics, run.frames) == (qos, ["t", "a/b", "t"], data)
    assert run.messages == messages
    assert run.packet_ids == [7, 65_535, 256, 1]
    assert run.payload_size == sum(sizes)
    for message in run.messages:
        frame, at = message.frame, message.packet_id_at
        assert frame is not None
        assert frame[at : at + 2] == message.packet_id.to_bytes(2, "big")
        assert frame[message.payload_at :] == message.payload


@VERSIONS
def test_above_qos_0_one_message_alone_is_no_run(version: ProtocolVersion) -> None:
    packets: list[Packet] = [Publish("t", b"x", qos, packet_id=qos) for qos in (1, 2, 1)]
    assert decoder_of(version, runs=True).feed(joined(packets, version)) == packets


@VERSIONS
def test_a_run_is_sent_with_identifiers_of_others(version: ProtocolVersion) -> None:
    sizes = [0, 300, 1, 2]
    before = [Publish("t" * (at + 1), b"x" * size, 1, packet_id=9) for at, size in enumerate(sizes)]
    (run,) = decoder_of(version, runs=True).feed(joined([*before], version))
    assert isinstance(run, PublishRun)
    for first in range(4):
        for count in range(1, 5 - first):
            wanted: list[Packet] = [
                Publish(one.topic, one.payload, 1, packet_id=500 + at)
                for at, one in enumerate(before[first : first + count])
            ]
            assert run.with_identifiers(first, count, 500) == joined(wanted, version)


TOPICS_AND_SIZES = st.lists(
    st.tuples(st.sampled_from(["t", "a/b", "ä" * 60]), st.sampled_from([0, 1, 5, 60, 130, 20_000])),
    min_size=2,
    max_size=12,
).flatmap(
    # As they are, or of one length, so that they are looked at by columns.
    lambda some: st.sampled_from(
        [some, some[:1] * 10, [(topic, some[0][1]) for topic in "ttuuuvt" * 2]]
    )
)


@given(
    messages=TOPICS_AND_SIZES,
    came=st.tuples(st.sampled_from([V311, V5]), st.sampled_from([0, 1, 2])),
    goes=st.tuples(st.sampled_from([V311, V5]), st.sampled_from([0, 1, 2])),
    identifiers=st.sampled_from([[], [1], [7, 300]]),
    below=st.booleans(),
    part=st.tuples(st.integers(0, 3), st.integers(1, 12)),
)
def test_a_run_is_sent_in_another_version_at_another_qos_or_on_other_topics(
    messages: list[tuple[str, int]],
    came: tuple[ProtocolVersion, int],
    goes: tuple[ProtocolVersion, int],
    identifiers: list[int],
    below: bool,
    part: tuple[int, int],
) -> None:
    version, qos = goes[0], min(came[1], goes[1])
    before = [
        Publish(topic, b"x" * size, came[1], packet_id=(number + 1) * came[1])
        for number, (topic, size) in enumerate(messages)
    ]
    (run,) = decoder_of(came[0], runs=True, maximum=1_000_000).feed(joined([*before], came[0]))
    assert isinstance(run, PublishRun)
    properties: Properties = {}
    if identifiers and version == V5:
        properties = {"subscription_identifier": identifiers}
    frames = run.sent_as(
        qos,
        encode_properties(properties, Carrier.PUBLISH) if version == V5 else b"",
        [f"longer/{topic}" for topic in run.topics] if below else None,
    )
    first, count = min(part[0], len(before) - 1), part[1]
    if not qos:
        first, count = 0, len(before)
    wanted: list[Packet] = [
        Publish(
            f"longer/{one.topic}" if below else one.topic,
            one.payload,
            qos,
            packet_id=500 + number if qos else 0,
            properties=properties,
        )
        for number, one in enumerate(before[first : first + count])
    ]
    if qos:
        assert frames.with_identifiers(first, len(wanted), 500) == joined(wanted, version)
    else:
        assert frames.frames == joined(wanted, version)


def test_a_packet_identifier_of_zero_in_a_run_is_refused_after_those_before_it() -> None:
    good: list[Packet] = [Publish("t", b"0", 1, packet_id=n) for n in (1, 2)]
    bad = b"\x32\x06\x00\x01t\x00\x00\x00"
    decoder = decoder_of(V5, runs=True)
    assert taken_apart(decoder.feed(joined(good, V5) + bad)) == good
    assert decoder.violation is not None


def test_a_run_of_qos_1_counts_up_to_the_receive_maximum() -> None:
    end = ServerConnection(
        maximum_packet_size=1_000, receive_maximum=5, topic_alias_maximum=0, runs=True
    )
    end.receive(encode(Connect("c"), V5))
    end.send(ConnAck())
    messages: list[Packet] = [Publish("t", b"x", 1, packet_id=n) for n in range(1, 8)]
    assert taken_apart(end.receive(joined(messages[:3], V5))) == messages[:3]
    assert end.receive(joined(messages[3:], V5)) == messages[3:5]
    assert end.violation is not None
    assert end.violation.reason_code == ReasonCode.RECEIVE_MAXIMUM_EXCEEDED


STRETCHES = st.lists(
    st.tuples(st.sampled_from(["a", "b/c", "ö" * 80]), st.integers(0, 300)),
    min_size=1,
    max_size=12,
)


@given(stretches=STRETCHES, version=st.sampled_from([V311, V5]), data=st.data())
def test_some_stretches_of_a_run_are_the_run_of_their_messages(
    stretches: list[tuple[str, int]], version: ProtocolVersion, data: st.DataObject
) -> None:
    qos = data.draw(st.sampled_from([0, 1])) if len(stretches) > 1 else 0
    messages = [
        Publish(topic, bytes([size % 256]) * size, qos, packet_id=(at + 1) * qos)
        for at, (topic, size) in enumerate(stretches)
    ]
    (whole,) = decoder_of(version, runs=True).feed(joined([*messages], version))
    assert isinstance(whole, PublishRun)
    numbers = range(len(whole.topics))
    chosen = data.draw(st.lists(st.sampled_from(numbers), min_size=1, unique=True).map(sorted))
    some = whole.some(chosen)
    ends = [*whole.firsts[1:], len(whole)]
    kept = [one for at in chosen for one in whole.messages[whole.firsts[at] : ends[at]]]
    assert some.messages == kept
    assert some.frames == joined([*kept], version)
    assert some.payload_size == sum(one.payload_size for one in kept)
    # Of these some again, as where it is parted twice.
    last = some.some([len(chosen) - 1])
    assert last.messages == kept[-len(last) :]
    assert last.payload_size == sum(one.payload_size for one in last.messages)


@VERSIONS
@pytest.mark.parametrize(
    "unlike",
    [
        Publish("t", b"1", retain=True),
        Publish("t", b"1", qos=1, packet_id=1),
        Publish("t", b"1", qos=2, dup=True, packet_id=2),
        PingReq(),
        PubAck(3),
        Subscribe(4, [Subscription("t")]),
    ],
    ids=str,
)
def test_a_packet_that_is_unlike_the_others_ends_the_run(
    version: ProtocolVersion, unlike: Packet
) -> None:
    like = Publish("t", b"0")
    packets: list[Packet] = [like, like, unlike, like]
    received = decoder_of(version, runs=True).feed(joined(packets, version))
    assert len(received) == 3
    assert taken_apart(received) == packets


def test_a_message_with_properties_is_in_no_run() -> None:
    packets: list[Packet] = [Publish("t", properties={"content_type": "x"}), Publish("t")]
    received = decoder_of(V5, runs=True).feed(joined(packets, V5))
    assert [type(packet) for packet in received] == [Publish, PublishRun]
    assert taken_apart(received) == packets


def test_a_run_ends_where_the_read_does() -> None:
    one = encode(Publish("t", b"0123456789"), V311)
    decoder = decoder_of(V311, runs=True)
    (first,) = decoder.feed(one * 2 + one[:5])
    (second,) = decoder.feed(one[5:] + one)
    assert isinstance(first, PublishRun)
    assert isinstance(second, PublishRun)
    assert (first.frames, second.frames) == (one * 2, one * 2)


def test_a_message_that_is_too_large_is_refused_after_the_run_before_it() -> None:
    small, large = (encode(Publish("t", b"x" * size), V311) for size in (10, 200))
    decoder = decoder_of(V311, runs=True, maximum=100)
    (run,) = decoder.feed(small * 3 + large)
    assert isinstance(run, PublishRun)
    assert len(run) == 3
    assert decoder.violation is not None
    assert decoder.violation.reason_code == ReasonCode.PACKET_TOO_LARGE


@pytest.mark.parametrize(
    "bad",
    [
        b"\x30\x03\x00\x05t",  # the topic is longer than the packet
        b"\x30\x04\x00\x02a+",  # a wildcard
        b"\x30\x02\x00\x00",  # no topic
        b"\x30\x00",
        b"\x30\x80\x00",  # a length that is longer than it need be
        b"\x38\x03\x00\x01t",  # DUP at QoS 0
        b"\x30\x05\x00\x02\xc3\x28x",  # no UTF-8
    ],
)
def test_a_malformed_message_in_a_run_is_refused_as_it_is_alone(bad: bytes) -> None:
    good = encode(Publish("t", b"0"), V311)
    decoder = decoder_of(V311, runs=True)
    assert taken_apart(decoder.feed(good + good + bad + b"\0" * 300)) == [Publish("t", b"0")] * 2
    alone = decoder_of(V311, runs=False)
    assert alone.feed(bad + b"\0" * 300) == []
    assert decoder.violation is not None
    assert alone.violation is not None
    assert decoder.violation.reason_code == alone.violation.reason_code


KINDS = pytest.mark.parametrize("kind", ACKS, ids=lambda kind: kind.name)


@VERSIONS
@KINDS
def test_acknowledgements_are_one_run(kind: PacketType, version: ProtocolVersion) -> None:
    packets: list[Packet] = [ACKS[kind](packet_id) for packet_id in (1, 65_535, 300)]
    (run,) = decoder_of(version, runs=True).feed(joined(packets, version))
    assert run == AckRun(kind, (1, 65_535, 300))
    assert encode(run, version) == joined(packets, version)


@KINDS
@pytest.mark.parametrize("more", [b"\0", b"\0\0"], ids=["a code", "a code and no properties"])
def test_a_reason_code_that_says_success_is_no_matter(kind: PacketType, more: bytes) -> None:
    head = encode(ACKS[kind](1), V5)[:1] + bytes((2 + len(more),))
    data = b"".join(head + bytes((0, packet_id)) + more for packet_id in (7, 9, 8))
    assert decoder_of(V5, runs=True).feed(data) == [AckRun(kind, (7, 9, 8))]
    assert taken_apart(decoder_of(V5, runs=False).feed(data)) == [
        ACKS[kind](packet_id) for packet_id in (7, 9, 8)
    ]
    older = decoder_of(V311, runs=True)
    assert older.feed(data) == []
    assert older.violation is not None


@KINDS
@pytest.mark.parametrize("more", [b"", b"\0", b"\0\0"], ids=["alone", "code", "properties"])
def test_an_acknowledgement_of_nothing_is_refused_after_those_before_it(
    kind: PacketType, more: bytes
) -> None:
    head = encode(ACKS[kind](1), V5)[:1] + bytes((2 + len(more),))
    good, bad = head + b"\0\7" + more, head + b"\0\0" + more
    decoder = decoder_of(V5, runs=True)
    assert decoder.feed(good + bad + good) == [AckRun(kind, (7,))]
    assert decoder.violation is not None
    alone = decoder_of(V5, runs=True)
    assert alone.feed(bad) == []
    assert alone.violation is not None


@pytest.mark.parametrize(
    "unlike",
    [
        PubAck(2, ReasonCode.NOT_AUTHORIZED),
        PubRec(2, ReasonCode.NO_MATCHING_SUBSCRIBERS),
        PubRel(2, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND),
        PubComp(2, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND),
        PubAck(2, properties={"reason_string": "so"}),
        PubRel(2, properties={"user_property": [("a", "b")]}),
    ],
    ids=str,
)
def test_an_acknowledgement_that_says_more_than_success_is_in_no_run(unlike: Packet) -> None:
    for kind, like in ACKS.items():
        packets: list[Packet] = [like(1), unlike, like(3)]
        received = decoder_of(V5, runs=True).feed(joined(packets, V5))
        assert received == [AckRun(kind, (1,)), unlike, AckRun(kind, (3,))]


def test_a_run_ends_where_the_next_kind_begins() -> None:
    packets = [make(packet_id) for make in ACKS.values() for packet_id in (1, 2)]
    received = decoder_of(V5, runs=True).feed(b"".join(encode(one, V5) for one in packets))
    assert received == [AckRun(kind, range(1, 3)) for kind in ACKS]


def test_a_long_run_comes_in_parts() -> None:
    packet_ids = [1 + number % 65_535 for number in range(10_000)]
    data = encode_ack_run(PacketType.PUBREL, packet_ids)
    received = decoder_of(V5, runs=True).feed(data)
    runs = [packet.packet_ids for packet in received if isinstance(packet, AckRun)]
    assert max(map(len, runs)) == LONGEST_ACK_RUN
    assert [packet_id for run in runs for packet_id in run] == packet_ids


WORDS = b"\6\x1f\0\3why"  # a reason string
MESSAGES = st.builds(
    Publish, st.sampled_from(["a", "b", "a/b"]), st.binary(max_size=200), retain=st.booleans()
) | st.builds(
    Publish,
    st.sampled_from(["a", "b"]),
    st.binary(max_size=20),
    qos=st.integers(1, 2),
    packet_id=st.integers(1, 9),
)


@st.composite
def acknowledgements(draw: st.DrawFn, version: ProtocolVersion) -> bytes:
    """An acknowledgement in any form that the version has, among them the uncommon ones."""
    kind = draw(st.sampled_from(list(ACKS)))
    packet_id = draw(st.integers(1, 9) | st.integers(1, 65_535))
    more = b""
    if version == V5:
        code = draw(st.sampled_from([b"\0", *(bytes((code,)) for code in ALLOWED[kind])]))
        more = draw(st.sampled_from([b"", b"\0", b"\0\0", code, code + b"\0", code + WORDS]))
    first = encode(ACKS[kind](1), version)[:1]
    return first + bytes((2 + len(more),)) + packet_id.to_bytes(2, "big") + more


@given(
    data=st.data(),
    cuts=st.lists(st.integers(1, 60), max_size=40),
    version=st.sampled_from([V31, V311, V5]),
)
def test_runs_change_nothing_but_the_form(
    data: st.DataObject, cuts: list[int], version: ProtocolVersion
) -> None:
    others = (MESSAGES | st.just(PingReq())).map(lambda packet: encode(packet, version))
    stream = b"".join(data.draw(st.lists(others | acknowledgements(version), max_size=20)))
    with_runs, without = decoder_of(version, runs=True), decoder_of(version, runs=False)
    received: list[Packet] = []
    expected: list[Packet] = []
    for cut in [*cuts, len(stream)]:
        piece, stream = stream[:cut], stream[cut:]
        received += taken_apart(with_runs.feed(piece))
        expected += without.feed(piece)
    assert received == expected
    assert with_runs.violation is without.violation is None


def test_a_run_is_allowed_when_a_publish_is() -> None:
    def server() -> ServerConnection:
        return ServerConnection(
            maximum_packet_size=1_000, receive_maximum=10, topic_alias_maximum=0, runs=True
        )

    message = encode(Publish("t", b"x"), V5)
    connect = encode(Connect("c"), V5)
    early = server()
    assert early.receive(message) == []
    assert early.violation is not None
    in_order = server()
    assert [type(packet) for packet in in_order.receive(connect + message)] == [Connect, PublishRun]
    in_order.send(ConnAck())
    assert [type(packet) for packet in in_order.receive(message)] == [PublishRun]
    authenticating = server()
    connect = encode(Connect("c", properties={"authentication_method": "m"}), V5)
    assert [type(packet) for packet in authenticating.receive(connect + message)] == [Connect]
    assert authenticating.violation is not None
