"""A broker that breaks the rules is told so in MQTT 5, and the client makes its connection anew."""

from __future__ import annotations

import pytest

from tests.client.fake_broker import FakeBroker
from trio_mqtt import ReasonCode
from trio_mqtt.protocol.packets import Disconnect

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
