"""Who breaks the rules is told why in MQTT 5, closed without a word in MQTT 3, and alone in it."""

from __future__ import annotations

import pytest
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, V31, V311
from tests.inside import core_of, links_of
from trio_mqtt import Broker
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Will,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker

MALFORMED = {
    "packet type 0": b"\x00\x00",
    "CONNACK from a client": b"\x20\x02\x00\x00",
    "SUBACK from a client": b"\x90\x03\x00\x01\x00",
    "UNSUBACK from a client": b"\xb0\x02\x00\x01",
    "PINGRESP from a client": b"\xd0\x00",
    "a remaining length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "QoS 3": b"\x36\x05\x00\x01t\x00\x01",
    "QoS 0 with DUP": b"\x38\x04\x00\x01t\x00",
    "QoS 1 without an identifier": b"\x32\x03\x00\x01t",
    "identifier 0": b"\x32\x05\x00\x01t\x00\x00",
    "an empty topic": b"\x30\x03\x00\x00\x00",
    "a wildcard in a topic": b"\x30\x04\x00\x01#\x00",
    "a topic longer than its packet": b"\x30\x03\x00\xfft",
    "overlong UTF-8": b"\x30\x05\x00\x02\xc0\x80\x00",
    "a lone surrogate": b"\x30\x06\x00\x03\xed\xa0\x80\x00",
    "the null character": b"\x30\x04\x00\x01\x00\x00",
    "SUBSCRIBE with flags 0": b"\x80\x07\x00\x01\x00\x00\x01t\x00",
    "SUBSCRIBE with identifier 0": b"\x82\x07\x00\x00\x00\x00\x01t\x00",
    "UNSUBSCRIBE with flags 0": b"\xa0\x06\x00\x01\x00\x00\x01t",
    "PUBREL with flags 0": b"\x60\x02\x00\x01",
    "PINGREQ with a payload": b"\xc0\x01\x00",
    "PINGREQ with flags": b"\xc1\x00",
    "DISCONNECT with flags": b"\xe1\x00",
}

# Payloads after the packet identifier; MQTT 5 has a property length before them.
SUBSCRIPTIONS = {
    "no filter": b"",
    "a filter without options": b"\x00\x01t",
    "QoS 3": b"\x00\x01t\x03",
    "reserved bits": b"\x00\x01t\xc0",
    "an empty filter": b"\x00\x00\x00",
    "a#": b"\x00\x02a#\x00",
    "#/a": b"\x00\x03#/a\x00",
    "a+": b"\x00\x02a+\x00",
    "$share/ab": b"\x00\x09$share/ab\x00",
    "$share//t": b"\x00\x09$share//t\x00",
    "$share/g/": b"\x00\x09$share/g/\x00",
    "$share/+/t": b"\x00\x0a$share/+/t\x00",
    "the null character": b"\x00\x01\x00\x00",
}

ONLY_5 = {
    "a whole CONNACK": b"\x20\x03\x00\x00\x00",
    "a whole SUBACK": b"\x90\x04\x00\x01\x00\x00",
    "a whole UNSUBACK": b"\xb0\x04\x00\x01\x00\x00",
    "retain handling 3": b"\x82\x07\x00\x01\x00\x00\x01t\x30",
    "no local on a shared subscription": b"\x82\x10\x00\x01\x00\x00\x0a$share/g/t\x04",
    "subscription identifier 0": b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01t\x00",
    "a subscription identifier in PUBLISH": b"\x30\x06\x00\x01t\x02\x0b\x01",
    "AUTH without a method": b"\xf0\x00",
    "an unknown property": b"\x30\x06\x00\x01t\x02\x7f\x01",
    "a property of CONNECT": b"\x30\x09\x00\x01t\x05\x11\x00\x00\x00\x01",
    "a payload format of 2": b"\x30\x06\x00\x01t\x02\x01\x02",
    "a content type that is no UTF-8": b"\x30\x08\x00\x01t\x04\x03\x00\x01\xff",
    "a property twice": b"\x30\x08\x00\x01t\x04\x01\x01\x01\x01",
    "a property length of five bytes": b"\x30\x08\x00\x01t\xff\xff\xff\xff\x01",
    "properties longer than the packet": b"\x30\x05\x00\x01t\x7f\x01",
    "an unknown reason code": b"\x40\x03\x00\x01\x55",
    "a wildcard in the response topic": b"\x30\x08\x00\x01t\x04\x08\x00\x01#",
}


