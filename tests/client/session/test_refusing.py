"""A program acknowledges with a reason code of its choice, in the order of the messages."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt import LocalProtocolError, ReasonCode
from trio_mqtt.protocol.packets import ConnAck, Connect, PubAck, PubComp, PubRec, PubRel

pytestmark = pytest.mark.anyio

FULL = ReasonCode.QUOTA_EXCEEDED
ILL_FORMED = ReasonCode.PAYLOAD_FORMAT_INVALID
KINDS: dict[int, type[PubAck] | type[PubRec]] = {1: PubAck, 2: PubRec}
TOGETHER: Any = {"qos": 2, "manual_acknowledgement": True}
KEPT: Any = {"client_id": "me", "clean_start": False, "session_expiry_interval": 60}


def said(peer: Peer, qos: int) -> list[tuple[int, ReasonCode, str]]:
    return [
        (one.packet_id, one.reason_code, one.properties.get("reason_string", ""))
        for one in peer.all(KINDS[qos])
    ]


def ends_at_a_refusal(broker: FakeBroker) -> None:
    """PUBREL comes only where PUBREC did not refuse (§4.3.3)."""

    def on_pubrec(peer: Peer, packet: PubRec) -> None:
        if not packet.reason_code.is_failure:
            peer.send(PubRel(packet.packet_id))

    broker.answers[PubRec] = on_pubrec


@pytest.mark.parametrize("qos", [1, 2])
async def test_the_reasons_leave_in_the_order_of_the_messages(broker: FakeBroker, qos: int) -> None:
    ends_at_a_refusal(broker)
    async with broker.client() as client, client.subscribe("t", **TOGETHER) as messages:
        broker.peer.publish("t", b"1", b"2", b"3", qos=qos)
        first, second, third = [await anext(messages) for _ in range(3)]
        await third.ack()
        await second.ack(FULL, reason_string="come later")
        await anyio.wait_all_tasks_blocked()
        assert said(broker.peer, qos) == []
        await first.ack(ILL_FORMED)
        for _ in range(3):
            await broker.peer.expect(KINDS[qos])
        assert said(broker.peer, qos) == [
            (1, ILL_FORMED, ""),
            (2, FULL, "come later"),
            (3, ReasonCode.SUCCESS, ""),
        ]
        if qos == 2:
            assert (await broker.peer.expect(PubComp)).packet_id == 3
        await second.ack()  # it has been
    assert len(said(broker.peer, qos)) == 3


async def test_a_refused_identifier_may_be_of_another_message(broker: FakeBroker) -> None:
    ends_at_a_refusal(broker)
    options = {"properties": {"receive_maximum": 1}}
    async with (
        broker.client(**options) as client,
        client.subscribe("t", **TOGETHER) as messages,
    ):
        for payload in (b"1", b"2", b"3"):
            broker.peer.publish("t", payload, qos=2, packet_id=7)
            message = await anext(messages)
            assert message.payload == payload
            await message.ack(FULL)
            await broker.peer.expect(PubRec)


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_refusal_that_the_broker_missed_is_asked_for_again(
    broker: FakeBroker, qos: int
) -> None:
    ends_at_a_refusal(broker)
    async with (
        broker.client(**KEPT) as client,
        client.subscribe("t", **TOGETHER) as messages,
    ):
        broker.connack = ConnAck(session_present=True)
        broker.peer.publish("t", b"1", qos=qos)
        message = await anext(messages)
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        await message.ack(FULL)
        broker.down = False
        peer = await broker.connection(2)
        peer.publish("t", b"1", qos=qos, dup=True)
        await (await anext(messages)).ack(FULL)
        await peer.expect(KINDS[qos])
        assert said(peer, qos) == [(1, FULL, "")]


async def test_of_several_subscriptions_the_first_refusal_is_told(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"subscription_identifier_available": 0})
    async with (
        broker.client() as client,
        client.subscribe("t", **TOGETHER) as some,
        client.subscribe("t", **TOGETHER) as others,
    ):
        broker.peer.publish("t", b"1", qos=1)
        await (await anext(some)).ack(FULL)
        await (await anext(others)).ack(ILL_FORMED)
        await broker.peer.expect(PubAck)
        assert said(broker.peer, 1) == [(1, FULL, "")]


async def test_words_that_the_broker_cannot_take_are_left_out(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"maximum_packet_size": 100})
    async with broker.client() as client, client.subscribe("t", **TOGETHER) as messages:
        broker.peer.publish("t", b"1", qos=1)
        await (await anext(messages)).ack(FULL, reason_string="x" * 100)
        await broker.peer.expect(PubAck)
        assert said(broker.peer, 1) == [(1, FULL, "")]


@pytest.mark.parametrize(
    ("code", "text", "kind", "sentence"),
    [
        (ReasonCode.NO_MATCHING_SUBSCRIBERS, "", LocalProtocolError, "with the reason 0x10"),
        (ReasonCode.SERVER_BUSY, "", LocalProtocolError, "with the reason 0x89"),
        ("no", "", TypeError, "A reason code is a ReasonCode, not str"),
        (FULL, 7, TypeError, "A reason string is a str, not int"),
        (FULL, "\0", LocalProtocolError, "must not hold the null character"),
    ],
)
async def test_what_cannot_be_said_acknowledges_nothing(
    broker: FakeBroker,
    code: Any,  # noqa: ANN401 # nothing that it should be
    text: Any,  # noqa: ANN401
    kind: type[Exception],
    sentence: str,
) -> None:
    async with broker.client() as client, client.subscribe("t", **TOGETHER) as messages:
        broker.peer.publish("t", b"1", qos=1)
        message = await anext(messages)
        with pytest.raises(kind, match=sentence):
            await message.ack(code, reason_string=text)
        assert said(broker.peer, 1) == []
        await message.ack(FULL)
        await broker.peer.expect(PubAck)


async def test_mqtt_3_cannot_refuse(broker: FakeBroker) -> None:
    async with (
        broker.client(protocol_version=4) as client,
        client.subscribe("t", **TOGETHER) as messages,
    ):
        broker.peer.publish("t", b"1", qos=1)
        message = await anext(messages)
        with pytest.raises(LocalProtocolError, match=r"MQTT 3\.1\.1 acknowledges without a reason"):
            await message.ack(FULL)
        await message.ack()
        await broker.peer.expect(PubAck)
    assert broker.peer.all(Connect)[0].protocol_version == 4
