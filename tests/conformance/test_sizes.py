"""No packet is larger than the client accepts, whatever the broker could add to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from tests.broker.raw import V5, Raw
from tests.conformance.conftest import Open
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import (
    Connect,
    Packet,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import Properties

# Each asks for an answer to which a broker may add words.
OCCASIONS: dict[str, tuple[list[Packet | bytes], PacketType]] = {
    "puback": ([Publish("nobody", b"", 1, packet_id=1)], PacketType.PUBACK),
    "pubrec": ([Publish("nobody", b"", 2, packet_id=1)], PacketType.PUBREC),
    "pubrel": ([PubRec(77)], PacketType.PUBREL),
    "pubcomp": ([PubRel(77)], PacketType.PUBCOMP),
    "pubcomp of nothing": ([PubComp(77), PubRel(78)], PacketType.PUBCOMP),
    "suback": ([Subscribe(1, [Subscription("$share/g/x", 1)])], PacketType.SUBACK),
    "unsuback": ([Unsubscribe(1, ["never/subscribed"])], PacketType.UNSUBACK),
    "disconnect": ([b"\x00\x00"], PacketType.DISCONNECT),
}


async def received(client: Raw, seconds: float) -> bytes:
    """All bytes that come until nothing has come for so long."""
    data = b""
    while True:
        with trio.move_on_after(seconds):
            try:
                more = bytes(await client.stream.receive_some(65_536))
            except trio.BrokenResourceError:
                return data
            if not more:
                return data
            data += more
            continue
        return data


def frames(data: bytes) -> Iterator[bytes]:
    """The packets, cut apart by their remaining length alone."""
    while data:
        size, shift, at = 0, 0, 1
        while True:
            size |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                break
        yield data[: at + size]
        data = data[at + size :]


@pytest.mark.normative("MQTT-3.1.2-24", "MQTT-3.2.2-16", "MQTT-3.2.2-19", "MQTT-3.2.2-20")
@pytest.mark.normative("MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2", "MQTT-3.5.2-3")
@pytest.mark.normative("MQTT-3.6.2-2", "MQTT-3.6.2-3", "MQTT-3.7.2-2", "MQTT-3.7.2-3")
@pytest.mark.normative("MQTT-3.9.2-2", "MQTT-3.11.2-2", "MQTT-3.14.2-3", "MQTT-3.14.2-4")
@pytest.mark.parametrize("occasion", OCCASIONS)
async def test_words_are_left_out_where_they_would_make_a_packet_too_large(
    opened: Open, name: str, occasion: str
) -> None:
    packets, kind = OCCASIONS[occasion]
    answered = 0
    for limit in (1, 4, 5, 8, 16, 24, 32, 64):
        client = await opened()
        properties: Properties = {"maximum_packet_size": limit}
        await client.send(Connect(name, properties=properties))
        found = await received(client, 0.2)
        if found[:1] == b"\x20" and found[3] == 0:
            await client.send(*packets)
            answers = await received(client, 0.2)
            answered += any(frame[0] >> 4 == kind for frame in frames(answers))
            found += answers
        assert all(len(frame) <= limit for frame in frames(found)), (limit, found)
    assert answered >= 2


@pytest.mark.normative("MQTT-3.1.2-29")
async def test_without_request_problem_information_no_answer_has_words(
    opened: Open, name: str
) -> None:
    client = await opened()
    await client.connect(name, properties={"request_problem_information": 0})
    asked = [packets for packets, kind in OCCASIONS.values() if kind != PacketType.DISCONNECT]
    kinds = set()
    for packets in asked:
        for packet in packets:
            await client.send(packet)
        for answer in await client.drain():
            kinds.add(encode(answer, V5)[0] >> 4)
            words = getattr(answer, "properties", {})
            assert "reason_string" not in words
            assert "user_property" not in words
    assert kinds >= {kind for _, kind in OCCASIONS.values()} - {PacketType.DISCONNECT}
