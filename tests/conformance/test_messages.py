"""Who gets which message, in which order, how often, and with what."""

from __future__ import annotations

import dataclasses

import pytest
import trio

from tests.broker.raw import V5, Raw
from tests.conformance.conftest import Join
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscription,
)
from trio_mqtt.protocol.properties import Properties


@pytest.mark.normative("MQTT-3.8.4-8", "MQTT-3.3.1-3", "MQTT-4.5.0-1", "MQTT-3.3.2-3")
@pytest.mark.normative_v311("MQTT-3.8.4-6", "MQTT-3.3.1-3", "MQTT-4.5.0-1", "MQTT-3.3.2-3")
@pytest.mark.normative_v311("MQTT-3.3.5-2")
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
async def test_a_message_comes_at_the_lower_qos_and_without_the_publishers_dup(
    join: Join, name: str, version: ProtocolVersion, published: int, granted: int
) -> None:
    client = await join(name, version)
    await client.subscribe(f"{name}/#", qos=granted)
    sender = await join(name + "s", version)
    dup = published > 0
    topic = f"{name}/a"
    await sender.send(Publish(topic, b"x", published, dup=dup, packet_id=published))
    answers = await sender.drain()
    assert [type(packet) for packet in answers] == [[], [PubAck], [PubRec]][published]
    if published == 2:  # a broker may pass the message on before this or after
        await sender.send(PubRel(2))
        await sender.expect(PubComp)
    [message] = await client.take()
    assert (message.topic, message.payload, message.qos) == (topic, b"x", min(published, granted))
    assert not message.dup


