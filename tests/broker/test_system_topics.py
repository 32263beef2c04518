"""`$SYS` tells how the broker fares, to those who ask, under Mosquitto's names."""

from __future__ import annotations

import sys

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import Broker, BrokerOptions, ConfigurationError
from trio_mqtt.broker.access.protocols import (
    AccessControl,
    Authenticated,
    ClientInfo,
    ConnectionInfo,
    ConnectRequest,
    Publication,
    SubscriptionRequest,
)
from trio_mqtt.broker.access.security import Security
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish
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
        "messages/received": "5",  # three CONNECT, PUBLISH, SUBSCRIBE
        "messages/sent": "4",  # three CONNACK, PUBACK
        "publish/messages/received": "1",
        "publish/messages/dropped": "0",
        "publish/bytes/received": "5",
        "retained messages/count": "1",
        "subscriptions/count": "1",
        "load/messages/received/1min": "0.00",
        "uptime": "0 seconds",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["version"].startswith("trio-mqtt")
    assert int(found["bytes/received"]) > 50
    assert len(core_of(broker).retained) == 1  # they are not among the messages of clients


async def test_only_what_has_changed_comes_again_every_ten_seconds(join: Join) -> None:
    publisher, client = await join("p"), await join("c")
    await client.subscribe("$SYS/broker/publish/messages/received", "$SYS/broker/clients/total")
    assert await values(client) == {"publish/messages/received": "0", "clients/total": "2"}
    await client.expect_nothing(25)
    for _ in range(3):
        await publisher.publish("t", b"", 1)
    assert await values(client, 10) == {"publish/messages/received": "3"}
    await client.expect_nothing(25)


async def test_who_comes_later_does_not_keep_changes_from_the_others(join: Join) -> None:
    publisher, first, second = await join("p"), await join("f"), await join("s")
    await first.subscribe("$SYS/broker/publish/messages/received")
    await values(first)
    await publisher.publish("t", b"", 1)
    await second.subscribe("$SYS/broker/publish/messages/received")
    assert await values(second) == {"publish/messages/received": "1"}
    assert await values(first, 10) == {"publish/messages/received": "1"}


# What Mosquitto 2.0 tells, without the loads.
MOSQUITTO = [
    "bytes/received",
    "bytes/sent",
    "clients/active",
    "clients/connected",
    "clients/disconnected",
    "clients/expired",
    "clients/inactive",
    "clients/maximum",
    "clients/total",
    "heap/current",
    "heap/maximum",
    "messages/received",
    "messages/sent",
    "messages/stored",
    "publish/bytes/received",
    "publish/bytes/sent",
    "publish/messages/dropped",
    "publish/messages/received",
    "publish/messages/sent",
    "retained messages/count",
    "shared_subscriptions/count",
    "store/messages/bytes",
    "store/messages/count",
    "subscriptions/count",
    "uptime",
    "version",
]
LOADS = [
    "bytes/received",
    "bytes/sent",
    "connections",
    "messages/received",
    "messages/sent",
    "publish/dropped",
    "publish/received",
    "publish/sent",
    "sockets",
]


async def test_every_name_of_mosquitto_is_there(join: Join) -> None:
    client = await join("c")
    await client.subscribe("$SYS/#")
    found = await values(client)
    names = set(MOSQUITTO)
    if sys.platform != "linux":
        names -= {"heap/current", "heap/maximum"}
    assert names <= set(found)
    loads = {f"load/{name}/{minutes}min" for name in LOADS for minutes in (1, 5, 15)}
    assert {name for name in found if name.startswith("load/")} == loads
    if "heap/current" in found:
        assert 1_000_000 < int(found["heap/current"]) <= int(found["heap/maximum"])


