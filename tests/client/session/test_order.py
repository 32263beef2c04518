"""Messages leave in the order in which `publish` was called, whatever they have to wait for."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.client.fake_broker import FakeBroker
from trio_mqtt import Client
from trio_mqtt.protocol.packets import ConnAck, PubAck, PubComp, Publish, PubRec

pytestmark = pytest.mark.anyio

LARGE = bytes(10_000)  # seven of them fill the connection's buffer


class Calls:
    """Publishes from many tasks, and knows the order of the calls."""

    def __init__(self, client: Client, qos: int, padding: bytes = b"") -> None:
        self.client = client
        self.qos = qos
        self.padding = padding
        self.called: list[int] = []

    async def publish(self, times: int = 1) -> None:
        for _ in range(times):
            number = len(self.called)
            self.called.append(number)
            payload = number.to_bytes(4, "big") + self.padding
            await self.client.publish("t", payload, qos=self.qos)
            if number % 3 == 0:
                await checkpoint()

    async def publish_many(self, times: int) -> None:
        """A batch, whose messages count as called when they are taken from it."""

        def messages() -> Iterator[tuple[str, bytes]]:
            for _ in range(times):
                number = len(self.called)
                self.called.append(number)
                yield "t", number.to_bytes(4, "big") + self.padding

        await self.client.publish_many(messages(), qos=self.qos)


def numbers(broker: FakeBroker) -> list[int]:
    """What came to the broker, on all connections, the repetitions left out."""
    seen = dict.fromkeys(
        int.from_bytes(packet.payload[:4], "big")
        for peer in broker.peers
        for packet in peer.all(Publish)
    )
    return list(seen)


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("receive_maximum", [1, 3])
async def test_when_many_wait_for_the_receive_maximum(
    broker: FakeBroker, qos: int, receive_maximum: int
) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": receive_maximum})
    async with broker.client() as client:
        calls = Calls(client, qos)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(calls.publish, 10)
            tasks.start_soon(calls.publish_many, 50)
    assert numbers(broker) == calls.called == list(range(250))


async def test_when_one_is_called_between_the_acknowledgement_and_the_waking(
    broker: FakeBroker,
) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 1})
    async with broker.client() as client:
        peer = broker.peer
        peer.mute = {Publish}
        calls = Calls(client, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls.publish)
            first = await peer.expect(Publish)
            for _ in range(5):
                tasks.start_soon(calls.publish)
                await anyio.wait_all_tasks_blocked()
            peer.mute = set()
            peer.send(PubAck(first.packet_id))
            for _ in range(5):
                tasks.start_soon(calls.publish)
                await checkpoint()
    assert numbers(broker) == calls.called == list(range(11))


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_when_the_connection_takes_no_more(broker: FakeBroker, qos: int) -> None:
    async with broker.client() as client:
        broker.peer.deaf = True
        calls = Calls(client, qos, LARGE)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(calls.publish, 3)
            tasks.start_soon(calls.publish_many, 20)
            await anyio.wait_all_tasks_blocked()
            broker.peer.hear()
    assert numbers(broker) == calls.called == list(range(80))


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_across_a_lost_connection(broker: FakeBroker, qos: int) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 2})
    async with broker.client() as client:
        broker.peer.mute = {Publish}
        broker.peer.deaf = qos == 0
        calls = Calls(client, qos, LARGE)
        async with anyio.create_task_group() as tasks:
            for _ in range(15):
                tasks.start_soon(calls.publish, 3)
                await anyio.wait_all_tasks_blocked()
            broker.peer.reset()
            await anyio.wait_all_tasks_blocked()
            for _ in range(15):
                tasks.start_soon(calls.publish, 3)
                await anyio.wait_all_tasks_blocked()
    arrived = numbers(broker)
    if qos:
        assert arrived == calls.called == list(range(90))
    else:  # what was in the buffer went with the connection
        assert arrived == calls.called[-len(arrived) :]
        assert len(arrived) > 75


@pytest.mark.parametrize("qos", [0, 1])
async def test_when_some_that_wait_are_cancelled(broker: FakeBroker, qos: int) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 1})
    async with broker.client() as client:
        peer = broker.peer
        peer.mute = {Publish}
        peer.deaf = qos == 0
        calls = Calls(client, qos, LARGE)
        scopes = [anyio.CancelScope() for _ in range(30)]

        async def publish(scope: anyio.CancelScope) -> None:
            with scope:
                await calls.publish()

        async with anyio.create_task_group() as tasks:
            for scope in scopes:
                tasks.start_soon(publish, scope)
                await anyio.wait_all_tasks_blocked()
            for scope in scopes[10::2]:
                scope.cancel()
            if not qos:
                peer.hear()
            else:
                peer.mute = set()
                peer.send(PubAck(peer.all(Publish)[0].packet_id))
    assert numbers(broker) == [number for number in range(30) if number < 10 or number % 2]


async def test_cancelled_in_the_turn_that_would_have_sent_it(broker: FakeBroker) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 1})
    async with broker.client() as client:
        peer = broker.peer
        peer.mute = {Publish}
        calls = Calls(client, 2)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(calls.publish)
                    await anyio.wait_all_tasks_blocked()
                peer.send(PubRec(1), PubComp(1))
                scope.cancel()
        peer.mute = set()
        await client.publish("t", (99).to_bytes(4, "big"), qos=0)
    arrived = numbers(broker)
    assert arrived == sorted(arrived)  # cancelled they are in any order


async def test_nobody_passes_those_who_wait_without_waiting(broker: FakeBroker) -> None:
    async with broker.client() as client, anyio.create_task_group() as tasks:
        broker.peer.deaf = True
        calls = Calls(client, 0, LARGE)
        for _ in range(15):
            tasks.start_soon(calls.publish)
            await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.WouldBlock):
            client.publish_nowait("t", b"")
        broker.peer.hear()
    assert numbers(broker) == list(range(15))
