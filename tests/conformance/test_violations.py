"""What breaks the rules ends the connection that said it, and no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.broker.raw import V5, V311, Closed, Raw
from tests.conformance.conftest import Join, Open
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Will,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

# In both versions; V5 puts an empty property list where the version has one.
MALFORMED: dict[str, tuple[bytes, bytes]] = {
    "packet type 0": (b"\x00\x00", b"\x00\x00"),
    "a topic that is no UTF-8": (b"\x30\x04\x00\x01\xffx", b"\x30\x05\x00\x01\xff\x00x"),
    "a topic with a surrogate": (
        b"\x30\x05\x00\x03\xed\xa0\x80", b"\x30\x06\x00\x03\xed\xa0\x80\x00",
    ),
    "a topic with U+0000": (b"\x30\x05\x00\x03a\x00b", b"\x30\x06\x00\x03a\x00b\x00"),
    "a topic with #": (b"\x30\x05\x00\x03a/#", b"\x30\x06\x00\x03a/#\x00"),
    "a topic with +": (b"\x30\x05\x00\x03a/+", b"\x30\x06\x00\x03a/+\x00"),
    "an empty topic": (b"\x30\x02\x00\x00", b"\x30\x03\x00\x00\x00"),
    "QoS 3": (b"\x36\x05\x00\x01t\x00\x01", b"\x36\x06\x00\x01t\x00\x01\x00"),
    "DUP at QoS 0": (b"\x38\x03\x00\x01t", b"\x38\x04\x00\x01t\x00"),
    "identifier 0": (b"\x32\x05\x00\x01t\x00\x00", b"\x32\x06\x00\x01t\x00\x00\x00"),
    "a topic longer than its packet": (b"\x30\x03\x00\x09t", b"\x30\x03\x00\x09t"),
    "flags of SUBSCRIBE": (b"\x80\x06\x00\x01\x00\x01t\x00", b"\x80\x07\x00\x01\x00\x00\x01t\x00"),
    "SUBSCRIBE to nothing": (b"\x82\x02\x00\x01", b"\x82\x03\x00\x01\x00"),
    "SUBSCRIBE with reserved bits": (
        b"\x82\x06\x00\x01\x00\x01t\x04", b"\x82\x07\x00\x01\x00\x00\x01t\x40",
    ),
    "SUBSCRIBE at QoS 3": (b"\x82\x06\x00\x01\x00\x01t\x03", b"\x82\x07\x00\x01\x00\x00\x01t\x03"),
    "SUBSCRIBE with identifier 0": (
        b"\x82\x06\x00\x00\x00\x01t\x00", b"\x82\x07\x00\x00\x00\x00\x01t\x00",
    ),
    "an empty filter": (b"\x82\x05\x00\x01\x00\x00\x00", b"\x82\x06\x00\x01\x00\x00\x00\x00"),
    "a filter that is no UTF-8": (
        b"\x82\x06\x00\x01\x00\x01\xff\x00", b"\x82\x07\x00\x01\x00\x00\x01\xff\x00",
    ),
    "a filter with # in the middle": (
        b"\x82\x08\x00\x01\x00\x03#/a\x00", b"\x82\x09\x00\x01\x00\x00\x03#/a\x00",
    ),
    "a filter with + in a level": (
        b"\x82\x07\x00\x01\x00\x02a+\x00", b"\x82\x08\x00\x01\x00\x00\x02a+\x00",
    ),
    "flags of UNSUBSCRIBE": (b"\xa0\x05\x00\x01\x00\x01t", b"\xa0\x06\x00\x01\x00\x00\x01t"),
    "UNSUBSCRIBE from nothing": (b"\xa2\x02\x00\x01", b"\xa2\x03\x00\x01\x00"),
    "flags of PUBREL": (b"\x60\x02\x00\x01", b"\x60\x02\x00\x01"),
    "flags of PINGREQ": (b"\xc1\x00", b"\xc1\x00"),
    "flags of DISCONNECT": (b"\xe1\x00", b"\xe1\x00"),
    "a length of five bytes": (b"\xc0\x80\x80\x80\x80\x01", b"\xc0\x80\x80\x80\x80\x01"),
}  # fmt: skip


async def ended(client: Raw) -> list[Packet]:
    """What the broker said before it closed the connection, which it must do."""
    said: list[Packet] = []
    while True:
        packet = await client.receive()
        if isinstance(packet, Closed):
            return said
        said.append(packet)


@pytest.mark.normative("MQTT-4.13.1-1", "MQTT-4.13.2-1", "MQTT-3.14.4-2", "MQTT-3.14.4-1")
@pytest.mark.normative("MQTT-2.1.3-1", "MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-3.3.1-4")
@pytest.mark.normative("MQTT-3.3.2-1", "MQTT-3.3.2-2", "MQTT-3.8.1-1", "MQTT-3.8.3-1")
@pytest.mark.normative("MQTT-3.8.3-2", "MQTT-3.8.3-5", "MQTT-3.10.1-1", "MQTT-3.10.3-2")
@pytest.mark.normative("MQTT-3.6.1-1", "MQTT-3.14.1-1", "MQTT-4.7.1-1", "MQTT-4.7.1-2")
@pytest.mark.normative("MQTT-3.3.1-2", "MQTT-4.7.3-1", "MQTT-4.7.3-2")
@pytest.mark.normative_v311("MQTT-2.2.2-1", "MQTT-2.2.2-2", "MQTT-4.8.0-1", "MQTT-1.4.0-1")
@pytest.mark.normative_v311("MQTT-1.4.0-2", "MQTT-3.3.1-4", "MQTT-3.3.2-1", "MQTT-3.3.2-2")
@pytest.mark.normative_v311("MQTT-3.6.1-1", "MQTT-3.8.1-1", "MQTT-3.8.3-1", "MQTT-3.8.3-3")
@pytest.mark.normative_v311("MQTT-3.8.3-4", "MQTT-3.10.1-1", "MQTT-3.10.3-2", "MQTT-3.14.1-1")
@pytest.mark.normative_v311("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.3-1")
@pytest.mark.normative_v311("MQTT-4.7.3-2", "MQTT-2.3.1-1", "MQTT-3.3.1-2")
@pytest.mark.parametrize("what", MALFORMED)
async def test_what_is_malformed_ends_the_connection_and_no_other(
    join: Join, name: str, version: ProtocolVersion, what: str
) -> None:
    watcher = await join(name + "w", version)
    await watcher.subscribe(name)
    client = await join(name, version, will=Will(name, b"ended"))
    await client.send(MALFORMED[what][version == V5])
    said = await ended(client)
    if said:
        assert version == V5
        [goodbye] = said
        assert isinstance(goodbye, Disconnect)
        assert goodbye.reason_code.is_failure
    await watcher.expect_message(name, b"ended")
    await watcher.ping()


@pytest.mark.normative_v311("MQTT-3.10.3-1")
@pytest.mark.normative("MQTT-3.10.3-1")
async def test_a_filter_to_unsubscribe_from_is_utf8(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await join(name, version)
    packet = (
        b"\xa2\x06\x00\x01\x00\x00\x01\xff" if version == V5 else b"\xa2\x05\x00\x01\x00\x01\xff"
    )
    await client.send(packet)
    assert all(isinstance(packet, Disconnect) for packet in await ended(client))


@pytest.mark.normative("MQTT-3.1.0-1", "MQTT-3.1.0-2", "MQTT-3.14.0-1")
@pytest.mark.normative_v311("MQTT-3.1.0-1", "MQTT-3.1.0-2")
async def test_connect_comes_first_and_once(
    opened: Open, join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await opened(version)
    await client.send(Publish(name, b"too early"))
    await client.expect_closed()
    client = await join(name, version)
    await client.send(Connect(name, protocol_version=version))
    assert all(isinstance(packet, Disconnect) for packet in await ended(client))


@pytest.mark.normative("MQTT-3.1.2-2")
@pytest.mark.normative_v311("MQTT-3.1.2-2")
@pytest.mark.parametrize("level", [0, 2, 6, 127])
async def test_a_protocol_level_that_does_not_exist_is_refused(opened: Open, level: int) -> None:
    client = await opened(V5 if level > 5 else V311)
    rest = b"\x00\x00\x01c" if level > 5 else b"\x00\x01c"
    body = b"\x00\x04MQTT" + bytes((level,)) + b"\x02\x00\x3c" + rest
    await client.send(bytes((0x10, len(body))) + body)
    refused = await client.expect(ConnAck)
    assert refused.reason_code == ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
    await client.expect_closed()


@pytest.mark.normative("MQTT-3.1.2-1", "MQTT-3.1.4-1", "MQTT-3.1.2-3")
@pytest.mark.normative_v311("MQTT-3.1.2-1", "MQTT-3.1.2-3", "MQTT-3.1.4-1")
@pytest.mark.parametrize(("protocol", "flags"), [(b"MQTX", 2), (b"mqtt", 2), (b"MQTT", 3)])
async def test_connect_is_checked(
    opened: Open, version: ProtocolVersion, protocol: bytes, flags: int
) -> None:
    client = await opened(version)
    rest = b"\x00\x00\x01c" if version == V5 else b"\x00\x01c"
    body = b"\x00\x04" + protocol + bytes((version, flags)) + b"\x00\x3c" + rest
    await client.send(bytes((0x10, len(body))) + body)
    for packet in await ended(client):
        assert isinstance(packet, ConnAck)
        assert packet.reason_code.is_failure


@pytest.mark.normative("MQTT-3.3.2-7", "MQTT-3.3.2-9", "MQTT-3.3.4-6")
@pytest.mark.parametrize(
    "properties",
    [b"\x03\x23\x00\x00", b"\x03\x23\xff\xff", b"\x02\x0b\x01"],
    ids=["alias 0", "alias above the maximum", "subscription identifier"],
)
async def test_a_property_that_a_client_must_not_send_ends_the_connection(
    join: Join, name: str, properties: bytes
) -> None:
    client = await join(name)
    body = b"\x00\x01t" + properties
    await client.send(bytes((0x30, len(body))) + body)
    said = await ended(client)
    assert all(isinstance(p, Disconnect) and p.reason_code.is_failure for p in said)


@pytest.mark.normative("MQTT-4.13.1-1", "MQTT-2.2.1-5")
@pytest.mark.normative_v311("MQTT-4.8.0-1", "MQTT-2.3.1-6")
@pytest.mark.parametrize(
    ("qos", "answers"),
    [
        (1, [PubRec]),
        (1, [PubComp]),
        (2, [PubAck]),
        (2, [PubComp]),
        (2, [PubRec, PubAck]),
    ],
    ids=["PUBREC at 1", "PUBCOMP at 1", "PUBACK at 2", "PUBCOMP for PUBLISH", "PUBACK for PUBREL"],
)
async def test_an_answer_that_does_not_fit_the_message_ends_the_connection(
    join: Join,
    name: str,
    version: ProtocolVersion,
    qos: int,
    answers: list[Callable[[int], Packet]],
) -> None:
    sender = await join(name + "s", version)
    client = await join(name, version)
    await client.subscribe(name, qos=qos)
    await sender.publish(name, b"x", qos)
    message = await client.expect_message(name, b"x", qos)
    for answer in answers[:-1]:
        await client.send(answer(message.packet_id))
        await client.expect(PubRel)
    await client.send(answers[-1](message.packet_id))
    for packet in await ended(client):
        assert isinstance(packet, Disconnect)
        assert packet.reason_code == ReasonCode.PROTOCOL_ERROR


@pytest.mark.normative("MQTT-3.3.2-10", "MQTT-3.3.2-12")
async def test_an_alias_that_was_never_set_ends_the_connection(join: Join, name: str) -> None:
    client = await join(name)
    assert client.connack is not None
    if not client.connack.properties.get("topic_alias_maximum", 0):
        pytest.skip("it takes no aliases")
    await client.send(b"\x30\x06\x00\x00\x03\x23\x00\x01")
    for packet in await ended(client):
        assert isinstance(packet, Disconnect)
        assert packet.reason_code == ReasonCode.PROTOCOL_ERROR


@pytest.mark.normative("MQTT-3.1.4-3")
@pytest.mark.normative_v311("MQTT-3.1.4-2")
async def test_a_client_identifier_has_one_connection(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    older = await join(name, version)
    newer = await join(name, version)
    said = await ended(older)
    taken = [ReasonCode.SESSION_TAKEN_OVER] if version == V5 else []
    assert [getattr(packet, "reason_code", None) for packet in said] == taken
    await newer.ping()


@pytest.mark.normative("MQTT-3.1.2-11", "MQTT-3.1.2-22", "MQTT-3.2.2-22")
@pytest.mark.normative_v311("MQTT-3.1.2-24")
async def test_silence_beyond_the_keep_alive_ends_the_connection(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    client = await join(name, version, keep_alive=2)
    assert client.connack is not None
    properties: Properties = client.connack.properties
    assert properties.get("server_keep_alive", 2) <= 2
    said = await ended(client)
    assert [getattr(packet, "reason_code", None) for packet in said] in (
        [ReasonCode.KEEP_ALIVE_TIMEOUT],
        [],
    )
