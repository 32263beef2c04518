"""What is said first on each connection comes before all that waits, and only then."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, Peer
from trio_mqtt import Client, RequestRefusedError
from trio_mqtt.protocol.packets import ConnAck, Disconnect, PubAck, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode

pytestmark = pytest.mark.anyio

RESUMED = ConnAck(session_present=True)


def payloads(*peers: Peer) -> list[bytes]:
    return [packet.payload for peer in peers for packet in peer.all(Publish)]


async def birth(client: Client) -> None:
    await client.publish("status", "here", qos=1, retain=True)


@pytest.mark.parametrize("qos", [1, 2])
async def test_the_block_begins_when_it_has_been_said(broker: FakeBroker, qos: int) -> None:
    async def say(client: Client) -> None:
        assert client.connected
        await client.publish("status", "here", qos=qos)

    async with broker.client(on_connect=say):
        assert payloads(broker.peer) == [b"here"]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_it_comes_before_what_waits(broker: FakeBroker, qos: int) -> None:
    async with broker.client(on_connect=birth) as client, anyio.create_task_group() as tasks:
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        for number in range(3):
            tasks.start_soon(client.publish, "t", str(number))
            await anyio.wait_all_tasks_blocked()
        broker.down = False
        broker.prepare = lambda peer: peer.mute.add(Publish)  # PUBACK is a while in coming
        peer = await broker.connection(2)
        first = await peer.expect(Publish)
        await client.wait_connected()
        tasks.start_soon(lambda: client.publish("t", "3", qos=qos))
        with pytest.raises(anyio.WouldBlock):
            client.publish_nowait("t", "never")
        await anyio.wait_all_tasks_blocked()
        assert payloads(peer) == [b"here"]
        peer.mute.clear()
        peer.send(PubAck(first.packet_id))
    assert payloads(peer) == [b"here", b"0", b"1", b"2", b"3"]


async def test_everything_a_client_can_do_may_be_done_first(broker: FakeBroker) -> None:
    done: list[str] = []

    async def say(client: Client) -> None:
        def many() -> Iterable[tuple[str, str]]:
            return ((f"t{number}", "many") for number in range(3))

        client.publish_nowait("t", "now")
        assert await client.publish_many(many()) == 3
        assert await client.publish_many(many(), qos=1) == 3
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.publish, "t", "task")
        async with client.subscribe("config") as messages:
            broker.peer.publish("config", b"1")
            done.append((await anext(messages)).text)

    async with broker.client(on_connect=say):
        assert payloads(broker.peer) == [b"now", *[b"many"] * 6, b"task"]
    assert done == ["1"]


async def test_it_needs_no_coroutine(broker: FakeBroker) -> None:
    async with broker.client(on_connect=lambda client: client.publish_nowait("t", "now")):
        pass
    assert payloads(broker.peer) == [b"now"]


async def test_what_was_sent_before_is_sent_again_before_it(broker: FakeBroker) -> None:
    broker.next_connacks.append(ConnAck())
    broker.connack = RESUMED
    async with broker.client(on_connect=birth) as client, anyio.create_task_group() as tasks:
        broker.peer.mute.add(Publish)
        tasks.start_soon(lambda: client.publish("t", "sent", qos=1))
        await anyio.wait_all_tasks_blocked()
        broker.peer.end()
        peer = await broker.connection(2)
    assert payloads(peer) == [b"sent", b"here"]


async def test_when_the_connection_is_lost_it_is_done_anew(broker: FakeBroker) -> None:
    ended: list[BaseException] = []

    async def say(client: Client) -> None:
        try:
            await client.publish("status", "here", qos=1)
        except BaseException as error:
            ended.append(error)
            raise

    def deaf_once(peer: Peer) -> None:
        if len(broker.peers) == 1:
            peer.mute.add(Publish)

    broker.prepare = deaf_once
    async with anyio.create_task_group() as tasks:

        async def lose() -> None:
            await (await broker.connection(1)).expect(Publish)
            broker.peer.end()

        tasks.start_soon(lose)
        async with broker.client(on_connect=say) as client:
            await client.publish("t", "after", qos=1)
    assert [type(error) for error in ended] == [anyio.get_cancelled_exc_class()]
    first, second = broker.peers
    assert payloads(first) == [b"here"]
    assert payloads(second) == [b"here", b"after"]


@pytest.mark.parametrize("on", [1, 2])
async def test_what_it_raises_ends_the_client(broker: FakeBroker, on: int) -> None:
    async def say(_client: Client) -> None:
        if len(broker.peers) == on:
            raise KeyError("mine")

    async def use() -> None:
        async with broker.client(on_connect=say) as client:
            assert on == 2
            broker.peer.end()
            await client.publish("t", "never", qos=1)
            await anyio.sleep_forever()

    with pytest.raises(KeyError, match="mine"):
        await use()
    assert len(broker.peers) == on
    assert broker.peer.all(Disconnect)
    assert b"never" not in payloads(broker.peer)


async def test_so_does_the_brokers_refusal(broker: FakeBroker) -> None:
    broker.answers[Publish] = lambda peer, packet: peer.send(
        PubAck(packet.packet_id, ReasonCode.NOT_AUTHORIZED)
    )
    with pytest.raises(RequestRefusedError, match="'status'"):
        async with broker.client(on_connect=birth):
            pytest.fail("it was entered")


async def test_leaving_does_not_wait_for_it(broker: FakeBroker) -> None:
    async def never(_client: Client) -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(5) as scope:
        async with broker.client(on_connect=never):
            pytest.fail("it was entered")
    assert scope.cancelled_caught
    assert broker.peer.all(Disconnect)


async def test_it_is_a_function(broker: FakeBroker) -> None:
    with pytest.raises(TypeError, match="on_connect is a function, not str"):
        async with broker.client(on_connect="say"):
            pytest.fail("it was entered")
