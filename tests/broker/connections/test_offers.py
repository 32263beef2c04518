"""What the broker does not offer: told in CONNACK, and refused (MQTT 5.0 §3.2.2.3)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311, Open, Raw
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.errors import ConfigurationError, LocalProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Publish,
    Subscribe,
    Subscription,
    Will,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker

TOLD = {
    "maximum_qos",
    "retain_available",
    "wildcard_subscription_available",
    "subscription_identifier_available",
    "shared_subscription_available",
}


async def test_a_broker_that_offers_all_says_nothing_of_it(join: Join) -> None:
    client = await join()
    assert client.connack is not None
    assert not TOLD & client.connack.properties.keys()


def test_there_is_no_qos_3() -> None:
    with pytest.raises(ConfigurationError):
        BrokerOptions(maximum_qos=3)


class TestWithNothing:
    @pytest.fixture
    def options(self) -> BrokerOptions:
        return BrokerOptions(
            maximum_qos=0,
            retain_available=False,
            wildcard_subscription_available=False,
            subscription_identifier_available=False,
            shared_subscription_available=False,
        )

    async def test_all_of_it_is_told(self, join: Join) -> None:
        client = await join()
        assert client.connack is not None
        told = {k: v for k, v in client.connack.properties.items() if k in TOLD}
        assert told == dict.fromkeys(TOLD, 0)

    @pytest.mark.normative("MQTT-3.2.2-9", "MQTT-3.2.2-10")
    @pytest.mark.parametrize("qos", [0, 1, 2])
    async def test_any_subscription_is_granted_at_most_the_maximum(
        self, join: Join, version: ProtocolVersion, broker: Broker, qos: int
    ) -> None:
        client = await join("c", version)
        assert await client.subscribe("t", qos=qos) == [0]
        await broker.publish("t", b"x", qos=2)
        await client.expect_message("t", b"x", 0)

    async def test_the_program_cannot_retain_either(self, broker: Broker) -> None:
        with pytest.raises(LocalProtocolError, match="retained"):
            await broker.publish("t", b"x", retain=True)

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            (Publish("t", b"x", 1, packet_id=1), ReasonCode.QOS_NOT_SUPPORTED),
            (Publish("t", b"x", 2, packet_id=1), ReasonCode.QOS_NOT_SUPPORTED),
            (Publish("t", b"x", retain=True), ReasonCode.RETAIN_NOT_SUPPORTED),
            (Publish("t", b"", retain=True), ReasonCode.RETAIN_NOT_SUPPORTED),
        ],
    )
    async def test_who_publishes_it_is_disconnected_and_what_came_before_counts(
        self,
        join: Join,
        broker: Broker,
        version: ProtocolVersion,
        message: Publish,
        code: ReasonCode,
    ) -> None:
        client = await join("c", version)
        watcher = await join("w")
        await watcher.subscribe("t")
        await client.send(Publish("t", b"before"), message, Publish("t", b"after"))
        await client.expect_disconnect(code)
        assert await watcher.payloads() == [b"before"]
        assert len(core_of(broker).retained) == 0

    async def test_what_comes_with_connect_is_held_to_it_too(self, opened: Open) -> None:
        client = opened()
        await client.send(Connect("c"), Publish("t", b"x", retain=True))
        await client.expect(ConnAck)
        await client.expect_disconnect(ReasonCode.RETAIN_NOT_SUPPORTED)

    @pytest.mark.normative("MQTT-3.2.2-12", "MQTT-3.2.2-13")
    @pytest.mark.parametrize(
        ("will", "code"),
        [
            (Will("t", b"x", 1), ReasonCode.QOS_NOT_SUPPORTED),
            (Will("t", b"x", retain=True), ReasonCode.RETAIN_NOT_SUPPORTED),
        ],
    )
    async def test_a_will_that_asks_too_much_is_refused_with_its_connection(
        self,
        opened: Open,
        broker: Broker,
        version: ProtocolVersion,
        will: Will,
        code: ReasonCode,
    ) -> None:
        client = opened(version)
        await client.send(Connect("c", protocol_version=version, will=will))
        answer = await client.expect(ConnAck)
        assert answer.reason_code == (code if version == V5 else ReasonCode.SERVER_UNAVAILABLE)
        await client.expect_closed()
        assert len(core_of(broker).sessions) == 0

    @pytest.mark.parametrize(
        ("topic_filter", "code"),
        [
            ("a/#", ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED),
            ("+", ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED),
            ("$share/g/t", ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED),
            ("$share/g/#", ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED),
        ],
    )
    async def test_who_subscribes_to_it_is_refused_as_its_version_can_say(
        self, join: Join, broker: Broker, topic_filter: str, code: ReasonCode
    ) -> None:
        client = await join("c")
        await client.send(Subscribe(1, [Subscription("t"), Subscription(topic_filter)]))
        await client.expect_disconnect(code)
        old = await join("old", V311)
        assert await old.subscribe("t", topic_filter) == [0, 0x80]
        assert broker.statistics.subscriptions == 1

    async def test_who_sends_a_subscription_identifier_is_disconnected(self, join: Join) -> None:
        client = await join("c")
        properties = {"subscription_identifier": [7]}
        await client.send(Subscribe(1, [Subscription("t")], properties))  # type: ignore[arg-type]  # a literal
        goodbye = await client.expect(Disconnect)
        assert goodbye.reason_code == ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
        assert goodbye.properties["reason_string"]


class TestWithQoS1:
    @pytest.fixture
    def options(self) -> BrokerOptions:
        return BrokerOptions(maximum_qos=1)

    async def test_what_is_within_the_maximum_passes(
        self, join: Join, version: ProtocolVersion
    ) -> None:
        client = await join("c", version)
        assert await client.subscribe("t", qos=2) == [1]
        await client.publish("t", b"0", 0, retain=True)
        await client.send(Publish("t", b"1", 1, packet_id=9))
        assert [(m.payload, m.qos) for m in await client.take()] == [(b"0", 0), (b"1", 1)]


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("shared_strategy", "sticky", "a trio_mqtt.SharedStrategy"),
        ("maximum_qos", "1", "a number"),
        ("maximum_qos", True, "a number"),
        ("retain_available", "no", "True or False"),
        ("retain_available", 0, "True or False"),
        ("check_payload_format", None, "True or False"),
        ("response_topic_prefix", 3, "a str or None"),
        ("system_topics_interval", "10", "a number"),
        ("server_reference", b"other", "a str or None"),
    ],
)
def test_options_of_another_kind_are_refused(option: str, value: object, sentence: str) -> None:
    arguments: dict[str, Any] = {option: value}
    expected = f"^{option} is {re.escape(sentence)}, not {re.escape(repr(value))}.$"
    with pytest.raises(TypeError, match=expected):
        BrokerOptions(**arguments)


def test_who_has_moved_says_where_to() -> None:
    with pytest.raises(ConfigurationError, match="server_reference"):
        BrokerOptions(server_moved=True)


async def test_a_run_of_qos_1_is_refused_where_qos_0_is_all_that_is_offered() -> None:
    async with open_memory_broker(options=BrokerOptions(maximum_qos=0)) as memory:
        client = Raw(memory.connect(), V5)
        await client.connect()
        await client.send(*[Publish("t", b"x", 1, packet_id=at) for at in (1, 2, 3)])
        await client.expect_disconnect(ReasonCode.QOS_NOT_SUPPORTED)
