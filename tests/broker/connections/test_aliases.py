"""Topic aliases (MQTT 5.0 §3.3.2.3.4): they end at the connection that set them."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.reason_codes import ReasonCode


@pytest.mark.normative("MQTT-3.3.2-12", "MQTT-3.1.2-27")
async def test_a_message_by_alias_arrives_whole_and_without_the_alias(join: Join) -> None:
    client = await join()
    await client.subscribe("#", qos=1)
    await client.send(
        Publish("a", b"1", properties={"topic_alias": 7}),
        Publish("", b"2", properties={"topic_alias": 7}),
        Publish("b", b"3", properties={"topic_alias": 7}),
        Publish("", b"4", properties={"topic_alias": 7, "content_type": "text"}),
    )
    found = await client.messages()
    assert [(m.topic, m.payload) for m in found] == [
        ("a", b"1"),
        ("a", b"2"),
        ("b", b"3"),
        ("b", b"4"),
    ]
    assert [m.properties for m in found] == [{}, {}, {}, {"content_type": "text"}]


@pytest.mark.normative("MQTT-3.3.2-7", "MQTT-3.3.2-9", "MQTT-3.3.2-10")
@pytest.mark.parametrize(
    ("topic", "alias", "code"),
    [
        ("", 1, ReasonCode.PROTOCOL_ERROR),
        ("t", 65, ReasonCode.TOPIC_ALIAS_INVALID),
        ("t", 0, ReasonCode.TOPIC_ALIAS_INVALID),
    ],
)
async def test_an_alias_that_means_nothing_ends_the_connection(
    join: Join, topic: str, alias: int, code: ReasonCode
) -> None:
    client = await join()
    assert client.connack is not None
    assert client.connack.properties["topic_alias_maximum"] == 64
    raw = (
        b"\x00" + len(topic).to_bytes(1, "big") + topic.encode() + b"\x03\x23\x00" + bytes([alias])
    )
    await client.send(b"\x30" + bytes([len(raw)]) + raw)
    await client.expect_disconnect(code)
