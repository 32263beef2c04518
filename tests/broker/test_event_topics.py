"""On request, who comes and goes is told by messages, as aedes does: to those who may read them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.broker.raw import V5, Raw
from tests.inside import core_of
from trio_mqtt import BrokerOptions, ConfigurationError, Limits, Security
from trio_mqtt.events import ClientConnected
from trio_mqtt.testing import MemoryBroker, open_memory_broker

NAMED = BrokerOptions(event_topics="b1", heartbeat_interval=30)


@asynccontextmanager
async def watcher(
    options: BrokerOptions = NAMED, topic: str = "$SYS/b1/#", security: Security | None = None
) -> AsyncIterator[tuple[MemoryBroker, Raw]]:
    async with open_memory_broker(options=options, security=security) as memory:
        client = await joined(memory, "watcher")
        await client.subscribe(topic)
        await client.messages(0.05)  # its own coming and subscribing
        yield memory, client


async def joined(memory: MemoryBroker, client_id: str) -> Raw:
    client = Raw(memory.connect(), V5)
    await client.connect(client_id)
    return client


async def told(client: Raw, seconds: float = 0.05) -> list[tuple[str, str]]:
    return [
        (one.topic.removeprefix("$SYS/b1/"), one.payload.decode())
        for one in await client.messages(seconds)
    ]


async def test_who_comes_subscribes_and_goes_is_told() -> None:
    async with watcher() as (memory, client):
        other = await joined(memory, "ö")
        assert await told(client) == [("new/clients", "ö")]
        await other.subscribe("a", "b/#", qos=1)
        await other.unsubscribe("a")
        await other.disconnect()
        found = await told(client)
    assert [topic for topic, _ in found] == ["new/subscribes", "new/unsubscribes",
                                             "disconnect/clients"]  # fmt: skip
    assert json.loads(found[0][1]) == {
        "clientId": "ö",
        "subs": [{"topic": "a", "qos": 1}, {"topic": "b/#", "qos": 1}],
    }
    assert json.loads(found[1][1]) == {"clientId": "ö", "subs": ["a"]}
    assert found[2][1] == "ö"


async def test_a_slow_client_is_named() -> None:
    async with open_memory_broker(
        options=NAMED, limits=Limits(maximum_queued_messages=10)
    ) as memory:
        client = await joined(memory, "watcher")
        await client.subscribe("$SYS/b1/slow/#", "$SYS/broker/clients/slow")
        assert await values_of(client) == ["0"]
        away = Raw(memory.connect(), V5)
        await away.connect("away", expiry=100)
        await away.subscribe("t", qos=1)
        await away.drop()
        for _ in range(12):
            await memory.broker.publish("t", b"x", qos=1)
        (found,) = await told(client)
        await trio.sleep(10)
        assert await values_of(client) == ["1"]
    assert found[0] == "slow/clients"
    slow = json.loads(found[1])
    assert (slow["clientId"], slow["connected"], slow["messages"]) == ("away", False, 10)
    assert slow["bytes"] > 0


async def values_of(client: Raw) -> list[str]:
    return [one.payload.decode() for one in await client.messages(0.05)]


async def test_the_broker_says_that_it_lives() -> None:
    async with watcher() as (_, client):
        await trio.sleep(91)
        assert await told(client) == [("heartbeat", "b1")] * 3


async def test_nothing_is_told_unless_it_is_asked_for() -> None:
    async with watcher(BrokerOptions(), "$SYS/+/new/#") as (memory, client):
        await joined(memory, "other")
        assert await told(client) == []
        assert ClientConnected not in core_of(memory.broker).event_streams.wanted


async def test_it_can_be_asked_for_while_the_broker_runs() -> None:
    async with watcher(BrokerOptions()) as (memory, client):
        await memory.broker.reconfigure(options=NAMED)
        await joined(memory, "other")
        await trio.sleep(31)
        assert await told(client) == [("new/clients", "other"), ("heartbeat", "b1")]
        await memory.broker.reconfigure(options=BrokerOptions())
        await joined(memory, "third")
        await trio.sleep(100)
        assert await told(client) == []


async def test_only_those_are_told_who_may_read_it(tmp_path: Path) -> None:
    rules = tmp_path / "access"
    rules.write_text("topic readwrite #\ntopic read $SYS/broker/#\n")
    security = Security(access=rules, allow_anonymous=True)
    async with watcher(security=security) as (memory, client):
        await joined(memory, "other")
        assert await told(client) == []


async def test_nobody_waits_for_what_nobody_reads() -> None:
    async with open_memory_broker(options=NAMED) as memory:
        await joined(memory, "other")
        await trio.sleep(100)
        assert memory.broker.statistics.messages_received == 0


@pytest.mark.parametrize("name", ["", "a/b", "+", "broker"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="event_topics is one level"):
        BrokerOptions(event_topics=name)
    with pytest.raises(ConfigurationError, match="more than 0"):
        BrokerOptions(heartbeat_interval=0.0)
