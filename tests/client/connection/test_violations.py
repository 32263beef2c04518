"""A broker that breaks the rules is told so in MQTT 5, and the client makes its connection anew."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from tests.client.fake_broker import FakeBroker
from trio_mqtt import Client, ReasonCode
from trio_mqtt.protocol.packets import (
    ConnAck,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

pytestmark = pytest.mark.anyio

PROTOCOL_ERROR, MALFORMED = ReasonCode.PROTOCOL_ERROR, ReasonCode.MALFORMED_PACKET


async def _is_told(broker: FakeBroker, data: bytes, code: ReasonCode) -> None:
    async with broker.client(properties={"topic_alias_maximum": 5}) as client:
        broker.peer.send_raw(data)
        await broker.connection(2)
        await client.publish("t", "still here", qos=1)
    [goodbye] = broker.peers[0].all(Disconnect)
    assert goodbye.reason_code is code


@pytest.mark.normative("MQTT-3.3.2-10", "MQTT-3.3.2-2", "MQTT-4.7.0-1", "MQTT-4.7.3-1")
@pytest.mark.normative("MQTT-3.3.2-8", "MQTT-3.3.2-14")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x30\x06\x00\x00\x03\x23\x00\x05", PROTOCOL_ERROR),
        (b"\x30\x07\x00\x01t\x03\x23\x00\x06", ReasonCode.TOPIC_ALIAS_INVALID),
        (b"\x30\x07\x00\x01t\x03\x23\x00\x00", ReasonCode.TOPIC_ALIAS_INVALID),
        (b"\x30\x03\x00\x00\x00", PROTOCOL_ERROR),
        (b"\x30\x06\x00\x03a/#\x00", MALFORMED),
        (b"\x30\x08\x00\x01t\x04\x08\x00\x01#", MALFORMED),
    ],
    ids=["alias never set", "alias 6 of 5", "alias 0", "empty", "wildcard", "response wildcard"],
)
async def test_a_message_without_a_right_topic_ends_the_connection(
    broker: FakeBroker, data: bytes, code: ReasonCode
) -> None:
    await _is_told(broker, data, code)


async def _publish(client: Client, qos: int) -> None:
    await client.publish("t", "x", qos=qos)


async def _is_sent_again(
    broker: FakeBroker, qos: int, replies: list[Callable[[int], Packet]], version: int
) -> None:
    """The client publishes, is answered so, makes its connection anew, and goes on in order."""
    broker.next_connacks += [ConnAck(), ConnAck(session_present=True)]
    async with (
        broker.client(client_id="c", clean_start=False, protocol_version=version) as client,
        anyio.create_task_group() as tasks,
    ):
        first = broker.peer
        first.mute = {Publish, PubRel}
        tasks.start_soon(_publish, client, qos)
        packet_id = (await first.expect(Publish)).packet_id
        for reply in replies:
            first.send(reply(packet_id))
            await anyio.wait_all_tasks_blocked()
        # The delivery stands as it was: it goes on where it had come to.
        second = await broker.connection(2)
        released = qos == 2 and PubRec in replies
        again = await second.expect(PubRel) if released else await second.expect(Publish)
        assert again.packet_id == packet_id
    said = [one.reason_code for one in first.all(Disconnect)]
    assert said == ([PROTOCOL_ERROR] if version == 5 else [])


@pytest.mark.normative("MQTT-4.13.1-1", "MQTT-2.2.1-5")
@pytest.mark.normative_v311("MQTT-4.8.0-1")
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("qos", "replies"),
    [
        (1, [PubRec]),
        (1, [PubComp]),
        (2, [PubAck]),
        (2, [PubComp]),
        (2, [PubRec, PubAck]),
    ],
    ids=["PUBREC at 1", "PUBCOMP at 1", "PUBACK at 2", "PUBCOMP for PUBLISH", "PUBACK for PUBREL"],
)
async def test_an_answer_that_does_not_fit_ends_the_connection(
    broker: FakeBroker, qos: int, replies: list[Callable[[int], Packet]], version: int
) -> None:
    await _is_sent_again(broker, qos, replies, version)


async def test_a_refusal_of_nothing_is_not_answered(broker: FakeBroker) -> None:
    async with broker.client() as client:
        broker.peer.send(PubRec(9, ReasonCode.QUOTA_EXCEEDED), PubRec(8))
        assert await broker.peer.expect(PubRel) == PubRel(8, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)
        await client.publish("t", "x", qos=1)
    assert len(broker.peer.all(PubRel)) == 1


@pytest.mark.normative("MQTT-4.13.1-1", "MQTT-4.3.3-4")
async def test_pubrel_before_pubrec_ends_the_connection(broker: FakeBroker) -> None:
    async with (
        broker.client() as client,
        client.subscribe("t", qos=2, manual_acknowledgement=True) as messages,
    ):
        first = broker.peer
        first.publish("t", b"1", qos=2)
        await anext(messages)  # not acknowledged
        first.send(PubRel(1))
        await broker.connection(2)
    assert first.all(PubRec) == []
    [goodbye] = first.all(Disconnect)
    assert goodbye.reason_code is PROTOCOL_ERROR


@pytest.mark.normative("MQTT-3.8.4-2", "MQTT-3.10.4-5", "MQTT-4.13.1-1")
@pytest.mark.parametrize("leaves", [False, True])
async def test_an_answer_to_another_request_ends_the_connection(
    broker: FakeBroker, leaves: bool
) -> None:
    async with broker.client() as client:
        first = broker.peer
        first.mute = {Unsubscribe if leaves else Subscribe}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_visit, client)
            if leaves:
                packet_id = (await first.expect(Unsubscribe)).packet_id
                first.send(SubAck(packet_id, [ReasonCode.SUCCESS]))
            else:
                packet_id = (await first.expect(Subscribe)).packet_id
                first.send(UnsubAck(packet_id, [ReasonCode.SUCCESS]))
            await broker.connection(2)
    [goodbye] = first.all(Disconnect)
    assert goodbye.reason_code is PROTOCOL_ERROR


async def _visit(client: Client) -> None:
    async with client.subscribe("t"):
        pass


@pytest.mark.normative("MQTT-3.8.4-6", "MQTT-3.9.3-1", "MQTT-4.13.1-1")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"\x90\x03\x00\x01\x00", PROTOCOL_ERROR),
        (b"\x90\x05\x00\x01\x00\x00\x00", PROTOCOL_ERROR),
        (b"\x90\x04\x00\x01\x00\x55", MALFORMED),
        (b"\x90\x02\x00\x01", MALFORMED),
    ],
    ids=["no code", "two codes for one", "a code that is none", "no properties"],
)
async def test_a_suback_that_cannot_be_is_a_violation_and_the_client_backs_off(
    broker: FakeBroker, answer: bytes, code: ReasonCode
) -> None:
    async with broker.client() as client:
        first = broker.peer
        first.mute = {Subscribe}
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_visit, client)
            await first.expect(Subscribe)
            first.send_raw(answer)
            await broker.connection(2)
        assert anyio.current_time() - began >= 0.05  # not at once
    [goodbye] = first.all(Disconnect)
    assert goodbye.reason_code is code
