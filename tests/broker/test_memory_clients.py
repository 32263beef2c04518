"""Clients of a broker over memory streams."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_mqtt import ConnectionLostError, Will
from trio_mqtt.testing import open_memory_broker


async def test_clients_reach_it_without_a_port(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_memory_broker() as memory,
        memory.open_client(client_id="me") as client,
        memory.open_client() as other,
        client.subscribe("a", qos=2) as messages,
    ):
        assert client.client_id == "me"
        await other.publish("a", bytes(300_000), qos=2)
        assert (await anext(messages)).payload == bytes(300_000)


async def test_leaving_is_in_order(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_memory_broker() as memory,
        memory.open_client() as client,
        client.subscribe("#") as messages,
    ):
        async with memory.open_client(will=Will("gone")) as other:
            await other.publish("here", "1")
        await client.publish("last", "2")
        assert [(await anext(messages)).topic for _ in range(2)] == ["here", "last"]


async def test_its_end_is_seen(autojump_clock: trio.testing.MockClock) -> None:
    async def outlive_it() -> None:
        async with open_memory_broker() as memory, memory.open_client(reconnect=False):
            await memory.broker.close()
            await trio.sleep_forever()

    with pytest.raises(ConnectionLostError):
        await outlive_it()
