"""What a program that embeds the broker may follow and publish."""

from __future__ import annotations

import pytest
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311
from tests.inside import core_of, links_of
from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.events.kinds import (
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    MessagePublished,
    Subscribed,
    Unsubscribed,
)
from trio_mqtt.broker.events.samples import SAMPLE_BYTES
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.testing import MemoryBroker

CLIENTS = (ClientConnected, ClientDisconnected, ClientRefused, Subscribed, Unsubscribed)


async def test_a_sample_has_who_comes_what_is_said_and_who_goes(
    join: Join, memory: MemoryBroker, broker: Broker
) -> None:
    with broker.sample(*CLIENTS, MessagePublished) as sample:
        client = await join("c", V311, username="u")
        await client.subscribe("t/#", qos=1)
        await client.send(Publish("t/1", b"x", 1, retain=True, packet_id=9))
        assert {type(await client.receive()) for _ in range(2)} == {PubAck, Publish}
        await client.unsubscribe("t/#", "never")
        await client.disconnect()
        await memory.connect().aclose()
        await trio.testing.wait_all_tasks_blocked()
        await broker.publish("$SYS/x", "y")
        events = sample.take()
    assert [type(event) for event in events] == [
        ClientConnected,
        Subscribed,
        MessagePublished,
        Unsubscribed,
        ClientDisconnected,
        ClientRefused,
        MessagePublished,
    ]
    assert events[0] == ClientConnected("c", "memory", "3.1.1", "u", session_present=False)
    assert events[1] == Subscribed("c", "t/#", 1)
    message = events[2]
    assert isinstance(message, MessagePublished)
    assert (message.topic, message.payload, message.qos, message.retain) == ("t/1", b"x", 1, True)
    assert sample.take() == []
    assert (sample.missed_events, sample.missed_messages) == (0, 0)


async def test_a_sample_without_messages_costs_them_nothing(join: Join, broker: Broker) -> None:
    with broker.sample(*CLIENTS) as sample:
        assert MessagePublished not in core_of(broker).event_streams.wanted
        client = await join("c")
        await client.send(Publish("t", b"x"))
        await broker.publish("t", b"y")
        await client.disconnect()
        await trio.testing.wait_all_tasks_blocked()
        assert [type(event) for event in sample.take()] == [ClientConnected, ClientDisconnected]
        assert sample.missed_messages == 0
        with broker.sample(MessagePublished) as other:
            await broker.publish("t", b"z")
            assert [type(event) for event in other.take()] == [MessagePublished]
        assert core_of(broker).event_streams.wanted == {*CLIENTS}
        assert sample.take() == []


async def test_a_sample_holds_no_more_than_it_may(join: Join, broker: Broker) -> None:
    client = await join("c")
    with broker.sample(*CLIENTS, MessagePublished, limit=10) as sample:
        for _ in range(20):
            await client.send(*(Publish("t", b"x") for _ in range(50)))
            await client.ping()
        for number in range(20):
            await client.subscribe(f"t/{number}")
        events = sample.take()
    messages = [event for event in events if isinstance(event, MessagePublished)]
    assert len(messages) == 5
    assert sample.missed_messages == 995
    assert len(events) <= 10
    assert sample.missed_events == 20 - (len(events) - len(messages))


async def test_a_sample_holds_few_bytes(join: Join, broker: Broker) -> None:
    client = await join("c")
    with broker.sample(MessagePublished) as sample:
        await client.send(*(Publish("t", b"x" * 300_000) for _ in range(10)))
        await client.ping()
        await client.publish("t", b"y" * 2 * SAMPLE_BYTES)
        await client.ping()
        events = sample.take()
    held = sum(len(event.payload) for event in events if isinstance(event, MessagePublished))
    assert 0 < held <= SAMPLE_BYTES
    assert sample.missed_messages >= 8


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


async def test_the_statistics_say_what_there_was_and_is(join: Join, broker: Broker) -> None:
    client = await join("c", expiry=100)
    other = await join("o", V311)
    await client.subscribe("t", "u", qos=1)
    await other.publish("t", b"x", 1)
    await client.take()
    statistics = broker.statistics
    assert statistics.connections_accepted == statistics.clients_connected == 2
    assert (statistics.sessions, statistics.subscriptions) == (2, 2)
    assert (statistics.messages_received, statistics.messages_sent) == (1, 1)
    assert statistics.bytes_received > 50
    assert statistics.bytes_sent > 20
    await client.disconnect()
    await other.disconnect()
    assert statistics.clients_connected == 0
    assert (statistics.sessions, statistics.subscriptions) == (1, 2)
    await (await join("c", V5)).disconnect()
    assert (statistics.sessions, statistics.subscriptions) == (0, 0)
    assert not links_of(broker)
    assert not core_of(broker).router._root.children
    assert statistics.messages_dropped == 0
