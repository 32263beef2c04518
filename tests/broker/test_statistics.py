"""The broker counts what there was and is."""

from __future__ import annotations

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311
from tests.inside import has_filters, links_of
from trio_mqtt import Broker


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
    assert not has_filters(broker)
    assert statistics.messages_dropped == 0
