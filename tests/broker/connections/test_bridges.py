"""Bridges of MQTT 3, which say by the highest bit of the protocol level that they are bridges."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import V31, V311, Raw
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect
from trio_mqtt.protocol.reason_codes import ReasonCode

from .test_connect import Opened

MQTT_3 = pytest.mark.parametrize("version", [V31, V311], ids=lambda version: version.text)


async def bridge(opened: Opened, version: ProtocolVersion, *, clean_start: bool = True) -> Raw:
    """A bridge that has connected."""
    client = opened(version)
    await client.send(Connect("bridge", clean_start, 0, version, is_bridge=True))
    answer = await client.expect(ConnAck)
    assert answer.reason_code == ReasonCode.SUCCESS
    assert answer.session_present == (version == V311 and not clean_start)
    return client


@MQTT_3
async def test_a_bridge_hears_no_echo_and_what_is_retained_as_such(
    opened: Opened, join: Join, version: ProtocolVersion
) -> None:
    one = await bridge(opened, version)
    other = await join("other", V311)
    await one.subscribe("#", qos=1)
    await other.subscribe("#", qos=1)
    await one.publish("a", b"of the bridge", retain=True)
    await other.publish("b", b"of the other", retain=True)
    told = [(message.topic, message.retain) for message in await one.messages()]
    assert told == [("b", True)]
    assert sorted((m.topic, m.retain) for m in await other.messages()) == [
        ("a", False),
        ("b", False),
    ]


@MQTT_3
async def test_a_bridge_may_share_a_subscription(opened: Opened, version: ProtocolVersion) -> None:
    """No local cannot be asked for there (MQTT 5.0 §3.8.3.1): it gets its own messages too."""
    one = await bridge(opened, version)
    assert await one.subscribe("$share/all/a", qos=1) == [ReasonCode.GRANTED_QOS_1]
    await one.publish("a", b"x")
    assert [message.topic for message in await one.messages()] == ["a"]


async def test_a_subscription_is_that_of_a_bridge_for_as_long_as_it_stands(
    opened: Opened, join: Join
) -> None:
    one = await join("bridge", V311, clean_start=False)
    await one.subscribe("#", qos=1)
    await one.disconnect()
    two = await bridge(opened, V311, clean_start=False)
    await two.publish("a", b"asked for as a client")
    assert [message.topic for message in await two.messages()] == ["a"]
    await two.subscribe("#", qos=1)
    await two.publish("a", b"asked for as a bridge")
    assert await two.messages() == []
