"""`$SYS` tells how the broker fares, to those who ask, under Mosquitto's names."""

from __future__ import annotations

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import Raw
from trio_mqtt import BrokerOptions, LocalProtocolError
from trio_mqtt.broker.broker import Broker
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker


async def values(client: Raw, seconds: float = 0.05) -> dict[str, str]:
    return {
        m.topic.removeprefix("$SYS/broker/"): m.payload.decode()
        for m in await client.messages(seconds)
    }


async def test_who_subscribes_gets_the_values_as_they_are(join: Join, broker: Broker) -> None:
    publisher, client = await join("p"), await join("c")
    await publisher.publish("t", b"12345", 1, retain=True)
    kept = await join("kept", expiry=100)
    await kept.drop()
    await client.subscribe("$SYS/#")
    found = await values(client)
    expected = {
        "clients/connected": "2",
        "clients/disconnected": "1",
        "clients/total": "3",
        "clients/maximum": "2",
        "messages/received": "1",
        "publish/messages/dropped": "0",
        "retained messages/count": "1",
        "subscriptions/count": "1",
        "load/messages/received/1min": "0.00",
        "uptime": "0 seconds",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["version"].startswith("trio-mqtt")
    assert int(found["bytes/received"]) > 50
    assert len(broker.retained) == 1  # they are not among the messages of clients


async def test_only_what_has_changed_comes_again_every_ten_seconds(join: Join) -> None:
    publisher, client = await join("p"), await join("c")
    await client.subscribe("$SYS/broker/messages/received", "$SYS/broker/clients/total")
    assert await values(client) == {"messages/received": "0", "clients/total": "2"}
    await client.expect_nothing(25)
    for _ in range(3):
        await publisher.publish("t", b"", 1)
    assert await values(client, 10) == {"messages/received": "3"}
    await client.expect_nothing(25)


async def test_who_comes_later_does_not_keep_changes_from_the_others(join: Join) -> None:
    publisher, first, second = await join("p"), await join("f"), await join("s")
    await first.subscribe("$SYS/broker/messages/received")
    await values(first)
    await publisher.publish("t", b"", 1)
    await second.subscribe("$SYS/broker/messages/received")
    assert await values(second) == {"messages/received": "1"}
    assert await values(first, 10) == {"messages/received": "1"}


async def test_loads_are_averages_for_a_minute(join: Join) -> None:
    publisher, client = await join("p"), await join("c")
    await client.subscribe("$SYS/broker/load/messages/received/+")
    for _ in range(30):  # a message every second, five minutes long
        for _ in range(10):
            await publisher.publish("t", b"", 1)
        await trio.sleep(10)
    await client.drain()
    await client.subscribe("$SYS/broker/load/messages/received/+")
    found = await values(client)
    assert float(found["load/messages/received/1min"]) == pytest.approx(60, rel=0.05)
    assert 30 < float(found["load/messages/received/5min"]) < 45
    assert 10 < float(found["load/messages/received/15min"]) < 30


async def test_a_wildcard_alone_does_not_match_them_and_clients_may_not_write_there(
    join: Join,
) -> None:
    client = await join("c")
    await client.subscribe("#", "+/broker/uptime")
    await client.expect_nothing(30)
    assert await client.publish("$SYS/broker/uptime", b"0", 1) == ReasonCode.NOT_AUTHORIZED


async def test_there_are_none_where_they_are_turned_off() -> None:
    options = BrokerOptions(system_topics_interval=0)
    async with open_memory_broker(options=options) as memory:
        client = Raw(memory.connect())
        await client.connect("c")
        await client.subscribe("$SYS/#")
        await client.expect_nothing(100)
    with pytest.raises(LocalProtocolError, match="0 seconds or more"):
        BrokerOptions(system_topics_interval=-1)
