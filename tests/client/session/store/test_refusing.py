"""What a program refuses is refused in its turn, and not kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.client.fake_broker import FakeBroker
from tests.client.session.test_refusing import ends_at_a_refusal
from trio_mqtt import Client, ReasonCode
from trio_mqtt.protocol.packets import ConnAck, PubRec

pytestmark = pytest.mark.anyio

FULL = ReasonCode.QUOTA_EXCEEDED


async def test_a_refusal_waits_for_those_before_it(
    broker: FakeBroker, client: Callable[..., AbstractAsyncContextManager[Client]]
) -> None:
    ends_at_a_refusal(broker)
    async with (
        client() as one,
        one.subscribe("t", qos=2, manual_acknowledgement=True) as messages,
    ):
        broker.peer.publish("t", b"1", b"2", b"3", qos=2)
        for code in (ReasonCode.SUCCESS, FULL, ReasonCode.SUCCESS):
            await (await anext(messages)).ack(code)
        answers = [await broker.peer.expect(PubRec) for _ in range(3)]
        assert [(one.packet_id, int(one.reason_code)) for one in answers] == [
            (1, 0), (2, FULL), (3, 0),
        ]  # fmt: skip
    broker.connack = ConnAck(session_present=True)
    async with (
        client() as one,
        one.subscribe("t", qos=2, manual_acknowledgement=True) as messages,
    ):
        broker.peer.publish("t", b"new", qos=2, packet_id=2)
        assert (await anext(messages)).payload == b"new"
