"""Runs of packets that have one length are what the same packets are that are looked at alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.apart import taken_apart
from tests.protocol.test_runs import decoder_of
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.equal_packets import decode_equal_packets
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Packet, Publish, PublishRun

V311, V5 = ProtocolVersion.V311, ProtocolVersion.V5
TOPICS = ["a", "b", "a/b", "c/d", "ää", "a/b/c" * 60, "b/b/c" * 60]


def published(
    topics: list[str], size: int, qos: int, version: ProtocolVersion, packet_ids: list[int]
) -> list[bytes]:
    return [
        encode(
            Publish(topic, bytes((number % 256,)) * size, qos, packet_id=qos and packet_id), version
        )
        for number, (topic, packet_id) in enumerate(zip(topics, packet_ids, strict=False))
    ]


# Where several packets stand: on one topic, on some of one length, or on any.
SEVERAL = st.sampled_from([["a"], ["a", "b"], ["a/b", "c/d", "ää"], TOPICS[5:], TOPICS]).flatmap(
    lambda some: st.lists(st.sampled_from(some), min_size=6, max_size=60)
)
IDENTIFIERS = st.integers(1, 65_000).flatmap(
    lambda first: st.sampled_from(
        [list(range(first, first + 60)), [first, 256, 1, 65_535] * 15, list(range(200, 260))]
    )
)


@given(
    topics=SEVERAL,
    size=st.sampled_from([0, 1, 2, 60, 117, 125, 300]),
    qos=st.integers(0, 2),
    version=st.sampled_from([V311, V5]),
    packet_ids=IDENTIFIERS,
    damage=st.lists(
        st.tuples(st.integers(0), st.sampled_from([0, 1, 0x30, 0x32, 0x34, 255])), max_size=2
    ),
    missing=st.integers(0, 20),
    more=st.sampled_from([b"", b"\xc0\0", b"\x30\x04\0\1ax", b"\x32\x06\0\1a\0\7x", b"\x40\2\0\1"]),
)
def test_a_run_is_its_packets(
    topics: list[str],
    size: int,
    qos: int,
    version: ProtocolVersion,
    packet_ids: list[int],
    damage: list[tuple[int, int]],
    missing: int,
    more: bytes,
) -> None:
    data = bytearray(b"".join(published(topics, size, qos, version, packet_ids)) + more)
    for at, byte in damage:
        data[at % len(data)] = byte
    come = bytes(data[: len(data) - missing])
    in_runs, alone = decoder_of(version, runs=True), decoder_of(version, runs=False)
    packets, expected = in_runs.feed(come), alone.feed(come)
    assert taken_apart(packets) == expected
    assert str(in_runs.violation) == str(alone.violation)
    assert in_runs.held == alone.held
    for packet in packets:
        if isinstance(packet, PublishRun):
            check(packet, version)


def check(run: PublishRun, version: ProtocolVersion) -> None:
    """All that is asked of a run says the same of its messages."""
    messages = run.messages
    ends = [*run.starts[1:], len(run.frames)]
    frames = [run.frames[at:end] for at, end in zip(run.starts, ends, strict=True)]
    assert frames == [encode(message, version) for message in messages]
    assert [run.message(at) for at in range(len(run))] == messages
    assert run.payload_size == sum(message.payload_size for message in messages)
    assert run.topic == (messages[0].topic if len({one.topic for one in messages}) == 1 else None)
    beyond = [*run.firsts[1:], len(run)]
    stretches = zip(run.topics, run.firsts, beyond, strict=True)
    assert [topic for topic, at, end in stretches for _ in range(at, end)] == [
        message.topic for message in messages
    ]
    header = 0
    for at, end, before in zip(run.firsts, beyond, run.headers, strict=True):
        assert before == header
        header += sum(
            len(frame) - one.payload_size
            for frame, one in zip(frames[at:end], messages[at:end], strict=True)
        )
    chosen = list(range(0, len(run.topics), 2))
    some = [one for at in chosen for one in messages[run.firsts[at] : beyond[at]]]
    assert run.some(chosen).messages == some
    names = [f"{topic}/x" for topic in run.topics]
    assert [one.payload for one in run.renamed(names).messages] == [one.payload for one in messages]
    if not run.qos:
        return
    assert run.packet_ids == [message.packet_id for message in messages]
    assert run.identifiers == b"".join(one.to_bytes(2, "big") for one in run.packet_ids)
    for first, count in [(0, len(run)), (0, 1), (len(run) - 1, 1), (len(run) // 2, len(run) // 3)]:
        if count:
            wanted: list[Packet] = [
                Publish(one.topic, one.payload, run.qos, packet_id=250 + at)
                for at, one in enumerate(messages[first : first + count])
            ]
            sent = run.with_identifiers(first, count, 250)
            assert sent == b"".join(encode(one, version) for one in wanted)


@pytest.mark.parametrize("version", [V311, V5], ids=lambda version: version.text)
def test_a_flood_is_bounded_as_any_other(version: ProtocolVersion) -> None:
    for qos, topics, longest in [(0, 1, 4_096), (0, 2, 1_024), (1, 1, 1_024), (2, 2, 1_024)]:
        names = ["ab"[at % topics] for at in range(5_000)]
        data = b"".join(published(names, 4, qos, version, list(range(1, 5_001))))
        runs = decoder_of(version, runs=True).feed(data)
        assert len(taken_apart(runs)) == 5_000
        first = runs[0]
        assert isinstance(first, PublishRun)
        assert len(first) <= longest + 1


def test_consecutive_messages_on_one_topic_are_one_stretch() -> None:
    names = ["a"] * 5 + ["b"] * 5 + ["a"]
    (run,) = decoder_of(V5, runs=True).feed(
        b"".join(published(names, 4, 0, V5, list(range(1, 12))))
    )
    assert isinstance(run, PublishRun)
    assert (run.topics, list(run.firsts)) == (["a", "b", "a"], [0, 5, 10])


class _Looked(bytes):
    """Bytes that count how often one place is looked at in many packets at once."""

    columns = 0

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 # as bytes have it
        if isinstance(key, slice) and key.step not in (None, 1):
            _Looked.columns += 1
        return super().__getitem__(key)


@pytest.mark.parametrize("is_every_second", [False, True])
def test_packets_with_properties_are_not_looked_through_for_each(is_every_second: bool) -> None:
    with_some = b"\x30\x0c\0\1a\5\2\0\0\0\x3cabc"
    without = b"\x30\x0c\0\1a\0" + b"a" * 8
    data = (with_some + (without if is_every_second else with_some)) * 100
    _Looked.columns = 0
    for start in range(0, len(data), len(with_some)):
        assert (
            decode_equal_packets(
                _Looked(data), start, len(data), len(data), 1_000, 1_000, is_v5=True
            )
            is None
        )
    assert _Looked.columns == 0
