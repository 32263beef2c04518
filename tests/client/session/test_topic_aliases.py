"""Topics that recur are sent by aliases, within what the broker allows, and as themselves else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt import LocalProtocolError
from trio_mqtt.protocol.packets import ConnAck, Publish

pytestmark = pytest.mark.anyio

ALLOWED = 3


@pytest.fixture
def broker(broker: FakeBroker) -> FakeBroker:
    """A broker that allows a few."""
    allow(broker, ALLOWED)
    return broker


def allow(broker: FakeBroker, maximum: int, size: int = 1_000) -> None:
    broker.connack = ConnAck(
        properties={"topic_alias_maximum": maximum, "maximum_packet_size": size}
    )

    def prepare(peer: Peer) -> None:
        peer.protocol.topic_alias_maximum = maximum
        whole: Callable[[bytes], None] = peer.feed

        def feed(data: bytes) -> None:
            sizes.append(len(data))
            whole(data)

        sizes: list[int] = []
        peer.feed = feed  # type: ignore[method-assign]
        peer.sizes = sizes  # type: ignore[attr-defined]

    broker.prepare = prepare


def topics(peer: Peer) -> list[str]:
    """As the broker understands them."""
    return [packet.topic for packet in peer.all(Publish)]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_recurs_is_sent_by_a_number(broker: FakeBroker, qos: int) -> None:
    topic = "building/7/floor/3/room/12/temperature"
    async with broker.client() as client:
        for _ in range(10):
            await client.publish(topic, "21.5", qos=qos)
        await client.publish("end", qos=1)
        plain = sum(broker.peer.sizes)  # type: ignore[attr-defined]
        assert client.bytes_saved == 0
    async with broker.client(topic_aliases=True) as client:
        for _ in range(10):
            await client.publish(topic, "21.5", qos=qos)
        await client.publish("end", qos=1)
        # Two as they are, one that brings the alias (3 bytes more), seven by it.
        saved = 7 * (len(topic) - 3) - 3
        assert client.bytes_saved == saved
        assert plain - sum(broker.peer.sizes) == saved  # type: ignore[attr-defined]
        assert topics(broker.peer) == [topic] * 10 + ["end"]


async def test_no_more_are_used_than_allowed_and_the_coldest_gives_way(broker: FakeBroker) -> None:
    names = [f"topic/{number}" for number in range(6)]
    expected = []
    async with broker.client(topic_aliases=True) as client:
        for some in (names[:3], names[3:], names[:3], names):
            for _ in range(4):
                for name in some:
                    await client.publish(name, qos=1)
                    expected.append(name)
        assert topics(broker.peer) == expected
        assert client.bytes_saved > 0


async def test_they_end_with_their_connection(broker: FakeBroker) -> None:
    async with broker.client(topic_aliases=True) as client:
        for _ in range(4):
            await client.publish("topic/1", "x" * 10, qos=1)
        broker.peer.mute.add(Publish)
        handle = client.begin_publish("topic/1", "again", qos=1)
        await broker.peer.expect(Publish)
        await client.reconnect()
        await handle.wait()
        await client.publish_many((("topic/1", b"") for _ in range(5)), qos=1)
        await client.publish_many(("topic/1", b"") for _ in range(5))
        client.publish_nowait("topic/1")
        await client.publish("end", qos=1)
        assert topics(broker.peer) == ["topic/1"] * 12 + ["end"]


async def test_another_broker_may_allow_none(broker: FakeBroker) -> None:
    async with broker.client(topic_aliases=True) as client:
        for _ in range(4):
            await client.publish("topic/1", qos=1)
        saved = client.bytes_saved
        allow(broker, 0)
        await client.reconnect()
        for _ in range(4):
            await client.publish("topic/1", qos=1)
        assert topics(broker.peer) == ["topic/1"] * 4
        assert client.bytes_saved == saved


async def test_properties_go_along(broker: FakeBroker) -> None:
    async with broker.client(topic_aliases=1) as client:
        for number in range(5):
            words = [("name", "x" * 40 * number)]
            await client.publish("topic/1", str(number), properties={"user_property": words})
        await client.publish("end", qos=1)
    seen = [packet.properties.get("user_property") for packet in broker.peer.all(Publish)]
    assert seen[:5] == [[("name", "x" * 40 * number)] for number in range(5)]


@pytest.mark.parametrize("topic", ["a/b", "äöü/äöü"])
async def test_short_topics_go_as_they_are_and_all_arrive(broker: FakeBroker, topic: str) -> None:
    async with broker.client(topic_aliases=True) as client:
        for _ in range(5):
            await client.publish(topic, qos=1)
        assert topics(broker.peer) == [topic] * 5
        assert (client.bytes_saved > 0) == (topic != "a/b")


async def test_a_packet_that_an_alias_would_make_too_large_goes_without(broker: FakeBroker) -> None:
    allow(broker, 3, 100)
    async with broker.client(topic_aliases=True) as client:
        largest = 100 - 2 - 2 - len("topic/1") - 2 - 1
        for _ in range(5):
            await client.publish("topic/1", "x" * largest, qos=1)
        assert client.bytes_saved == 0
        with pytest.raises(LocalProtocolError, match="larger"):
            await client.publish("topic/1", "x" * (largest + 1), qos=1)
        await client.publish("topic/1", "x", qos=1)
        assert topics(broker.peer) == ["topic/1"] * 6


async def test_mqtt_3_has_none(broker: FakeBroker) -> None:
    async with broker.client(topic_aliases=True, protocol_version=4) as client:
        for _ in range(5):
            await client.publish("topic/1", qos=1)
        assert client.bytes_saved == 0


@pytest.mark.parametrize(
    ("count", "kind"), [(-1, LocalProtocolError), (65_536, LocalProtocolError), ("3", TypeError)]
)
async def test_what_is_no_number_of_aliases_is_refused(
    broker: FakeBroker, count: object, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        async with broker.client(topic_aliases=count):
            pytest.fail("it cannot be")
