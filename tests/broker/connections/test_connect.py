"""CONNECT: first, once, in time, and answered (MQTT 5.0 §3.1, §3.2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V31, V311, Raw
from tests.inside import core_of, links_of, sessions_of
from trio_mqtt import Broker
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    Publish,
    Subscribe,
    Subscription,
    Will,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

Opened = Callable[..., Raw]
ALL = pytest.mark.parametrize("version", [V31, V311, V5], ids=lambda version: version.text)

NO_CONNECT = {
    "PUBLISH": b"\x30\x04\x00\x01t\x00",
    "PINGREQ": b"\xc0\x00",
    "a large PUBLISH": b"\x30\xff\xff\xff\x7f",
    "packet type 0": b"\x00\x00",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a CONNECT that claims too much": b"\x10\xff\xff\xff\x7f\x00\x04MQTT",
    "a CONNECT with a length of five bytes": b"\x10\xff\xff\xff\xff\x01",
    "a CONNECT with flags": b"\x11\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
    "another protocol": b"\x10\x0c\x00\x04HTTP\x04\x02\x00\x00\x00\x00",
    "the reserved flag": b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00",
    "will QoS without a will": b"\x10\x0c\x00\x04MQTT\x04\x0a\x00\x00\x00\x00",
    "will QoS 3": b"\x10\x11\x00\x04MQTT\x04\x1e\x00\x00\x00\x00\x00\x01w\x00\x00",
    "invalid UTF-8 in an identifier": b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02\xed\xa0",
    "a CONNECT that ends early": b"\x10\x0a\x00\x04MQTT\x04\x02\x00\x00",
    "a CONNECT that goes on": b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x00x",
}


@pytest.mark.normative(
    "MQTT-3.1.0-1", "MQTT-3.1.4-1", "MQTT-3.1.2-1", "MQTT-3.1.2-3", "MQTT-3.14.0-1"
)
@pytest.mark.normative_v311("MQTT-3.1.0-1", "MQTT-3.1.4-1", "MQTT-3.1.2-3", "MQTT-3.1.2-14")
@pytest.mark.parametrize("name", NO_CONNECT)
async def test_what_is_no_connect_is_closed_at_once_without_a_word(
    opened: Opened, broker: Broker, name: str
) -> None:
    client = opened()
    before = trio.current_time()
    await client.send(NO_CONNECT[name])
    await client.expect_closed()
    assert trio.current_time() == before
    assert not links_of(broker)
    assert len(core_of(broker).sessions) == 0


def _connect_5(flags: int, rest: bytes, first: int = 0x10) -> bytes:
    body = b"\x00\x04MQTT\x05" + bytes((flags,)) + b"\x00\x00" + rest
    return bytes((first, len(body))) + body


MALFORMED = ReasonCode.MALFORMED_PACKET
# What breaks the rules after it has named MQTT 5, the code that answers, and whether words can:
# not where the properties cannot be read, which say how large an answer may be.
NOT_RIGHT = {
    "flags of the packet": (_connect_5(2, b"\0\0\x01c", first=0x11), MALFORMED, True),
    "the reserved flag": (_connect_5(3, b"\0\0\x01c"), MALFORMED, True),
    "will QoS without a will": (_connect_5(0x0A, b"\0\0\x01c"), MALFORMED, True),
    "will QoS 3": (_connect_5(0x1E, b"\0\0\x01c\0\0\x01w\0\0"), MALFORMED, True),
    "a wildcard in the will's topic": (
        _connect_5(6, b"\0\0\x01c\0\0\x01#\0\0"), MALFORMED, True,
    ),
    "no topic for the will": (_connect_5(6, b"\0\0\x01c\0\0\0\0\0"), MALFORMED, True),
    "a wildcard where the will wants its response": (
        _connect_5(6, b"\0\0\x01c\x04\x08\0\x01+\0\x01w\0\0"), MALFORMED, True,
    ),
    "no UTF-8 in the identifier": (_connect_5(2, b"\0\0\x02\xed\xa0"), MALFORMED, True),
    "an identifier that ends early": (_connect_5(2, b"\0\0\x02c"), MALFORMED, True),
    "more than announced": (_connect_5(2, b"\0\0\x01cx"), MALFORMED, True),
    "no property length": (_connect_5(2, b""), MALFORMED, False),
    "an unknown property": (_connect_5(2, b"\x02\x7f\x01\0\x01c"), MALFORMED, False),
    "a property length of five bytes": (
        _connect_5(2, b"\xff\xff\xff\xff\x01\0\x01c"), MALFORMED, False,
    ),
    "receive maximum 0": (
        _connect_5(2, b"\x03\x21\0\0\0\x01c"), ReasonCode.PROTOCOL_ERROR, False,
    ),
    "a property twice": (
        _connect_5(2, b"\x06\x21\0\x01\x21\0\x01\0\x01c"), ReasonCode.PROTOCOL_ERROR, False,
    ),
    "authentication data without a method": (
        _connect_5(2, b"\x04\x16\0\x01x\0\x01c"), ReasonCode.PROTOCOL_ERROR, True,
    ),
    "a property of another packet": (
        _connect_5(2, b"\x03\x23\0\x01\0\x01c"), ReasonCode.PROTOCOL_ERROR, False,
    ),
    "a claim of too much": (
        b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05", ReasonCode.PACKET_TOO_LARGE, False,
    ),
    "too much that begins well": (
        b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05\x02\0\0\0", ReasonCode.PACKET_TOO_LARGE, True,
    ),
    "words that are not wanted": (_connect_5(3, b"\x02\x17\0\0\x01c"), MALFORMED, False),
    "words for which is no room": (_connect_5(3, b"\x05\x27\0\0\0\x08\0\x01c"), MALFORMED, False),
}  # fmt: skip


@pytest.mark.normative("MQTT-3.1.4-1", "MQTT-3.1.2-3", "MQTT-4.13.1-1", "MQTT-4.13.2-1")
@pytest.mark.normative("MQTT-3.1.2-24", "MQTT-4.7.3-1", "MQTT-3.1.3-11", "MQTT-3.3.2-14")
@pytest.mark.parametrize("name", NOT_RIGHT)
async def test_a_connect_of_version_5_that_is_not_right_is_answered(
    opened: Opened, broker: Broker, name: str
) -> None:
    data, code, in_words = NOT_RIGHT[name]
    client = opened()
    before = trio.current_time()
    await client.send(data)
    answer = await client.expect(ConnAck)
    assert (answer.reason_code, answer.session_present) == (code, False)
    assert ("reason_string" in answer.properties) is in_words
    await client.expect_closed()
    assert trio.current_time() == before
    assert not links_of(broker)
    assert len(core_of(broker).sessions) == 0


@pytest.mark.normative("MQTT-3.1.2-24")
async def test_no_answer_comes_to_who_has_no_room_for_it(opened: Opened) -> None:
    client = opened()
    await client.send(_connect_5(3, b"\x05\x27\0\0\0\x04\0\x01c"))
    await client.expect_closed()


@pytest.mark.parametrize(
    ("flags", "rest"),
    [
        (0x03, b""),  # bit 0 is "not used"
        (0x2A, b""),  # without a will, its QoS and RETAIN flags are disregarded
        (0x1B, b""),
        (0x07, b"\0\x01w\0\0"),
    ],
)
async def test_flags_that_version_3_1_does_not_use_mean_nothing(
    opened: Opened, broker: Broker, flags: int, rest: bytes
) -> None:
    client = opened(V31)
    body = b"\0\x06MQIsdp\x03" + bytes((flags,)) + b"\0\x3c\0\x01c" + rest
    await client.send(bytes((0x10, len(body))) + body)
    assert (await client.expect(ConnAck)).reason_code == ReasonCode.SUCCESS
    session = sessions_of(broker)["c"]
    assert (session.will is not None) is bool(rest)
    await client.ping()


async def test_twenty_thousand_user_properties_are_refused(opened: Opened, broker: Broker) -> None:
    many = b"\x26\x00\x01a\x00\x01b" * 18_000
    client = opened()
    length = len(many)
    body = b"\x00\x04MQTT\x05\x02\x00\x00" + bytes(
        [length & 127 | 128, length >> 7 & 127 | 128, length >> 14]
    )
    body += many + b"\x00\x00"
    head = bytes([0x10, len(body) & 127 | 128, len(body) >> 7 & 127 | 128, len(body) >> 14])
    await client.send(head + body)
    assert await client.expect(ConnAck) == ConnAck(reason_code=ReasonCode.QUOTA_EXCEEDED)
    await client.expect_closed()


@pytest.mark.parametrize("said", [b"", b"\x10", b"\x10\x0c\x00\x04MQTT\x04"])
async def test_silence_before_connect_is_ended_after_the_timeout(
    opened: Opened, broker: Broker, said: bytes
) -> None:
    client = opened()
    before = trio.current_time()
    if said:
        await client.send(said)
    await client.expect_closed()
    assert trio.current_time() - before == pytest.approx(10)
    assert not links_of(broker)


async def test_a_connect_byte_by_byte_is_accepted_in_time_only(opened: Opened) -> None:
    for pause, accepted in ((0.1, True), (1.0, False)):
        client = opened()
        with trio.move_on_after(60) as scope:
            for byte in encode(Connect("slow", keep_alive=0), V5):
                try:
                    await client.send(bytes([byte]))
                except trio.BrokenResourceError:
                    break
                await trio.sleep(pause)
        assert not scope.cancelled_caught
        if accepted:
            await client.expect(ConnAck)
            await client.disconnect()
        else:
            await client.expect_closed()


@pytest.mark.normative("MQTT-3.1.2-2")
@pytest.mark.normative_v311("MQTT-3.1.2-2")
@pytest.mark.parametrize(
    ("name", "level", "answer"),
    [
        (b"MQTT", 3, b"\x20\x02\x00\x01"),
        (b"MQTT", 6, b"\x20\x03\x00\x84\x00"),
        (b"MQTT", 99, b"\x20\x03\x00\x84\x00"),
        (b"MQTT", 0x7F, b"\x20\x03\x00\x84\x00"),
        (b"MQTT", 0x83, b"\x20\x02\x00\x01"),  # a bridge's highest bit, with another name
        (b"MQTT", 0x85, b"\x20\x02\x00\x01"),
        (b"MQIsdp", 4, b"\x20\x02\x00\x01"),
        (b"MQIsdp", 5, b"\x20\x02\x00\x01"),
        (b"MQIsdp", 6, b"\x20\x02\x00\x01"),
        (b"MQIsdp", 0x84, b"\x20\x02\x00\x01"),
    ],
)
async def test_an_unknown_protocol_level_is_answered(
    opened: Opened, name: bytes, level: int, answer: bytes
) -> None:
    client = opened()
    body = bytes([0, len(name)]) + name + bytes([level]) + b"\x02\x00\x00\x00\x00"
    await client.send(bytes([0x10, len(body)]) + body)
    assert await client.stream.receive_some() == answer
    assert await client.stream.receive_some() == b""


@pytest.mark.normative("MQTT-3.1.4-5", "MQTT-3.2.2-2", "MQTT-3.2.0-1")
@pytest.mark.normative_v311("MQTT-3.1.4-4", "MQTT-3.2.2-1", "MQTT-3.2.0-1", "MQTT-3.1.3-5")
@ALL
async def test_a_connect_is_answered_once_and_first(
    opened: Opened, version: ProtocolVersion
) -> None:
    client = opened(version)
    await client.send(Connect("0123456789azAZ", protocol_version=version), PingReq())
    answers = await client.drain()
    assert [type(answer).__name__ for answer in answers] == ["ConnAck", "PingResp"]
    assert isinstance(answers[0], ConnAck)
    assert not answers[0].session_present
    if version == V5:
        assert answers[0].properties == {
            "receive_maximum": 1_000,
            "maximum_packet_size": 16 * 1024 * 1024,
            "topic_alias_maximum": 64,
        }


@pytest.mark.normative("MQTT-3.1.3-6", "MQTT-3.1.3-7", "MQTT-3.1.3-4")
@pytest.mark.normative_v311("MQTT-3.1.3-6")
async def test_an_empty_client_identifier_gets_a_new_one(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    answers = [(await join("", version)).connack for _ in range(3)]
    assert len(core_of(broker).sessions) == 3
    if version == V5:
        assert {a.properties["assigned_client_identifier"] for a in answers if a} == set(
            sessions_of(broker)
        )


@pytest.mark.normative("MQTT-3.1.3-5", "MQTT-3.1.4-2")
@pytest.mark.normative("MQTT-3.2.2-7", "MQTT-3.2.2-6", "MQTT-3.1.3-8")
@pytest.mark.normative_v311("MQTT-3.1.3-8", "MQTT-3.1.3-9", "MQTT-3.2.2-4", "MQTT-3.2.2-5")
@pytest.mark.parametrize(
    ("version", "connect", "code"),
    [
        (V311, Connect("", clean_start=False), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID),
        (V31, Connect(""), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID),
        (V31, Connect("x" * 24), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID),
        (V311, Connect("x" * 1_025), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID),
        (V5, Connect("x" * 1_025), ReasonCode.CLIENT_IDENTIFIER_NOT_VALID),
        (
            V5,
            Connect("c", properties={"authentication_method": "SCRAM"}),
            ReasonCode.BAD_AUTHENTICATION_METHOD,
        ),
    ],
)
async def test_who_cannot_be_accepted_is_told_why_and_closed(
    opened: Opened, broker: Broker, version: ProtocolVersion, connect: Connect, code: ReasonCode
) -> None:
    client = opened(version)
    connect.protocol_version = version
    if connect.client_id or connect.clean_start:
        await client.send(connect)
    else:
        await client.send(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x00\x00\x00")
    answer = await client.expect(ConnAck)
    assert (answer.reason_code, answer.session_present) == (code, False)
    await client.expect_closed()
    assert len(core_of(broker).sessions) == 0


@pytest.mark.normative("MQTT-3.1.4-6")
@pytest.mark.normative_v311("MQTT-3.1.4-5")
async def test_what_follows_a_connect_that_is_refused_takes_no_effect(
    opened: Opened, join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("#")
    for refused in (
        Connect("x" * 2_000, protocol_version=version, will=Will("will")),
        Connect("c", protocol_version=version, properties={"authentication_method": "x"}),
        Connect(
            "c", protocol_version=version, will=Will("w"), properties={"maximum_packet_size": 5}
        ),
    ):
        if version != V5 and refused.properties:
            continue
        client = opened(version)
        await client.send(
            refused, Publish("t", b"x", retain=True), Subscribe(1, [Subscription("t")])
        )
        await client.drain()
        await client.expect_closed()
    await watcher.expect_nothing()
    assert len(core_of(broker).retained) == 0
    assert list(sessions_of(broker)) == ["watcher"]


async def test_nothing_is_answered_where_connack_is_too_large_though_a_goodbye_has_come_with_it(
    opened: Opened, broker: Broker
) -> None:
    client = opened()
    await client.send(
        Connect("c", properties={"maximum_packet_size": 10}),
        Subscribe(1, [Subscription("t")]),
        Publish("t", b"x", retain=True),
        Disconnect(),
    )
    await client.expect_closed()
    assert len(core_of(broker).retained) == 0
    assert not sessions_of(broker)


async def test_a_large_message_may_follow_connect_at_once(
    opened: Opened, join: Join, version: ProtocolVersion
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("t")
    client = opened(version)
    connect = Connect("c", protocol_version=version)
    await client.send(connect, Publish("t", b"x" * 200_000), Publish("t", b"y" * 20))
    assert [len(payload) for payload in await watcher.payloads()] == [200_000, 20]


@pytest.mark.normative("MQTT-3.2.2-19", "MQTT-3.2.2-16")
async def test_reasons_are_left_out_where_the_client_has_no_room(opened: Opened) -> None:
    properties: Properties = {"maximum_packet_size": 30}
    client = opened()
    await client.send(Connect("x" * 2_000, properties=properties))
    answer = await client.expect(ConnAck)
    assert answer == ConnAck(False, ReasonCode.CLIENT_IDENTIFIER_NOT_VALID)
