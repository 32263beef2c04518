"""What clients take that say nothing, and to whom nothing comes: there are many of them."""

from __future__ import annotations

import gc
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.opened import opened
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Subscribe, Subscription

V311 = ProtocolVersion.V311
CONNECTIONS = 200
FILTERS = 1_000


class Traced:
    """How many bytes Python has taken meanwhile, and not given back."""

    taken = 0


@contextmanager
def traced() -> Iterator[Traced]:
    traced = Traced()
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        yield traced
        gc.collect()
        traced.taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


async def connect(url: str, name: str, subscribed: bool) -> socket.socket:
    """A client that is heard of once; the bytes of its answers are left to the kernel."""
    connection = trio.socket.socket()
    await connection.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    await connection.send(encode(Connect(name, protocol_version=V311), V311))
    assert await connection.recv(4) == b"\x20\x02\x00\x00"
    if subscribed:
        packet = Subscribe(1, [Subscription(f"silent/{name}")])
        await connection.send(encode(packet, V311))
        assert (await connection.recv(5))[0] == 0x90
    kept = socket.socket(fileno=connection.detach())
    kept.setblocking(False)
    return kept


@pytest.mark.trio  # in real time: virtual time would not wait for the sockets
@pytest.mark.slow
# The socket of the client is among it.
@pytest.mark.parametrize(("subscribed", "most"), [(False, 9_000), (True, 10_500)])
async def test_a_connection_takes_little(subscribed: bool, most: int) -> None:
    async with opened("mqtt://127.0.0.1:0") as broker:
        with ExitStack() as connections:
            # The first make what all share.
            for number in range(20):
                connections.enter_context(await connect(broker.url, f"first{number}", subscribed))
            with traced() as memory:
                for number in range(CONNECTIONS):
                    one = await connect(broker.url, f"silent{number}", subscribed)
                    connections.enter_context(one)
            assert memory.taken / CONNECTIONS < most


async def test_a_filter_takes_little(join: Join) -> None:
    client = await join("c")
    await client.subscribe("first")
    with traced() as memory:
        for number in range(FILTERS):
            await client.subscribe(f"home/{number % 10}/{number}")
    assert memory.taken / FILTERS < 1.5 * 1_024


async def test_a_subscription_has_a_task_once_something_waits_in_it(join: Join) -> None:
    client = await join("c")
    publisher = await join("p")
    other = await join("o")
    before = trio.lowlevel.current_statistics().tasks_living
    await client.subscribe("a", "b")
    await client.drain()
    await publisher.publish("a", b"1")
    assert await client.payloads() == [b"1"]
    assert trio.lowlevel.current_statistics().tasks_living == before
    # The second comes too soon, from another one, to be written by who brings it.
    await publisher.publish("a", b"2", qos=1)
    await other.publish("a", b"3", qos=1)
    assert await client.payloads() == [b"2", b"3"]
    assert trio.lowlevel.current_statistics().tasks_living == before + 1
    await client.unsubscribe("a")
    assert trio.lowlevel.current_statistics().tasks_living == before
