"""What the program publishes that the broker is part of."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from trio_mqtt import Broker
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.properties import Properties


@pytest.mark.parametrize(
    ("topic", "payload", "qos", "properties"),
    [
        ("", b"", 0, {}),
        ("a/#", b"", 0, {}),
        ("t", b"", 3, {}),
        ("t", b"", 0, {"topic_alias": 1}),
        ("t", b"", 0, {"subscription_identifier": [1]}),
        ("t", b"", 0, {"server_keep_alive": 1}),
        ("t", b"", 0, {"payload_format_indicator": 2}),
        ("t", b"x" * 16 * 1024 * 1024, 0, {}),
    ],
)
async def test_what_mqtt_forbids_cannot_be_published_by_the_program_either(
    join: Join, broker: Broker, topic: str, payload: bytes, qos: int, properties: Properties
) -> None:
    client = await join("c")
    await client.subscribe("#")
    with pytest.raises(LocalProtocolError):
        await broker.publish(topic, payload, qos=qos, properties=properties)
    await client.expect_nothing()
