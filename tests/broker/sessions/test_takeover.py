"""One session, several connections that want it (MQTT 5.0 §3.1.4)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of, has_filters, links_of
from trio_mqtt import Broker
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Publish, Subscribe, Subscription, Unsubscribe
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker


@pytest.mark.normative("MQTT-3.1.4-3")
@pytest.mark.parametrize("clean_start", [True, False])
async def test_a_client_that_connects_again_ends_its_older_connection(
    join: Join, version: ProtocolVersion, clean_start: bool
) -> None:
    first = await join("same", version, clean_start=False, expiry=100)
    answer = (await join("same", version, clean_start=clean_start, expiry=100)).connack
    assert answer is not None
    assert answer.session_present is not clean_start
    await first.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)


async def test_what_a_connection_sends_after_it_was_superseded_takes_no_effect(
    join: Join, memory: MemoryBroker, broker: Broker, version: ProtocolVersion
) -> None:
    # Both requests are there before either connection's task runs.
    for _ in range(20):
        first = await join("same", version, clean_start=False, expiry=0)
        second = Raw(memory.connect(), version)
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.send, Subscribe(1, [Subscription("left/behind")]))
            nursery.start_soon(second.connect, "same")
        await trio.testing.wait_all_tasks_blocked()
        assert len(core_of(broker).sessions) == 1
        await second.disconnect()
        await first.drop()
        await trio.testing.wait_all_tasks_blocked()
        assert not has_filters(broker)
        assert broker.statistics.subscriptions == 0


async def test_a_storm_of_connections_leaves_one_and_nothing_behind(
    memory: MemoryBroker, broker: Broker
) -> None:
    clients: list[Raw] = []

    async def storm(number: int) -> None:
        version = V5 if number % 3 else V311
        client = Raw(memory.connect(), version)
        clients.append(client)
        kept = {"session_expiry_interval": 50} if number % 2 and version == V5 else {}
        await client.send(
            Connect("same", number % 4 == 0, 0, version, properties=kept),  # type: ignore[arg-type]  # a subset
            Subscribe(1, [Subscription(f"t/{number}"), Subscription("t/+")]),
            Publish("t/x", b"x"),
            Unsubscribe(2, [f"t/{number}"]),
            Subscribe(3, [Subscription("$share/g/t")]),
            Publish("t/y", b"y", 2, packet_id=4),
        )

    for _ in range(5):
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(storm, number)
        await trio.testing.wait_all_tasks_blocked()
        assert len(core_of(broker).sessions) == 1
        assert broker.statistics.clients_connected == 1
        assert len(links_of(broker)) == 1
        assert broker.statistics.subscriptions == len(
            core_of(broker).sessions.all()[0].subscriptions
        )
    last = Raw(memory.connect(), V5)
    await last.connect("same")
    await last.disconnect()
    await trio.testing.wait_all_tasks_blocked()
    assert not links_of(broker)
    assert len(core_of(broker).sessions) == 0
    assert not has_filters(broker)
    assert broker.statistics.subscriptions == broker.statistics.clients_connected == 0
    for client in clients:
        await client.drop()


async def test_what_waits_for_a_session_goes_on_at_its_next_connection(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    client = await join("same", version, clean_start=False, expiry=100)
    await client.subscribe("t", qos=1)
    for number in range(1000):
        await broker.publish("t", str(number), qos=1)
    await trio.testing.wait_all_tasks_blocked()
    seen = []
    for _ in range(9):
        successor = await join("same", version, clean_start=False, expiry=100)
        seen += [int(m.payload) for m in await successor.take() if not m.dup]
    assert seen == list(range(128, 1000))
