"""A program follows what happens in its broker, event by event, and never holds it up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import Raw
from tests.inside import core_of
from trio_mqtt import Broker, Limits, ReasonCode, Security
from trio_mqtt.access import (
    AccessHooks,
    AccessRefused,
    ClientInfo,
    Publication,
    SubscriptionRequest,
)
from trio_mqtt.events import (
    BrokerEvent,
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    ConnectionOpened,
    EventStream,
    KeepAliveExpired,
    MessageAcknowledged,
    MessageDelivered,
    MessagePublished,
    MessageRefused,
    MessagesDropped,
    Pinged,
    RetainedChanged,
    SlowConsumer,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
    WillPublished,
)
from trio_mqtt.protocol.packets import PubAck, Publish, PubRec, Subscription, Will
from trio_mqtt.testing import MemoryBroker, open_memory_broker


class Refuses(AccessHooks):
    """Refuses what is named "no"."""

    async def authorize_publish(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        return AccessRefused(reason="private") if message.topic == "no" else message

    async def authorize_subscribe(
        self, client: ClientInfo, request: SubscriptionRequest
    ) -> SubscriptionRequest | AccessRefused:
        return AccessRefused(reason="private") if request.topic_filter == "no" else request

    async def authorize_delivery(
        self, client: ClientInfo, message: Publication
    ) -> Publication | AccessRefused:
        return AccessRefused() if message.topic == "secret" else message


@pytest.fixture
async def memory(limits: Limits) -> AsyncIterator[MemoryBroker]:
    async with open_memory_broker(limits=limits) as memory:
        yield memory


async def taken(events: EventStream, seconds: float = 0.05) -> list[BrokerEvent]:
    found: list[BrokerEvent] = []
    with trio.move_on_after(seconds):
        async for event in events:
            found.append(event)
    return found


async def test_connections(memory: MemoryBroker, broker: Broker) -> None:
    with broker.events() as events:
        client = Raw(memory.connect())
        await client.connect("c", username="me")
        await client.ping()
        await client.disconnect()
        stranger = Raw(memory.connect(peer="far away"))
        await stranger.send(b"GET / HTTP/1.1\r\n\r\n")
        await stranger.expect_closed()
        found = await taken(events)
    assert found[:5] == [
        ConnectionOpened("memory", ""),
        ClientConnected("c", "memory", "5", "me", False),
        Pinged("c"),
        ClientDisconnected("c", "", "memory", "me"),
        ConnectionOpened("far away", ""),
    ]
    assert isinstance(found[5], ClientRefused)
    assert len(found) == 6


async def test_a_keep_alive_that_expires_and_a_will(join: Join, broker: Broker) -> None:
    with broker.events(KeepAliveExpired, ClientDisconnected, WillPublished) as events:
        await join("c", keep_alive=10, will=Will("gone", b""))
        assert await taken(events, 20) == [
            KeepAliveExpired("c"),
            WillPublished("c", "gone"),
            ClientDisconnected("c", "nothing came for 15 s", "memory"),
        ]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_from_publisher_to_subscriber(join: Join, broker: Broker, qos: int) -> None:
    client, publisher = await join("c"), await join("p")
    with broker.events() as events:
        await client.subscribe("#", qos=2)
        await publisher.publish("t", b"1", qos, retain=True)
        message = await client.expect(Publish)
        if qos:
            await client.send((PubAck if qos == 1 else PubRec)(message.packet_id))
        await client.unsubscribe("#") if qos < 2 else await trio.sleep(0.1)
        await publisher.publish("t", b"", retain=True)
        found = await taken(events)
    expected: list[BrokerEvent] = [
        Subscribed("c", "#", 2),
        MessagePublished("p", "t", b"1", qos, True),
        RetainedChanged("t", removed=False),
        MessageDelivered("c", "t", qos),
    ]
    if qos:
        expected.append(MessageAcknowledged("c", "t", qos))
    if qos < 2:
        expected.append(Unsubscribed("c", "#"))
    expected += [
        MessagePublished("p", "t", b"", 0, True),
        RetainedChanged("t", removed=True),
    ]
    last = MessageDelivered("c", "t", 0)  # of the removal, to who is still subscribed
    assert [event for event in found if event != last or qos == 0] == expected


async def test_refusals_and_what_they_keep_from_whom() -> None:
    async with open_memory_broker(security=Security(hooks=Refuses())) as memory:
        broker = memory.broker
        client = Raw(memory.connect())
        await client.connect("c")
        with broker.events(MessageRefused, SubscriptionRefused, MessagesDropped) as events:
            await client.subscribe("no", "secret")
            for qos in (0, 1):
                await client.publish("no", b"", qos)
            await client.publish("secret", b"")
            assert await taken(events) == [
                SubscriptionRefused("c", "no", ReasonCode.NOT_AUTHORIZED, "private", True),
                MessageRefused("c", "no", "private", True),
                MessageRefused("c", "no", "private", True),
                MessagesDropped("c", 1, "the client may not receive it"),
            ]


class TestBounds:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_queued_messages=2)

    async def test_what_a_full_queue_drops(self, join: Join, broker: Broker) -> None:
        away, publisher = await join("away", expiry=100), await join("p")
        await away.subscribe(Subscription("t", 1))
        await away.drop()
        with broker.events(MessagesDropped) as events:
            for _ in range(4):
                await publisher.publish("t", b"", 1)
            assert (
                await taken(events)
                == [MessagesDropped("away", 1, "too much waits for the client")] * 2
            )

    async def test_who_does_not_keep_up_loses_events_and_is_told_how_many(
        self, join: Join, broker: Broker
    ) -> None:
        publisher = await join("p")
        with broker.events(MessagePublished, limit=3) as events:
            for number in range(10):
                await publisher.publish("t", b"%d" % number, 1)
            found = await taken(events)
            assert [e.payload for e in found if isinstance(e, MessagePublished)] == [
                b"0", b"1", b"2",
            ]  # fmt: skip
            assert events.missed == 7


async def test_nothing_is_recorded_while_nobody_follows(join: Join, broker: Broker) -> None:
    with broker.events(Subscribed):
        assert core_of(broker).event_streams.wanted - {SlowConsumer} == {Subscribed}
        with broker.events(Pinged, Subscribed):
            assert core_of(broker).event_streams.wanted - {SlowConsumer} == {Subscribed, Pinged}
    assert core_of(broker).event_streams.wanted == {SlowConsumer}  # for the log
    await (await join("c")).ping()


async def test_the_stream_ends_when_the_broker_does() -> None:
    found: list[BrokerEvent] = []
    followed = trio.Event()

    async def follow(broker: Broker) -> None:
        with broker.events(ClientConnected, ClientDisconnected) as events:
            followed.set()
            async for event in events:
                found.append(event)

    async with trio.open_nursery() as nursery, open_memory_broker() as memory:
        nursery.start_soon(follow, memory.broker)
        await followed.wait()
        client = Raw(memory.connect())
        await client.connect("c")
    assert [type(event) for event in found] == [ClientConnected, ClientDisconnected]
