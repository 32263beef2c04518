"""Each request has its answer, with the packet identifier and the codes that it asks for."""

from __future__ import annotations

import pytest
import trio

from tests.broker.raw import V5, V311
from tests.conformance.conftest import Join, Open
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

IDENTIFIERS = [1, 0x00FF, 0x1234, 0xFFFF]


@pytest.mark.normative("MQTT-2.2.1-5", "MQTT-3.3.4-1", "MQTT-4.3.2-4", "MQTT-4.3.3-8")
@pytest.mark.normative("MQTT-4.3.3-11")
@pytest.mark.normative_v311("MQTT-2.3.1-6", "MQTT-3.3.4-1", "MQTT-4.3.2-2")
@pytest.mark.parametrize("identifier", IDENTIFIERS)
async def test_a_message_is_answered_with_its_own_identifier(
    join: Join, name: str, version: ProtocolVersion, identifier: int
) -> None:
    client = await join(name, version)
    await client.send(Publish(name, b"1", 1, packet_id=identifier))
    assert (await client.expect(PubAck)).packet_id == identifier
    await client.send(Publish(name, b"2", 2, packet_id=identifier))
    assert (await client.expect(PubRec)).packet_id == identifier
    await client.send(PubRel(identifier))
    assert (await client.expect(PubComp)).packet_id == identifier
    await client.send(Publish(name, b"0"))
    await client.ping()  # at QoS 0 there is no answer