# The others are malformed.
PROTOCOL_ERRORS = {
    "SUBACK from a client",
    "PINGRESP from a client",
    "a whole CONNACK",
    "a whole SUBACK",
    "a whole UNSUBACK",
    "an empty topic",
    "no filter",
    "no local on a shared subscription",
    "subscription identifier 0",
    "a subscription identifier in PUBLISH",
    "AUTH without a method",
    "a property of CONNECT",
    "a payload format of 2",
    "a property twice",
}


async def _breaks_only_itself(join: Join, version: ProtocolVersion, name: str, data: bytes) -> None:
    code = ReasonCode.PROTOCOL_ERROR if name in PROTOCOL_ERRORS else ReasonCode.MALFORMED_PACKET
    watcher = await join("watcher")
    await watcher.subscribe("gone", "t", "#")
    client = await join("bad", version, will=Will("gone", b"x"))
    await client.send(data)
    if version == V5:
        found = await client.drain()
        assert [type(p).__name__ for p in found] == ["Disconnect"], found
        [goodbye] = found
        assert isinstance(goodbye, Disconnect)
        assert goodbye.reason_code == code
    await client.expect_closed()
    assert [m.topic for m in await watcher.messages()] == ["gone"]
    await watcher.ping()


@pytest.mark.normative("MQTT-4.13.2-1")
@pytest.mark.normative_v311("MQTT-3.8.1-1", "MQTT-3.6.1-1")
@pytest.mark.normative("MQTT-4.13.1-1", "MQTT-2.1.3-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1")
@pytest.mark.normative_v311("MQTT-2.2.2-2", "MQTT-4.8.0-1", "MQTT-3.3.1-4", "MQTT-2.3.1-1")
@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_packet_ends_only_who_sent_it(
    join: Join, version: ProtocolVersion, name: str
) -> None:
    await _breaks_only_itself(join, version, name, MALFORMED[name])


@pytest.mark.normative(
    "MQTT-3.8.3-2", "MQTT-3.8.3-5", "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.8.2-2"
)
@pytest.mark.normative_v311("MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.3-1", "MQTT-4.7.3-2")
@pytest.mark.parametrize("name", SUBSCRIPTIONS)
async def test_a_malformed_subscription_ends_only_who_sent_it(
    join: Join, version: ProtocolVersion, name: str
) -> None:
    body = b"\x00\x01" + b"\x00" * (version == V5) + SUBSCRIPTIONS[name]
    await _breaks_only_itself(join, version, name, b"\x82" + bytes([len(body)]) + body)


@pytest.mark.normative("MQTT-3.8.3-4", "MQTT-3.3.4-6", "MQTT-4.12.0-7", "MQTT-3.3.2-14")
@pytest.mark.parametrize("name", ONLY_5)
async def test_what_version_5_forbids_ends_only_who_sent_it(join: Join, name: str) -> None:
    await _breaks_only_itself(join, V5, name, ONLY_5[name])


@pytest.mark.normative("MQTT-3.1.0-2")
@pytest.mark.normative_v311("MQTT-3.1.0-2")
async def test_a_second_connect_ends_the_connection(join: Join, version: ProtocolVersion) -> None:
    client = await join("c", version)
    await client.send(Connect("c", protocol_version=version))
    await client.expect_disconnect(ReasonCode.PROTOCOL_ERROR)


