"""Limits that no broker can keep to are refused in a sentence, when they are made."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any

import pytest

from tests.broker.conftest import Join
from tests.inside import idle_broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    Disconnect,
    Packet,
    Publish,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

NAMES = [field.name for field in fields(Limits)]
TIMES = [field.name for field in fields(Limits) if isinstance(field.default, float)]
NUMBERS = [name for name in NAMES if name not in TIMES]
MAY_BE_0 = {
    "topic_alias_maximum",
    "client_topic_alias_maximum",
    "maximum_user_properties",
    "maximum_subscriptions",
    "maximum_session_expiry",
    "maximum_retained_messages",
    "maximum_retained_per_client",
    "maximum_retained_bytes",
    "maximum_will_bytes",
    "maximum_will_bytes_per_user",
    "drain_timeout",
    "goodbye_timeout",
}


def limits(name: str, value: object) -> Limits:
    arguments: dict[str, Any] = {name: value}
    return Limits(**arguments)


@pytest.mark.parametrize("name", NAMES)
def test_no_limit_is_negative(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is .* not -5.$"):
        limits(name, -5)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_is_0_only_where_the_broker_can_do_without(name: str) -> None:
    if name in MAY_BE_0:
        assert getattr(limits(name, 0), name) == 0
    else:
        with pytest.raises(ConfigurationError, match=f"^{name} is .* not 0.$"):
            limits(name, 0)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("receive_maximum", 1, 65_535),
        ("maximum_in_flight", 1, 65_535),
        ("topic_alias_maximum", 0, 65_535),
        ("client_topic_alias_maximum", 0, 65_535),
        ("maximum_keep_alive", 1, 65_535),
        ("maximum_packet_size", 64, 268_435_460),
        ("maximum_connect_size", 64, 268_435_460),
        ("maximum_session_expiry", 0, 0xFFFF_FFFF),
        ("maximum_client_identifier", 23, 65_535),
    ],
)
def test_what_the_standard_gives_a_range_stays_in_it(name: str, least: int, most: int) -> None:
    for value in (least, most):
        assert getattr(limits(name, value), name) == value
    for value in (least - 1, most + 1):
        sentence = f"{name} is from {least:,} to {most:,}, not {value:,}."
        with pytest.raises(ConfigurationError, match=f"^{re.escape(sentence)}$"):
            limits(name, value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["10", None, True, b"1"])
def test_a_limit_is_a_number(name: str, value: object) -> None:
    wanted = (
        r"a number of (seconds|bytes|\w+ a (second|minute))" if name in TIMES else "a whole number"
    )
    with pytest.raises(TypeError, match=f"^{name} is {wanted}, not {re.escape(repr(value))}.$"):
        limits(name, value)


def test_times_may_be_parts_of_seconds_or_have_no_end_and_numbers_may_not() -> None:
    for name in TIMES:
        for value in (1, 0.5, math.inf):
            assert getattr(limits(name, value), name) == value
        with pytest.raises(ConfigurationError, match="not nan"):
            limits(name, math.nan)
    for name in NUMBERS:
        with pytest.raises(TypeError, match=r"a whole number, not 1000\.5"):
            limits(name, 1000.5)


def test_who_follows_what_happens_holds_at_least_one_event() -> None:
    broker = idle_broker()
    for follow in (broker.sample, broker.events):
        for limit in (0, -5):
            with pytest.raises(ConfigurationError, match=f"^limit is 1 or more, not {limit}.$"):
                follow(limit=limit)


class TestUserProperties:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_user_properties=3)

    @pytest.mark.parametrize("kind", ["PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT"])
    async def test_who_sends_too_many_is_told_how_many_it_may(self, join: Join, kind: str) -> None:
        watcher = await join("watcher")
        await watcher.subscribe("gone")
        for count in (3, 4):
            client = await join("c", will=Will("gone"))
            many: Properties = {"user_property": [("k", str(n)) for n in range(count)]}
            packets: dict[str, Packet] = {
                "PUBLISH": Publish("t", properties=many),
                "SUBSCRIBE": Subscribe(1, [Subscription("t")], many),
                "UNSUBSCRIBE": Unsubscribe(1, ["t"], many),
                "DISCONNECT": Disconnect(properties=many),
            }
            await client.send(packets[kind])
            if count == 3 and kind == "DISCONNECT":
                await client.expect_closed()
            elif count == 3:
                await client.drain()
                await client.ping()
                await client.disconnect()
            else:
                goodbye = await client.expect_disconnect(ReasonCode.QUOTA_EXCEEDED)
                assert goodbye is not None
                reason = goodbye.properties["reason_string"]
                assert reason == f"{kind} carries user_property more than 3 times"
        await watcher.expect_message("gone", b"")  # once, for the one who sent too many
        await watcher.expect_nothing()

    async def test_a_will_counts_by_itself(self, join: Join) -> None:
        three: Properties = {"user_property": [("k", "v")] * 3}
        await join("c", ProtocolVersion.V5, will=Will("w", properties=three), properties=three)
