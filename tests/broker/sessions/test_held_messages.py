"""The time of messages goes on while they wait for what they promise to be kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.broker.raw import V5, V311, Raw
from tests.broker.slow_storage import Slow, broker_on, join, subscriber
from tests.inside import core_of
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.testing import MemoryBroker


@asynccontextmanager
async def held(
    version: ProtocolVersion = V5, receive_maximum: int = 1
) -> AsyncIterator[tuple[Slow, MemoryBroker, Raw, Raw]]:
    """A client whose session is kept, to which nothing leaves now; and one that publishes."""
    storage = Slow()
    async with broker_on(storage) as memory:
        await subscriber(memory, "kept", 1, "away")
        client = Raw(memory.connect(), version)
        if version is V5:
            properties: Properties = {
                "session_expiry_interval": NEVER,
                "receive_maximum": receive_maximum,
            }
            await client.connect("s", properties=properties)
        else:
            await client.connect("s", clean_start=False)
        await client.subscribe("t", qos=2)
        publisher = await join(memory, "p")
        await trio.testing.wait_all_tasks_blocked()
        storage.wait()
        await client.send(Publish("kept", b"own", 1, packet_id=1))
        await client.expect_nothing(1)
        yield storage, memory, client, publisher


def message(qos: int, payload: bytes, lasts: int | None, packet_id: int = 5) -> Publish:
    """A message that expires after so many seconds."""
    properties: Properties = {} if lasts is None else {"message_expiry_interval": lasts}
    return Publish("t", payload, qos, packet_id=packet_id if qos else 0, properties=properties)


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_has_waited_says_what_is_left_of_its_time(qos: int) -> None:
    async with held() as (storage, _, client, publisher):
        await publisher.send(message(qos, b"x", 100))
        await client.expect_nothing(29.5)
        storage.may_keep.set()
        await client.expect(PubAck)
        got = await client.expect(Publish)
        assert got.properties["message_expiry_interval"] == 71
        assert (got.qos, got.dup) == (qos, False)


@pytest.mark.parametrize("version", [V5, V311])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_expires_meanwhile_does_not_leave(qos: int, version: ProtocolVersion) -> None:
    """Nor does it take anything from what comes after it."""
    async with held(version) as (storage, memory, client, publisher):
        dropped = core_of(memory.broker).statistics.messages_expired
        await publisher.send(message(qos, b"x", 10))
        await client.expect_nothing(20)
        await publisher.send(Publish("t", b"after", 1, packet_id=6))
        await client.expect_nothing(1)
        storage.may_keep.set()
        await client.expect(PubAck)
        after = await client.expect(Publish)
        assert after.payload == b"after"
        await client.send(PubAck(after.packet_id))
        await client.ping()
        await trio.testing.wait_all_tasks_blocked()
        found = storage.as_it_is()
        assert {row.payload for row in found._messages.values()} == {b"own"}
        assert not any(
            one.deliveries for one in found._sessions.values() if one.row.client_id == "s"
        )
        assert core_of(memory.broker).statistics.messages_expired == dropped + 1


async def test_of_several_those_leave_that_have_time_left() -> None:
    async with held(receive_maximum=10) as (storage, _, client, publisher):
        intervals = (10, 100, None, 10, 50)
        for number, lasts in enumerate(intervals, 1):
            await publisher.send(message(2, b"%d" % number, lasts, packet_id=number))
        await client.expect_nothing(20)
        storage.may_keep.set()
        await client.expect(PubAck)
        got = [await client.expect(Publish) for _ in range(3)]
        assert [one.payload for one in got] == [b"2", b"3", b"5"]
        left = [one.properties.get("message_expiry_interval") for one in got]
        assert left == [80, None, 30]
        for one in got:
            await client.send(PubRec(one.packet_id))
            await client.expect(PubRel)
            await client.send(PubComp(one.packet_id))
        await client.ping()