@pytest.mark.normative("MQTT-4.13.1-1", "MQTT-2.2.1-5")
@pytest.mark.normative_v311("MQTT-4.8.0-1", "MQTT-2.3.1-6")
@pytest.mark.parametrize("others", [(), (Publish("t2", b"y"),)], ids=["alone", "among others"])
@pytest.mark.parametrize(
    ("qos", "reply"),
    [(2, PubAck(1)), (1, PubRec(1)), (1, PubComp(1)), (2, PubComp(1))],
    ids=lambda value: type(value).__name__ if isinstance(value, Packet) else f"QoS {value}",
)
async def test_an_answer_that_does_not_fit_the_message_ends_the_connection(
    join: Join,
    broker: Broker,
    version: ProtocolVersion,
    qos: int,
    reply: Packet,
    others: tuple[Packet, ...],
) -> None:
    client = await join("c", version)
    await client.subscribe("t", qos=qos)
    await broker.publish("t", "x", qos=2)
    await client.expect_message("t", b"x", qos)
    await client.send(*others, reply)
    await client.expect_disconnect(ReasonCode.PROTOCOL_ERROR)


@pytest.mark.normative("MQTT-4.13.1-1", "MQTT-2.2.1-5")
@pytest.mark.normative_v311("MQTT-4.8.0-1", "MQTT-2.3.1-6")
@pytest.mark.parametrize("replies", [(PubAck(1),), (PubAck(1), PubAck(2))])
async def test_puback_for_what_awaits_pubcomp_ends_the_connection(
    join: Join, broker: Broker, version: ProtocolVersion, replies: tuple[PubAck, ...]
) -> None:
    client = await join("c", version, clean_start=False, expiry=100)
    await client.subscribe("t", qos=2)
    await broker.publish("t", "x", qos=2)
    await client.expect_message("t", b"x", 2)
    await client.send(PubRec(1))
    await client.expect(PubRel)
    await client.send(*replies)
    await client.expect_disconnect(ReasonCode.PROTOCOL_ERROR)
    # The delivery stands as it was: it goes on where it had come to.
    again = await join("c", version, clean_start=False, expiry=100)
    assert await again.expect(PubRel) == PubRel(1)
    await again.send(PubComp(1))
    await broker.publish("t", "y", qos=2)
    await again.expect_message("t", b"y", 2)


@pytest.mark.normative("MQTT-4.13.1-1")
async def test_pubrec_that_refuses_what_it_has_accepted_ends_the_connection(
    join: Join, broker: Broker
) -> None:
    client = await join("c")
    await client.subscribe("t", qos=2)
    await broker.publish("t", "x", qos=2)
    await client.expect_message("t", b"x", 2)
    await client.send(PubRec(1))
    await client.expect(PubRel)
    await client.send(PubRec(1, ReasonCode.QUOTA_EXCEEDED))
    await client.expect_disconnect(ReasonCode.PROTOCOL_ERROR)


@pytest.mark.parametrize("reply", [PubAck(9), PubRec(9), PubRel(9), PubComp(9)])
async def test_an_answer_to_nothing_is_harmless(
    join: Join, version: ProtocolVersion, reply: PubAck | PubRec | PubRel | PubComp
) -> None:
    client = await join("c", version)
    await client.send(reply)
    for packet in await client.drain():
        assert packet in (
            PubRel(9, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND * (version == V5)),  # type: ignore[arg-type]  # an int
            PubComp(9, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND * (version == V5)),  # type: ignore[arg-type]  # an int
        )
    await client.ping()


