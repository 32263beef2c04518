"""What clients below a mount point call topics, and what the broker calls them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_mqtt import ProtocolVersion, topic_matches_filter
from trio_mqtt.broker.mount_points import mounted_filter, mounted_topic, topic_below
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import Connect, Publish, PublishRun

V311, V5 = ProtocolVersion.V311, ProtocolVersion.V5

LEVELS = st.sampled_from(["a", "b", "", "$x", "ä"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(
        st.lists(st.one_of(LEVELS, st.just("+")), max_size=3), st.sampled_from(["#", "+", "a"])
    )
    .map(lambda parts: "/".join([*parts[0], parts[1]]))
    .filter(bool)
)


@given(TOPICS, FILTERS, st.sampled_from(["a/", "a/b/", "x y/"]))
def test_below_it_topics_match_as_they_would_elsewhere(
    topic: str, topic_filter: str, mount_point: str
) -> None:
    mounted, wanted = mounted_topic(mount_point, topic), mounted_filter(mount_point, topic_filter)
    assert mounted is not None
    assert wanted is not None
    if topic[0] == "$":
        assert mounted == topic  # which no client may publish to
        return
    assert topic_below(mount_point, mounted) == topic
    assert topic_matches_filter(mounted, wanted) == topic_matches_filter(topic, topic_filter)


@given(TOPICS, FILTERS)
def test_nothing_else_is_ever_seen(topic: str, topic_filter: str) -> None:
    wanted = mounted_filter("a/", topic_filter)
    assert wanted is not None
    if topic_matches_filter(topic, wanted):
        below = topic_below("a/", topic)
        assert below is None or topic == f"a/{below}"


def test_of_a_shared_filter_what_is_shared_is_mounted() -> None:
    assert mounted_filter("a/", "$share/us/b/#") == "$share/us/a/b/#"
    assert mounted_filter("a/", "$share/us/#") == "$share/us/a/+/#"


@pytest.mark.parametrize("letter", ["x", "ä", "\N{GRINNING FACE}"])
def test_names_have_as_many_bytes_as_the_standard_allows(letter: str) -> None:
    count = (65_535 - 2) // len(letter.encode())
    assert mounted_topic("a/", letter * count) is not None
    assert mounted_topic("a/", letter * (count + 1)) is None
    assert mounted_filter("a/", letter * (count + 1)) is None


@given(
    st.lists(st.tuples(st.integers(0, 300), st.booleans()), min_size=1, max_size=5),
    st.sampled_from([V311, V5]),
    st.sampled_from([0, 1]),
)
def test_a_run_that_is_renamed_is_what_renamed_messages_are(
    messages: list[tuple[int, bool]], version: ProtocolVersion, qos: int
) -> None:
    qos = qos if len(messages) > 1 else 0
    decoder = PacketDecoder(PacketType.CONNECT, runs=True)
    decoder.feed(encode(Connect(protocol_version=version), version))
    for old, new in (("t", "site/t"), ("site/" * 30 + "t", "t")):
        sent = [
            Publish(old + "/2" * other, bytes([65 + at]) * size, qos, packet_id=(at + 1) * qos)
            for at, (size, other) in enumerate(messages)
        ]
        wanted = [
            Publish(new + one.topic[len(old) :], one.payload, qos, packet_id=one.packet_id)
            for one in sent
        ]
        (came,) = decoder.feed(b"".join(encode(one, version) for one in sent))
        assert isinstance(came, PublishRun)
        run = came.renamed([new + topic[len(old) :] for topic in came.topics])
        assert run.frames == b"".join(encode(one, version) for one in wanted)
        assert run.messages == wanted
        assert run.packet_ids == [one.packet_id for one in wanted if qos]
        assert run.payload_size == sum(size for size, _ in messages)
        last = run.some([len(run.topics) - 1])
        assert last.messages == wanted[-len(last) :]
        assert last.payload_size == sum(one.payload_size for one in last.messages)