@pytest.mark.normative("MQTT-2.2.1-5", "MQTT-4.3.3-2", "MQTT-4.3.2-2", "MQTT-4.3.3-4")
@pytest.mark.normative("MQTT-2.2.1-4", "MQTT-4.3.1-1")
@pytest.mark.normative_v311("MQTT-2.3.1-6", "MQTT-4.3.2-1", "MQTT-4.3.1-1", "MQTT-4.3.3-1")
async def test_the_broker_sends_a_new_message_without_dup_and_keeps_its_identifier(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await join(name, version)
    await client.subscribe(name, qos=2)
    sender = await join(name + "s", version)
    for qos in (0, 1, 2):
        await sender.publish(name, b"%d" % qos, qos)
        message = await client.expect_message(name, b"%d" % qos, qos)
        assert not message.dup
        assert bool(message.packet_id) == bool(qos)
        if qos == 1:
            await client.send(PubAck(message.packet_id))
        if qos == 2:
            await client.send(PubRec(message.packet_id))
            assert await client.expect(PubRel) == PubRel(message.packet_id)
            await client.send(PubComp(message.packet_id))
    await client.ping()


@pytest.mark.normative("MQTT-2.2.1-6", "MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-3.9.2-1")
@pytest.mark.normative("MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT-3.11.2-1")
@pytest.mark.normative_v311("MQTT-2.3.1-7", "MQTT-3.8.4-1", "MQTT-3.8.4-2")
@pytest.mark.normative_v311("MQTT-3.10.4-4", "MQTT-3.10.4-5")
@pytest.mark.parametrize("identifier", IDENTIFIERS)
async def test_subscribe_and_unsubscribe_are_answered_with_their_identifier(
    join: Join, name: str, version: ProtocolVersion, identifier: int
) -> None:
    client = await join(name, version)
    await client.send(Subscribe(identifier, [Subscription(name)]))
    assert (await client.expect(SubAck)).packet_id == identifier
    for _ in range(2):  # the second ends nothing
        await client.send(Unsubscribe(identifier, [name]))
        assert (await client.expect(UnsubAck)).packet_id == identifier


@pytest.mark.normative("MQTT-3.8.4-6", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2")
@pytest.mark.normative("MQTT-3.8.4-5", "MQTT-3.2.2-9", "MQTT-3.2.2-10")
@pytest.mark.normative_v311("MQTT-3.8.4-5", "MQTT-3.8.4-4", "MQTT-3.9.3-1", "MQTT-3.9.3-2")
async def test_suback_says_for_each_filter_what_is_granted(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await join(name, version)
    assert client.connack is not None
    granted_at_most = client.connack.properties.get("maximum_qos", 2)
    asked = [2, 0, 1, 2, 1, 0]
    codes = await client.subscribe(*(Subscription(f"{name}/{n}", q) for n, q in enumerate(asked)))
    assert codes == [min(qos, granted_at_most) for qos in asked]
    await client.ping()  # there is only one answer


@pytest.mark.normative("MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-6", "MQTT-3.11.3-1")
@pytest.mark.normative_v311("MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-6")
async def test_unsubscribe_ends_exactly_the_filters_it_names_with_one_answer(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await join(name, version)
    await client.subscribe(f"{name}/+", f"{name}/a/#", f"{name}/B", qos=1)
    await client.send(Unsubscribe(9, [f"{name}/x", f"{name}/+", f"{name}/b", f"{name}/a/#"]))
    answer = await client.expect(UnsubAck)
    gone, none = ReasonCode.SUCCESS, ReasonCode.NO_SUBSCRIPTION_EXISTED
    assert answer.reason_codes == ([none, gone, none, gone] if version == V5 else [])
    await client.ping()  # one answer for all
    sender = await join(name + "s", version)
    for topic in ("x", "a", "a/b", "b", "B"):
        await sender.publish(f"{name}/{topic}", topic.encode(), 1)
    assert [m.payload for m in await client.take()] == [b"B"]


@pytest.mark.normative("MQTT-3.10.4-3")
@pytest.mark.normative_v311("MQTT-3.10.4-3")
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_delivery_that_has_begun_is_completed_after_unsubscribe(
    join: Join, name: str, version: ProtocolVersion, qos: int
) -> None:
    keep = {"expiry": 60} if version == V5 else {}
    client = await join(name, version, clean_start=False, **keep)
    await client.subscribe(name, qos=qos)
    await (await join(name + "s", version)).publish(name, b"begun", qos)
    first = await client.expect_message(name, b"begun", qos)
    await client.unsubscribe(name)
    await client.drop()
    client = await join(name, version, clean_start=False, **keep)
    again = await client.expect_message(name, b"begun", qos)
    assert (again.packet_id, again.dup) == (first.packet_id, True)
    if qos == 1:
        await client.send(PubAck(again.packet_id))
    else:
        await client.send(PubRec(again.packet_id))
        assert await client.expect(PubRel) == PubRel(again.packet_id)
        await client.send(PubComp(again.packet_id))
    await client.ping()
    await client.send(b"\xe0\x00")
    await client.expect_closed()


@pytest.mark.normative("MQTT-3.12.4-1")
@pytest.mark.normative_v311("MQTT-3.12.4-1")
async def test_each_pingreq_has_its_pingresp(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await join(name, version)
    await client.send(*[PingReq()] * 3)
    assert await client.drain() == [PingResp()] * 3


@pytest.mark.normative("MQTT-4.3.3-13", "MQTT-4.3.3-7")
async def test_a_handshake_of_qos_2_goes_on_after_the_message_has_expired(
    join: Join, name: str
) -> None:
    client = await join(name)
    await client.subscribe(name, qos=2)
    sender = await join(name + "s")
    properties: Properties = {"message_expiry_interval": 1}
    await sender.publish(name, b"short", 2, properties=properties)
    message = await client.expect_message(name, b"short", 2)
    await sender.send(Publish(name, b"short", 2, packet_id=3, properties=properties))
    await sender.expect(PubRec)
    await trio.sleep(2.2)
    await sender.send(PubRel(3))
    assert await sender.expect(PubComp) == PubComp(3)
    await client.send(PubRec(message.packet_id))
    assert PubRel(message.packet_id) in await client.drain()
    await client.send(PubComp(message.packet_id))
    await client.ping()


@pytest.mark.normative("MQTT-4.9.0-3", "MQTT-4.9.0-2", "MQTT-3.3.4-7")
async def test_without_send_quota_everything_else_is_still_answered(join: Join, name: str) -> None:
    client = await join(name, properties={"receive_maximum": 1})
    await client.subscribe(name, qos=1)
    sender = await join(name + "s")
    await sender.publish(name, b"1", 1)
    await sender.publish(name, b"2", 1)
    message = await client.expect_message(name, b"1", 1)
    await client.ping()
    await client.subscribe(name + "/other")
    await client.unsubscribe(name + "/other")
    await client.send(PubAck(message.packet_id))
    await client.expect_message(name, b"2", 1)


@pytest.mark.normative("MQTT-3.3.4-5", "MQTT-3.3.4-4", "MQTT-3.3.4-3", "MQTT-3.3.4-2")
async def test_every_copy_of_a_message_bears_the_identifiers_of_its_subscriptions(
    join: Join, name: str
) -> None:
    client = await join(name)
    await client.subscribe(f"{name}/a", qos=1, identifier=1)
    await client.subscribe(f"{name}/+", qos=0, identifier=2)
    await client.subscribe(f"{name}/#", qos=2, identifier=3)
    await (await join(name + "s")).publish(f"{name}/a", b"x", 2)
    copies = await client.take()
    identifiers = [copy.properties.get("subscription_identifier", []) for copy in copies]
    assert all(identifiers)
    assert sorted(i for found in identifiers for i in found) == [1, 2, 3]
    assert max(copy.qos for copy in copies) == 2


@pytest.mark.normative_v311("MQTT-7.0.0-2")
async def test_a_whole_conversation_in_the_bytes_of_the_standard(opened: Open, name: str) -> None:
    client = await opened(V311)
    topic = b"\x00\x0b" + name.encode()

    async def say(sent: bytes, *answers: bytes) -> None:
        await client.send(sent)
        found = b""
        with trio.fail_after(60):
            while len(found) < len(b"".join(answers)):
                found += bytes(await client.stream.receive_some(100))
        assert found in (b"".join(answers), b"".join(reversed(answers)))

    connect = b"\x10\x17\x00\x04MQTT\x04\x02\x00\x3c" + topic
    await say(connect, b"\x20\x02\x00\x00")
    await say(b"\x82\x10\x00\x0a" + topic + b"\x00", b"\x90\x03\x00\x0a\x00")
    message = b"\x30\x0f" + topic + b"hi"
    await say(b"\x32\x11" + topic + b"\x00\x0bhi", message, b"\x40\x02\x00\x0b")
    elsewhere = topic[:2] + b"u" + topic[3:]
    await say(b"\x34\x11" + elsewhere + b"\x00\x0chi", b"\x50\x02\x00\x0c")
    await say(b"\x62\x02\x00\x0c", b"\x70\x02\x00\x0c")
    await say(b"\xc0\x00", b"\xd0\x00")
    await say(b"\xa2\x0f\x00\x0d" + topic, b"\xb0\x02\x00\x0d")
    await client.send(b"\xe0\x00")
    await client.expect_closed()