async def test_what_came_before_a_violation_takes_effect(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    """Else QoS 2 would be lost: it is noted as received, and ignored when it is sent again."""
    other = await join("other")
    await other.subscribe("t", qos=2)
    client = await join("c", version, clean_start=False, expiry=100)
    await client.subscribe("mine", qos=2)
    await broker.publish("mine", "x", qos=2)
    await client.expect_message("mine", b"x", 2)
    await client.send(Publish("t", b"kept", 2, packet_id=5), PubAck(1), Publish("t", b"late"))
    assert await client.expect(PubRec) == PubRec(5)
    await client.expect_disconnect(ReasonCode.PROTOCOL_ERROR)
    await other.expect_message("t", b"kept", 2)
    await other.expect_nothing()


@pytest.mark.normative("MQTT-3.3.4-8", "MQTT-4.9.0-3")
async def test_more_messages_than_our_receive_maximum_end_the_connection(join: Join) -> None:
    client = await join("c")
    assert client.connack is not None
    maximum = client.connack.properties["receive_maximum"]
    await client.send(*(Publish("t", b"", 2, packet_id=n) for n in range(1, maximum + 1)))
    assert len(await client.drain()) == maximum
    await client.ping()
    await client.send(PubRel(1))
    await client.expect(PubComp)
    await client.send(Publish("t", b"", 2, packet_id=1))
    assert await client.drain() == [PubRec(1, ReasonCode.NO_MATCHING_SUBSCRIBERS)]
    await client.send(Publish("t", b"", 1, packet_id=maximum + 1))
    await client.expect_disconnect(ReasonCode.RECEIVE_MAXIMUM_EXCEEDED)


async def test_refused_messages_of_qos_2_do_not_count_for_ever(join: Join) -> None:
    client = await join("c")
    for number in range(1, 3001):
        await client.send(Publish("$SYS/x", b"", 2, packet_id=number))
        refusal = await client.expect(PubRec)
        assert (refusal.packet_id, refusal.reason_code) == (number, ReasonCode.NOT_AUTHORIZED)


@pytest.mark.normative("MQTT-3.1.2-24")
async def test_an_answer_too_large_for_the_client_ends_it_in_order(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    client = await join("c", properties={"maximum_packet_size": 50})
    await client.send(Subscribe(1, [Subscription(f"t/{n}") for n in range(100)]))
    await client.expect_disconnect(ReasonCode.PACKET_TOO_LARGE)
    assert "failed" not in caplog.text


async def test_a_packet_larger_than_ours_ends_the_connection_before_it_is_there(
    join: Join, version: ProtocolVersion
) -> None:
    client = await join("c", version)
    await client.send(b"\x30\xff\xff\xff\x7f\x00\x01t")
    await client.expect_disconnect(ReasonCode.PACKET_TOO_LARGE)


async def test_a_client_is_told_in_words_only_if_it_wants_to(join: Join) -> None:
    for wanted in (0, 1):
        client = await join("c", properties={"request_problem_information": wanted})
        await client.send(b"\x00\x00")
        packet = await client.expect_disconnect(ReasonCode.MALFORMED_PACKET)
        assert packet is not None
        assert ("reason_string" in packet.properties) is bool(wanted)


@pytest.mark.normative_v311("MQTT-4.8.0-2")
@pytest.mark.parametrize("version", [V31, V311, V5])
async def test_a_defect_met_by_one_client_ends_only_that(
    join: Join,
    memory: MemoryBroker,
    broker: Broker,
    version: ProtocolVersion,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = await join("other")
    client = await join("c", version, will=Will("gone", b"x"))
    await other.subscribe("gone")
    with monkeypatch.context() as patched:
        patched.setattr(core_of(broker), "route", lambda *_: 1 // 0)
        await client.send(Publish("t", b"x"))
        await client.expect_closed()
    assert "ZeroDivisionError" in caplog.text
    await other.expect_message("gone", b"x")
    await other.ping()
    assert links_of(broker) == [c for c in links_of(broker) if c.client_id == "other"]
    with monkeypatch.context() as patched:
        patched.setattr(core_of(broker).sessions, "release", lambda *_: 1 // 0)
        client = await join("d", version)
        await client.drop()
    await other.ping()
    await trio.testing.wait_all_tasks_blocked()
    assert len(links_of(broker)) == 1
    await other.send(PingReq())
