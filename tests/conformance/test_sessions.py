"""What a session is known by, how long it lasts, and what becomes of a will."""

from __future__ import annotations

import string

import pytest
import trio

from tests.broker.raw import V5, V311
from tests.conformance.conftest import Join, Open
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, PubRec, PubRel, Subscription, Will
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

ALPHABET = string.digits + string.ascii_lowercase + string.ascii_uppercase


@pytest.mark.normative("MQTT-3.1.3-3")
@pytest.mark.normative_v311("MQTT-3.1.3-5")
@pytest.mark.parametrize("client_id", ["a", *(ALPHABET[n : n + 23] for n in (0, 23, 39))])
async def test_letters_and_digits_up_to_23_are_a_client_identifier(
    join: Join, version: ProtocolVersion, client_id: str
) -> None:
    client = await join(client_id, version)
    await client.ping()  # it was accepted


@pytest.mark.normative("MQTT-3.1.3-2", "MQTT-3.1.4-4", "MQTT-3.1.2-4", "MQTT-3.1.2-5")
@pytest.mark.normative("MQTT-3.2.2-2", "MQTT-3.2.2-3", "MQTT-3.1.2-23")
@pytest.mark.normative_v311("MQTT-3.1.3-2", "MQTT-3.1.4-3", "MQTT-3.1.2-4", "MQTT-3.1.2-6")
@pytest.mark.normative_v311("MQTT-3.2.2-1", "MQTT-3.2.2-2", "MQTT-3.2.2-3", "MQTT-4.1.0-1")
async def test_a_session_is_known_by_its_client_identifier_until_a_clean_start(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    keep = {"expiry": 60} if version == V5 else {}

    async def present(client_id: str, *, clean_start: bool = False) -> bool:
        client = await join(client_id, version, clean_start=clean_start, **keep)
        assert client.connack is not None
        await client.drop()
        return client.connack.session_present

    client = await join(name, version, clean_start=False, **keep)
    assert client.connack is not None
    assert not client.connack.session_present
    await client.subscribe(name, qos=1)
    await client.drop()
    assert not await present(name + "x")
    assert not await present(name.upper())
    await (await join(name + "s", version)).publish(name, b"kept", 1)
    client = await join(name, version, clean_start=False, **keep)
    assert client.connack is not None
    assert client.connack.session_present
    assert [m.payload for m in await client.take()] == [b"kept"]
    await client.drop()
    assert not await present(name, clean_start=True)
    client = await join(name, version, clean_start=False, **keep)
    await (await join(name + "s", version)).publish(name, b"not subscribed any more", 1)
    await client.expect_nothing()
    await client.drop()
    for client_id in (name, name + "x", name.upper()):
        await (await join(client_id, version)).drop()


@pytest.mark.normative("MQTT-4.1.0-1")
@pytest.mark.normative_v311("MQTT-4.1.0-2")
@pytest.mark.parametrize("expiry", [0, 1])
async def test_a_session_lasts_as_long_as_its_connection(
    join: Join, name: str, version: ProtocolVersion, expiry: int
) -> None:
    options = {"expiry": expiry} if version == V5 else {"clean_start": not expiry}
    client = await join(name, version, **options)
    await client.subscribe(name, qos=2)
    sender = await join(name + "s", version)
    await sender.publish(name, b"1", 2)
    message = await client.expect_message(name, b"1", 2)
    await trio.sleep(3)
    # The subscription and the handshake are still there.
    await client.send(PubRec(message.packet_id))
    assert await client.expect(PubRel) == PubRel(message.packet_id)
    await sender.publish(name, b"2", 1)
    await client.expect_message(name, b"2", 1)
    await client.drop()
    await (await join(name, version)).drop()


@pytest.mark.normative("MQTT-3.1.2-6", "MQTT-3.1.2-14", "MQTT-3.1.2-15")
@pytest.mark.normative("MQTT-3.2.2-12", "MQTT-3.2.2-13")
@pytest.mark.normative_v311("MQTT-3.1.2-9", "MQTT-3.1.2-16", "MQTT-3.1.2-17", "MQTT-3.1.2-14")
@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_will_is_published_as_its_flags_say_or_refused_with_connect(
    opened: Open, join: Join, name: str, version: ProtocolVersion, qos: int, retain: bool
) -> None:
    watcher = await join(name + "w", version)
    as_published = version == V5
    await watcher.subscribe(Subscription(name, 2, retain_as_published=as_published))
    client = await opened(version)
    will = Will(name, b"gone", qos, retain)
    await client.send(Connect(name, protocol_version=version, will=will))
    answer = await client.expect(ConnAck)
    if answer.reason_code.is_failure:  # only where what the will needs is not there
        assert version == V5
        assert answer.reason_code in (
            ReasonCode.QOS_NOT_SUPPORTED,
            ReasonCode.RETAIN_NOT_SUPPORTED,
        )
        await client.expect_closed()
        return
    assert answer.properties.get("maximum_qos", 2) >= qos
    assert answer.properties.get("retain_available", 1) >= retain
    await client.drop()
    [message] = await watcher.take()
    assert (message.payload, message.qos) == (b"gone", qos)
    assert message.retain == (retain and as_published)
    later = await join(name + "l", version)
    await later.subscribe(name, qos=2)
    assert [(m.qos, m.retain) for m in await later.take()] == [(qos, True)] * retain
    await later.publish(name, b"", retain=True)


@pytest.mark.normative("MQTT-3.1.2-10")
@pytest.mark.normative_v311("MQTT-3.1.2-12")
async def test_without_a_will_nothing_is_published_when_the_connection_ends(
    join: Join, name: str, version: ProtocolVersion
) -> None:
    watcher = await join(name + "w", version)
    await watcher.subscribe("#")
    await watcher.drain()
    # An earlier will of the same client is not taken up again.
    first = await join(name, version, will=Will(name, b"x"), clean_start=False)
    await first.send(b"\xe0\x00")
    await first.expect_closed()
    await (await join(name, version, clean_start=False)).drop()
    assert [m for m in await watcher.messages() if m.topic == name] == []


@pytest.mark.normative("MQTT-3.1.2-28")
async def test_response_information_is_returned_only_if_asked_for(join: Join, name: str) -> None:
    asked: list[Properties] = [{}, {"request_response_information": 0}]
    for properties in asked:
        client = await join(name, properties=properties)
        assert client.connack is not None
        assert "response_information" not in client.connack.properties


@pytest.mark.normative("MQTT-3.1.4-2", "MQTT-3.1.3-5", "MQTT-3.1.3-8", "MQTT-3.2.2-8")
@pytest.mark.normative("MQTT-3.2.2-7", "MQTT-4.12.0-1", "MQTT-4.13.2-1")
async def test_who_is_refused_is_told_by_code_and_closed_and_nobody_else(
    opened: Open, join: Join, name: str
) -> None:
    other = await join(name)
    client = await opened()
    method: Properties = {"authentication_method": "no such method"}
    await client.send(Connect(name + "r", properties=method))
    answer = await client.expect(ConnAck)
    assert answer.reason_code in (
        ReasonCode.BAD_AUTHENTICATION_METHOD,
        ReasonCode.NOT_AUTHORIZED,
    )
    await client.expect_closed()
    await other.ping()


@pytest.mark.normative_v311("MQTT-3.1.3-8", "MQTT-3.1.3-9", "MQTT-3.2.2-5", "MQTT-3.2.2-4")
async def test_no_identifier_for_a_session_that_is_kept_is_refused(opened: Open) -> None:
    client = await opened(V311)
    await client.send(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00")
    answer = await client.expect(ConnAck)
    assert (answer.reason_code, answer.session_present) == (
        ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
        False,
    )
    await client.expect_closed()


@pytest.mark.normative_v311("MQTT-3.2.2-6", "MQTT-3.1.4-1")
@pytest.mark.parametrize(
    "connect",
    [
        b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01c",  # the reserved flag is set
        b"\x10\x0d\x00\x04MQTT\x04\x1a\x00\x3c\x00\x01c",  # a will of QoS 3 that is not there
        b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02\xff\xff",  # no UTF-8
        b"\x11\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c",  # flags of the fixed header
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x01",  # an identifier cut off
    ],
)
async def test_what_no_return_code_describes_is_closed_without_connack(
    opened: Open, connect: bytes
) -> None:
    client = await opened(V311)
    await client.send(connect)
    await client.expect_closed()
