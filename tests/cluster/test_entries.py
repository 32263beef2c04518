"""What nodes write for each other: whatever goes in comes out, and what is damaged is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_mqtt.cluster.entries import (
    EntryError,
    Travelling,
    decode_batch,
    decode_entry,
    encode_batch,
    encode_entry,
)
from trio_mqtt.cluster.items import (
    decode_numbered,
    decode_shared,
    encode_numbered,
    encode_shared,
)
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Publish, PublishRun
from trio_mqtt.protocol.properties import Properties

words = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=12)
topics = st.lists(words, min_size=1, max_size=3).map("/".join)
identifiers = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@st.composite
def properties(draw: st.DrawFn) -> Properties:
    found: Properties = {}
    if draw(st.booleans()):
        found["message_expiry_interval"] = draw(st.integers(0, 0xFFFFFFFF))
    if draw(st.booleans()):
        found["user_property"] = draw(st.lists(st.tuples(words, words), min_size=1, max_size=20))
    if draw(st.booleans()):
        found["correlation_data"] = draw(st.binary(max_size=20))
    return found


@st.composite
def messages(draw: st.DrawFn, *, is_v5: bool) -> Publish:
    qos = draw(st.integers(0, 2))
    return Publish(
        draw(topics),
        draw(st.binary(max_size=300)),
        qos,
        draw(st.booleans()),
        dup=qos > 0 and draw(st.booleans()),
        packet_id=draw(st.integers(1, 0xFFFF)) if qos else 0,
        properties=draw(properties()) if is_v5 else {},
    )


def as_received(packets: list[Publish], *, is_v5: bool, runs: bool) -> list[object]:
    """The packets as a broker reads them."""
    version = ProtocolVersion.V5 if is_v5 else ProtocolVersion.V311
    decoder = PacketDecoder(PacketType.CONNECT, None, 1_000_000, runs=runs)
    decoder.feed(encode(Connect("c", protocol_version=version), version))
    return list(decoder.feed(b"".join(encode(packet, version) for packet in packets)))


def what_it_says(message: Publish) -> tuple[object, ...]:
    return message.topic, message.payload, message.qos, message.retain, message.properties


@given(st.data(), st.booleans(), st.booleans(), st.floats(0, 2**33), identifiers, identifiers)
def test_messages_come_out_as_they_went_in(
    data: st.DataObject, is_v5: bool, with_frames: bool, at: float, client: str, mount: str
) -> None:
    packets = data.draw(st.lists(messages(is_v5=is_v5), min_size=1, max_size=8))
    content = packets
    if with_frames:
        read = as_received(packets, is_v5=is_v5, runs=False)
        content = [packet for packet in read if isinstance(packet, Publish)]
    batch = Travelling(content, is_v5, at, client, mount, is_retained=data.draw(st.booleans()))
    found = decode_batch(encode_batch(batch))
    assert found[2:] == batch[2:]
    assert found.is_v5 is (is_v5 or not with_frames)
    assert not isinstance(found.content, PublishRun)
    assert [*map(what_it_says, found.content)] == [*map(what_it_says, packets)]
    if with_frames:
        assert [one.frame for one in found.content] == [one.frame for one in content]


def test_a_run_of_qos_2_comes_out_as_its_messages() -> None:
    packets = [Publish("t", b"%d" % number, 2, packet_id=number) for number in (1, 2, 3)]
    (run,) = as_received(packets, is_v5=True, runs=True)
    assert isinstance(run, PublishRun)
    assert decode_batch(encode_batch(Travelling(run, True, 1.5))).content == packets


pairs = st.tuples(st.sampled_from(["t", "a/b", "ä" * 90]), st.binary(max_size=200))
even_pairs = st.tuples(st.sampled_from(["t", "u"]), st.binary(min_size=9, max_size=9))


@given(
    st.lists(pairs, min_size=2) | st.lists(even_pairs, min_size=2),
    st.integers(0, 1),
    st.booleans(),
)
def test_a_run_comes_out_as_the_bytes_that_it_was(
    pairs: list[tuple[str, bytes]], qos: int, is_v5: bool
) -> None:
    packets = [
        Publish(topic, payload, qos, packet_id=qos * (number + 1))
        for number, (topic, payload) in enumerate(pairs)
    ]
    (run,) = as_received(packets, is_v5=is_v5, runs=True)
    assert isinstance(run, PublishRun)
    found = decode_batch(encode_batch(Travelling(run, is_v5, 1.5))).content
    assert isinstance(found, PublishRun)
    for name in ("frames", "topics", "payload_size", "qos", "topic"):
        assert getattr(found, name) == getattr(run, name)
    for name in ("starts", "firsts", "headers", "ids_at"):
        assert list(getattr(found, name)) == list(getattr(run, name))
    assert type(found.starts) is type(run.starts)
    assert found.is_v5 is is_v5
    assert found.messages == packets


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50))))
def test_an_entry_has_the_items_that_were_put_in(items: list[tuple[int, bytes]]) -> None:
    found = decode_entry(encode_entry(items))
    assert [(kind, bytes(data)) for kind, data in found] == items


@given(st.text(max_size=20), st.integers(0, 2**64 - 1), st.binary())
def test_items_that_are_no_messages_come_out_as_they_went_in(
    text: str, number: int, rest: bytes
) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert decode_numbered(memoryview(encode_numbered(text, number))) == (text, number)
    name, batch = decode_shared(memoryview(encode_shared(text, rest)))
    assert (name, bytes(batch)) == (text, rest)


def test_of_an_entry_that_is_cut_off_nothing_is_made_up() -> None:
    run = as_received([Publish("t", b"1"), Publish("u", b"2")], is_v5=True, runs=True)[0]
    assert isinstance(run, PublishRun)
    whole = encode_batch(Travelling(run, True, 1.0, "client", "mount"))
    for end in range(len(whole)):
        with pytest.raises(EntryError):
            decode_batch(whole[:end])
    messages = [Publish("t", b"1", 1), Publish("u", b"2", 2)]
    entry = encode_entry([(1, whole), (1, encode_batch(Travelling(messages, True, 1.0)))])
    ends_of_items = 1, 6 + len(whole)
    for end in range(len(entry)):
        if end not in ends_of_items:
            with pytest.raises(EntryError):
                list(decode_entry(entry[:end]))


def test_an_entry_of_a_version_that_nobody_knows_is_refused() -> None:
    entry = bytearray(encode_entry([(1, b"x")]))
    entry[0] += 1
    with pytest.raises(EntryError, match="version 2"):
        list(decode_entry(bytes(entry)))
