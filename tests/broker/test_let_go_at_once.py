"""Messages with which one session is done before the next one gets them stay kept for that one."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.raw import V5, Raw
from tests.broker.slow_storage import Slow, broker_on, join, subscriber
from trio_mqtt import BrokerOptions, Limits, Security
from trio_mqtt.access import ClientInfo
from trio_mqtt.broker.options import QueuePolicy
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.testing import MemoryBroker, open_memory_broker

SMALL = 40  # bytes of a packet
LARGE = b"x" * 100


class Rules:
    """Some may subscribe to what they may not have."""

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return True

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return True

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return not client.client_id.startswith("small")


async def small(memory: MemoryBroker, client_id: str, maximum_packet_size: int) -> Raw:
    """A client that is connected, and does not get what is large."""
    client = Raw(memory.connect(), V5)
    properties = {"session_expiry_interval": NEVER, "maximum_packet_size": maximum_packet_size}
    await client.connect(client_id, properties=properties)  # type: ignore[arg-type]
    await client.subscribe("t", qos=1)
    return client


async def take(found: Slow, client_id: str, *payloads: bytes) -> None:
    """Have what an earlier broker has kept for a client; it is kept no longer."""
    async with broker_on(found) as memory:
        client = await join(memory, client_id, expiry=NEVER, clean=False)
        for payload in payloads:
            message = await client.expect_message("t", payload, 1)
            await client.send(PubAck(message.packet_id))
        await client.ping()
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("why", ["size", "rules"])
@pytest.mark.parametrize(
    "order", ["small1 a", "small1 a small2 b", "a small1 small2 b", "small1 small2 a b"]
)
async def test_what_one_session_cannot_have_is_kept_for_the_next(why: str, order: str) -> None:
    storage = Slow()
    security = Security(access=Rules()) if why == "rules" else None
    async with open_memory_broker(storage=storage, security=security) as memory:
        for client_id in order.split():
            if client_id.startswith("small"):
                await small(memory, client_id, SMALL if why == "size" else 1_000)
            else:
                await subscriber(memory, "t", 1, client_id)
        publisher = await join(memory, "p")
        await trio.sleep(1)  # what comes alone is sent at once
        await publisher.publish("t", LARGE, 1)
        found = storage.as_it_is()
    for client_id in order.split():
        if not client_id.startswith("small"):
            await take(found, client_id, LARGE)
    assert not found._messages


async def test_what_is_dropped_for_one_session_is_kept_for_the_next() -> None:
    storage = Slow()
    async with open_memory_broker(
        storage=storage,
        limits=Limits(maximum_queued_messages=2),
        options=BrokerOptions(queue_policy=QueuePolicy.DROP_OLDEST),
    ) as memory:
        await small(memory, "small", SMALL)
        await subscriber(memory, "t", 1, "a")
        await subscriber(memory, "t", 1, "b")
        publisher = await join(memory, "p")
        await trio.sleep(1)
        storage.wait()  # all of it is in one group
        for number in range(5):
            await publisher.send(Publish("t", LARGE + b"%d" % number, 1, packet_id=number + 1))
            await trio.sleep(1)
        storage.may_keep.set()
        for number in range(5):
            assert await publisher.expect(PubAck) == PubAck(number + 1)
        found = storage.as_it_is()
    for client_id in ("a", "b"):
        await take(found, client_id, LARGE + b"3", LARGE + b"4")
    assert not found._messages