@pytest.mark.normative("MQTT-4.3.3-10", "MQTT-4.3.3-12", "MQTT-4.3.2-5")
@pytest.mark.normative_v311("MQTT-4.3.3-2", "MQTT-4.3.2-2")
async def test_qos_2_arrives_once_and_qos_1_whenever_it_is_sent(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await join(name, version)
    await client.subscribe(name)
    sender = await join(name + "s", version)
    for dup in (False, True, True):
        await sender.send(Publish(name, b"two", 2, dup=dup, packet_id=1))
        assert (await sender.expect(PubRec)).packet_id == 1
    await sender.send(PubRel(1))
    assert await sender.expect(PubComp) == PubComp(1)
    assert await client.payloads() == [b"two"]
    await sender.send(Publish(name, b"new", 2, packet_id=1))
    await sender.expect(PubRec)
    await sender.send(PubRel(1))
    await sender.expect(PubComp)
    assert await client.payloads() == [b"new"]
    for dup in (False, True):
        await sender.send(Publish(name, b"one", 1, dup=dup, packet_id=1))
        await sender.expect(PubAck)
        assert await client.payloads() == [b"one"]


@pytest.mark.normative("MQTT-4.6.0-5", "MQTT-4.6.0-6")
@pytest.mark.normative_v311("MQTT-4.6.0-5", "MQTT-4.6.0-6")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_messages_of_a_publisher_keep_their_order(
    join: Join, name: str, version: ProtocolVersion, qos: int
) -> None:
    client = await join(name, version)
    await client.subscribe(name, qos=qos)
    sender = await join(name + "s", version)
    sent = [b"%d" % number for number in range(1, 16)]
    await sender.send(
        *(Publish(name, payload, qos, packet_id=int(payload) * bool(qos)) for payload in sent)
    )
    for answer in await sender.drain():
        if isinstance(answer, PubRec):
            await sender.send(PubRel(answer.packet_id))
    assert [message.payload for message in await client.take()] == sent


@pytest.mark.normative("MQTT-3.3.1-1", "MQTT-4.3.2-3", "MQTT-4.3.3-3", "MQTT-4.3.3-5")
@pytest.mark.normative("MQTT-4.3.3-6", "MQTT-4.4.0-1")
@pytest.mark.normative_v311("MQTT-3.3.1-1", "MQTT-4.4.0-1", "MQTT-2.3.1-4", "MQTT-3.1.2-5")
async def test_what_was_not_acknowledged_comes_again_at_the_next_connection_only(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    keep = {"expiry": 60} if version == V5 else {}
    client = await join(name, version, clean_start=False, **keep)
    await client.subscribe(name, qos=2)
    sender = await join(name + "s", version)
    for qos in (1, 2, 2):
        await sender.publish(name, b"x", qos)
    first = [packet for packet in await client.drain() if isinstance(packet, Publish)]
    assert [(m.qos, m.dup) for m in first] == [(1, False), (2, False), (2, False)]
    await client.send(PubRec(first[2].packet_id))
    assert await client.expect(PubRel) == PubRel(first[2].packet_id)
    await trio.sleep(1)
    await client.expect_nothing()  # nothing is sent again on a connection that stands
    await client.drop()
    await sender.publish(name, b"meanwhile", 1)
    client = await join(name, version, clean_start=False, **keep)
    found = await client.drain()
    again = [p for p in found if isinstance(p, Publish) and p.payload == b"x"]
    assert [(m.packet_id, m.qos, m.dup) for m in again] == [
        (m.packet_id, m.qos, True) for m in first[:2]
    ]
    assert [p for p in found if isinstance(p, PubRel)] == [PubRel(first[2].packet_id)]
    new = [p for p in found if isinstance(p, Publish) and p.payload == b"meanwhile"]
    assert [(m.qos, m.dup) for m in new] == [(1, False)]
    assert new[0].packet_id not in {m.packet_id for m in first}
    await client.drop()
    await (await join(name, version)).drop()


async def kept(join: Join, name: str, version: ProtocolVersion) -> list[tuple[bytes, int, bool]]:
    """What a client gets that subscribes now."""
    client = await join(name + "new", version)
    await client.subscribe(f"{name}/+", qos=2)
    found = [(m.payload, m.qos, m.retain) for m in await client.take()]
    await client.drop()
    return found


@pytest.mark.normative("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-7", "MQTT-3.3.1-8")
@pytest.mark.normative("MQTT-3.3.1-9", "MQTT-3.3.1-12")
@pytest.mark.normative_v311("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-7", "MQTT-3.3.1-8")
@pytest.mark.normative_v311("MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.3.1-12")
@pytest.mark.normative_v311("MQTT-3.1.2-7")
async def test_a_retained_message_is_kept_until_another_takes_its_place(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    topic = f"{name}/a"
    client = await join(name, version)
    await client.subscribe(topic, qos=2)
    sender = await join(name + "s", version)

    async def publish(payload: bytes, qos: int, *, retain: bool) -> None:
        await sender.publish(topic, payload, qos, retain=retain)
        got = [(m.payload, m.qos, m.retain) for m in await client.take()]
        assert got == [(payload, qos, False)]  # the subscription stood before

    await publish(b"1", 1, retain=True)
    assert await kept(join, name, version) == [(b"1", 1, True)]
    await publish(b"not kept", 2, retain=False)
    await publish(b"2", 2, retain=True)
    await sender.drop()
    assert await kept(join, name, version) == [(b"2", 2, True)]
    sender = await join(name + "s", version)  # it is no part of the session that published it
    assert await kept(join, name, version) == [(b"2", 2, True)]
    await publish(b"", 1, retain=True)
    assert await kept(join, name, version) == []


@pytest.mark.normative("MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.8.4-4")
@pytest.mark.parametrize(("handling", "expected"), [(0, [1, 1]), (1, [1, 0]), (2, [0, 0])])
async def test_retain_handling_says_when_retained_messages_come(
    join: Join, name: str, handling: int, expected: list[int]
) -> None:
    sender = await join(name + "s")
    await sender.publish(name, b"kept", 1, retain=True)
    client = await join(name)
    for count in expected:
        await client.subscribe(Subscription(name, 1, retain_handling=handling))
        assert [m.payload for m in await client.take()] == [b"kept"] * count
    await sender.publish(name, b"", retain=True)


@pytest.mark.normative("MQTT-3.3.1-12", "MQTT-3.3.1-13")
@pytest.mark.parametrize("as_published", [False, True])
async def test_retain_as_published_says_whether_the_flag_stays(
    join: Join, name: str, as_published: bool
) -> None:
    sender = await join(name + "s")
    client = await join(name)
    await client.subscribe(Subscription(name, 1, retain_as_published=as_published))
    for retain in (False, True):
        await sender.publish(name, b"x", 1, retain=retain)
        assert [m.retain for m in await client.take()] == [retain and as_published]
    await sender.publish(name, b"", retain=True)


@pytest.mark.normative("MQTT-3.8.4-3")
@pytest.mark.parametrize(
    "new", [Subscription("", 0), Subscription("", 1, True), Subscription("", 1, False, True, 2)],
    ids=["QoS", "no local", "retain as published"],
)  # fmt: skip
async def test_subscribing_again_replaces_every_option(
    join: Join, name: str, new: Subscription
) -> None:
    client = await join(name)
    await client.subscribe(name, qos=1)
    new = dataclasses.replace(new, topic_filter=name)
    await client.subscribe(new)
    await client.publish(name, b"own")
    assert await client.payloads() == [b"own"] * (not new.no_local)
    sender = await join(name + "s")
    await sender.publish(name, b"x", 1, retain=True)
    found = [(m.qos, m.retain) for m in await client.take()]
    assert found == [(new.qos, new.retain_as_published)]
    await sender.publish(name, b"", retain=True)


PROPERTIES: Properties = {
    "payload_format_indicator": 1,
    "content_type": "text/plain",
    "response_topic": "answers/here",
    "correlation_data": b"\x00\xff",
    "user_property": [("b", "1"), ("a", "2"), ("b", "1"), ("", "")],
}


@pytest.mark.normative("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17")
@pytest.mark.normative("MQTT-3.3.2-18", "MQTT-3.3.2-20")
async def test_properties_arrive_unaltered_and_in_order(join: Join, name: str) -> None:
    client = await join(name)
    await client.subscribe(name, qos=1)
    await (await join(name + "s")).publish(name, b"x", 1, properties=PROPERTIES)
    [message] = await client.take()
    assert message.properties == PROPERTIES


@pytest.mark.normative("MQTT-3.3.2-5", "MQTT-3.3.2-6")
async def test_a_message_that_waits_loses_its_time_and_then_is_gone(join: Join, name: str) -> None:
    client = await join(name, expiry=60)
    await client.subscribe(name, qos=1)
    await client.drop()
    sender = await join(name + "s")
    for interval in (1, 100):
        properties: Properties = {"message_expiry_interval": interval}
        await sender.publish(name, b"%d" % interval, 1, properties=properties)
    await trio.sleep(2.2)
    client = await join(name, clean_start=False)
    [message] = await client.take()
    assert message.payload == b"100"
    assert 96 <= message.properties["message_expiry_interval"] <= 98


@pytest.mark.normative("MQTT-4.7.2-1", "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-4")
@pytest.mark.normative_v311("MQTT-4.7.2-1", "MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.3-4")
@pytest.mark.normative_v311("MQTT-3.8.3-2")
@pytest.mark.parametrize(
    ("topic_filter", "matching", "others"),
    [
        ("{}/#", ["{}", "{}/a", "{}/a/b", "{}/"], ["{}a", "/{}"]),
        ("{}/+", ["{}/a", "{}/"], ["{}", "{}/a/b"]),
        ("+/{}/+", ["a/{}/b", "/{}/"], ["{}/b", "a/{}", "a/{}/b/c"]),
        ("/{}", ["/{}"], ["{}", "{}/"]),
        ("{}/Å", ["{}/Å"], ["{}/A\u030a", "{}/å"]),  # no form of writing is another
    ],
)
async def test_filters_match_as_the_standard_says(
    join: Join, name: str, version: ProtocolVersion,
    topic_filter: str, matching: list[str], others: list[str],
) -> None:  # fmt: skip
    client = await join(name, version)
    await client.subscribe(topic_filter.format(name), qos=1)
    sender = await join(name + "s", version)
    for topic in matching + others:
        await sender.publish(topic.format(name), b"x", 1)
    assert [m.topic for m in await client.take()] == [topic.format(name) for topic in matching]


@pytest.mark.normative_v311("MQTT-3.3.5-1")
@pytest.mark.normative("MQTT-3.3.4-2")
async def test_filters_that_overlap_bring_a_message_at_the_highest_qos(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await join(name, version)
    await client.subscribe(Subscription(f"{name}/#", 1), Subscription(f"{name}/+", 2))
    await (await join(name + "s", version)).publish(f"{name}/a", b"x", 2)
    assert max(message.qos for message in await client.take()) == 2


@pytest.mark.normative("MQTT-3.1.2-27", "MQTT-3.3.2-10", "MQTT-3.3.2-12")
async def test_an_alias_is_the_senders_and_its_connections(join: Join, name: str) -> None:
    client = await join(name)  # accepts no aliases
    await client.subscribe(f"{name}/+")

    async def send(sender: Raw, topic: str) -> list[str]:
        await sender.send(Publish(topic, b"x", properties={"topic_alias": 1}))
        found = await client.messages()
        assert all("topic_alias" not in message.properties for message in found)
        return [message.topic for message in found]

    sender = await join(name + "s")
    for topic in ("a", "b"):
        assert await send(sender, f"{name}/{topic}") == [f"{name}/{topic}"]
        assert await send(sender, "") == [f"{name}/{topic}"]
    sender = await join(name + "s")
    assert await send(sender, "") == []
    await sender.drain()
    await sender.expect_closed()
