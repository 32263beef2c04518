"""What happens is in the log: as far as the loggers take it, and a storm in few lines."""

from __future__ import annotations

import logging
import math

import pytest
import trio

from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import BrokerOptions, Limits
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.events.kinds import SlowConsumer
from trio_mqtt.broker.events.log import PAYLOADS, levels_changed
from trio_mqtt.broker.log_lines import WINDOW
from trio_mqtt.protocol.packets import ConnAck, Connect, Will
from trio_mqtt.testing import MemoryBroker, open_memory_broker


def lines(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == f"trio_mqtt.{part}"]


async def joined(memory: MemoryBroker, client_id: str, peer: str = "10.0.0.1:5000") -> Raw:
    client = Raw(memory.connect(peer=peer), V5)
    await client.connect(client_id)
    return client


async def test_who_comes_and_goes_is_told_with_address_user_and_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with open_memory_broker() as memory:
        first = Raw(memory.connect(peer="10.0.0.1:5000"), V311)
        await first.send(Connect("c\n1", username="ann"))
        await first.expect(ConnAck)
        await first.disconnect()
        await joined(memory, "c2")
        await joined(memory, "c2", "10.0.0.2:6")
        stranger = memory.connect(peer="10.0.0.3:7")
        await stranger.send_all(b"GET / HTTP/1.1\r\n")
        await trio.testing.wait_all_tasks_blocked()
    told = lines(caplog, "connections")
    assert told == [
        r"'c\n1' connected from 10.0.0.1:5000, MQTT 3.1.1, user 'ann'",
        r"'c\n1' (10.0.0.1:5000) disconnected: it said goodbye",
        "'c2' connected from 10.0.0.1:5000, MQTT 5",
        "'c2' connected from 10.0.0.2:6, MQTT 5",
        "'c2' (10.0.0.1:5000) disconnected: another client came with the same identifier",
        "10.0.0.3:7 was turned away: the first packet is not CONNECT",
        "'c2' (10.0.0.2:6) disconnected: the broker is shutting down",
    ]
    record = next(one for one in caplog.records if "disconnected" in one.getMessage())
    expected = {
        "event": "disconnected",
        "client_id": "c\n1",
        "address": "10.0.0.1:5000",
        "username": "ann",
        "reason": "",
    }
    assert {name: getattr(record, name) for name in expected} == expected


async def test_what_clients_do_is_told_as_far_as_it_is_asked_for(
    caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_memory_broker(
        limits=Limits(maximum_topic_levels=2), options=BrokerOptions(retain_available=True)
    ) as memory:
        client = await joined(memory, "c")
        await client.subscribe("a/b")
        await client.subscribe("a/b/c")
        await client.publish("a/b", b"secret")
        await client.expect_message("a/b", b"secret")
        await client.unsubscribe("a/b")
        other = Raw(memory.connect(peer="10.0.0.2:6"), V5)
        await other.connect("w", will=Will("gone", b"x"), properties={"session_expiry_interval": 5})
        await other.stream.aclose()
        await trio.sleep(10)
    assert lines(caplog, "subscriptions") == [
        "'c' subscribed to 'a/b' at QoS 0",
        "'c' was refused to subscribe to 'a/b/c': this broker takes topics of 2 levels at most",
        "'c' unsubscribed from 'a/b'",
    ]
    assert lines(caplog, "messages") == [
        "'c' published 6 bytes to 'a/b' at QoS 0",
        "'c' was sent 'a/b' at QoS 0",
        "'w' published 1 bytes to 'gone' at QoS 0",
        "The will of 'w' was published to 'gone'",
    ]
    assert lines(caplog, "sessions") == [
        "The session of 'w' ended: its client was away for too long"
    ]
    assert "secret" not in caplog.text
    assert all(not hasattr(one, "payload") for one in caplog.records)


async def test_payloads_are_told_to_those_who_ask_for_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    PAYLOADS.setLevel(logging.DEBUG)
    try:
        async with open_memory_broker() as memory:
            await memory.broker.publish("t", b"x" * 300)
    finally:
        PAYLOADS.setLevel(logging.NOTSET)
    (line,) = lines(caplog, "messages")
    assert line == f"the broker published 300 bytes to 't' at QoS 0: {b'x' * 200!r}"


async def test_nothing_is_followed_that_no_logger_takes(caplog: pytest.LogCaptureFixture) -> None:
    async with open_memory_broker() as memory:
        wanted = core_of(memory.broker).event_streams
        assert wanted.wanted == {SlowConsumer}  # a warning, of one client once a minute
        caplog.set_level(logging.INFO, "trio_mqtt.subscriptions")
        assert wanted.wanted == {SlowConsumer}
        levels_changed()
        assert {kind.__name__ for kind in wanted.wanted} == {
            "SlowConsumer", "Subscribed", "Unsubscribed", "SubscriptionRefused"
        }  # fmt: skip


async def test_other_levels_count_within_a_minute(
    caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    async with open_memory_broker() as memory:
        caplog.set_level(logging.INFO, "trio_mqtt.connections")
        await trio.sleep(60)
        await joined(memory, "c")
    assert lines(caplog, "connections")[0] == "'c' connected from 10.0.0.1:5000, MQTT 5"


async def test_a_storm_of_one_kind_is_summed_up(
    caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    caplog.set_level(logging.INFO)
    async with open_memory_broker(limits=Limits(maximum_connects_per_minute=math.inf)) as memory:
        for _ in range(100):
            client = await joined(memory, "c")
            await client.disconnect()
            await trio.testing.wait_all_tasks_blocked()
        await joined(memory, "other")
        await trio.sleep(WINDOW + 1)
        told = lines(caplog, "connections")
    assert len(told) == 22
    assert told[-2:] == [
        "'other' connected from 10.0.0.1:5000, MQTT 5",
        (
            "180 more in the last minute are not shown. Most of them: 'c' connected: 90;"
            " 'c' disconnected: 90"
        ),
    ]


async def test_strangers_cannot_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with open_memory_broker() as memory:
        for number in range(100):
            await memory.connect(peer=f"10.0.0.1:{number}").aclose()
        await trio.testing.wait_all_tasks_blocked()
    told = lines(caplog, "connections")
    assert len(told) == 6
    assert told[-1] == (
        "95 more in the last minute are not shown. Most of them: 10.0.0.1 turned away: 95"
    )


async def test_what_access_refuses_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    security = Security(authentication_required=True)
    async with open_memory_broker(security=security) as memory:
        client = Raw(memory.connect(peer="10.0.0.1:5"), V5)
        await client.send(Connect("c"))
        await trio.testing.wait_all_tasks_blocked()
    assert len(lines(caplog, "access")) == 1
    assert lines(caplog, "connections") == []