@pytest.mark.parametrize("hooks", [False, True], ids=["", "hooks"])
@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
async def test_packets_of_all_kinds_are_counted_and_publish_by_itself(
    hooks: bool, version: ProtocolVersion
) -> None:
    """As Mosquitto counts them, but for QoS 2 and RETAIN, which it leaves out of PUBLISH."""
    security = Security(hooks=Allowing() if hooks else None)
    async with open_memory_broker(security=security) as memory:
        taker, giver = Raw(memory.connect(), version), Raw(memory.connect(), version)
        await taker.connect("taker")
        await taker.subscribe("a/#", qos=2)
        await taker.subscribe("$share/g/b", "$share/h/b")
        await giver.connect("giver")
        for _ in range(3):
            await giver.publish("a/0", b"x" * 10)
        none = b"\x00" * (version == V5)
        head = bytes((0x30, 13 + len(none))) + b"\x00\x03a/0" + none
        await giver.send((head + b"y" * 8) * 5)  # as one run
        large = bytes((0x30, 0x89 + len(none), 0x01)) + b"\x00\x03a/0" + none + b"z" * 132
        await giver.send(large + large + head + b"y" * 8)
        for _ in range(2):
            await giver.publish("a/1", b"x" * 20, 1)
        await giver.publish("a/2", b"x" * 30, 2)
        await giver.publish("nobody", b"x" * 200, 1, retain=True)
        await taker.take(0.3)
        await giver.ping()
        await taker.unsubscribe("zz")
        reader = Raw(memory.connect())
        await reader.connect("reader")
        await reader.subscribe("$SYS/broker/+/#")
        found = await values(reader)
    payloads = 3 * 10 + 6 * 8 + 2 * 132 + 2 * 20 + 30
    expected = {
        # CONNECT 3, SUBSCRIBE 3, UNSUBSCRIBE, PINGREQ, PUBLISH, PUBREL; PUBACK 2, PUBREC, PUBCOMP
        "messages/received": 3 + 3 + 1 + 1 + 15 + 1 + 2 + 1 + 1,
        # CONNACK 3, SUBACK 2, UNSUBACK, PINGRESP, PUBACK 3, PUBREC, PUBCOMP; PUBLISH, PUBREL
        "messages/sent": 3 + 2 + 1 + 1 + 3 + 1 + 1 + 14 + 1,
        "publish/messages/received": 15,
        "publish/messages/sent": 14,
        "publish/bytes/received": payloads + 200,
        "publish/bytes/sent": payloads,
        "subscriptions/count": 2,
        "shared_subscriptions/count": 2,
        "messages/stored": 1,
    }
    assert {name: int(found[name]) for name in expected} == expected


class Allowing(AccessControl):
    """Hooks that let everything pass, one by one."""

    async def accept(self, connection: ConnectionInfo) -> None:
        return None

    async def authorize_connect(
        self, client: ClientInfo, request: ConnectRequest
    ) -> ConnectRequest:
        return request

    async def authenticate(self, client: ClientInfo, password: bytes | None) -> Authenticated:
        return Authenticated()

    async def authorize_publish(self, client: ClientInfo, message: Publication) -> Publication:
        return message

    async def authorize_subscribe(
        self, client: ClientInfo, request: SubscriptionRequest
    ) -> SubscriptionRequest:
        return request

    async def authorize_delivery(self, client: ClientInfo, message: Publication) -> Publication:
        return message


async def test_payloads_of_a_batch_count_once_where_it_is_sent_in_parts(
    join: Join, broker: Broker
) -> None:
    publisher = await join("p")
    client = await join("c", properties={"receive_maximum": 3, "maximum_packet_size": 100})
    await client.subscribe("t", qos=1)
    await publisher.send(
        *(Publish("t", b"x" * 10, 1, packet_id=n) for n in range(1, 8)),
        Publish("t", b"x" * 200, 1, packet_id=8),  # too large
    )
    await publisher.drain()
    assert len(await client.take()) == 7
    assert broker.statistics.payload_bytes_sent == 70
    await publisher.send(*(Publish("t", b"y" * 10, 1, packet_id=n) for n in range(1, 8)))
    await publisher.drain()
    assert len(await client.messages()) == 3
    await client.unsubscribe("t")  # the others are not sent
    assert broker.statistics.payload_bytes_sent == 100


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
    with pytest.raises(ConfigurationError, match="0 seconds or more"):
        BrokerOptions(system_topics_interval=-1)
