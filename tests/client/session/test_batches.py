"""Publishing many messages at once, and without waiting."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from tests.client.fake_broker import FakeBroker, Peer
from tests.client.sessions import assert_nobody_waits, session_of
from trio_mqtt import ConnectionLostError, LocalProtocolError, ReasonCode, RequestRefusedError
from trio_mqtt.protocol.packets import ConnAck, PubAck, PubComp, Publish, PubRec, PubRel

pytestmark = pytest.mark.anyio


def numbered(count: int) -> list[tuple[str, str]]:
    return [("t", str(number)) for number in range(count)]


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("at_once", [True, False])
async def test_all_arrive_in_order(broker: FakeBroker, qos: int, at_once: bool) -> None:
    broker.sends_at_once = at_once
    broker.connack = ConnAck(properties={"receive_maximum": 20})
    async with broker.client() as client:
        assert await client.publish_many(numbered(1_000), qos=qos) == 1_000
        assert client.undelivered == 0
    sent = broker.peer.all(Publish)
    assert [packet.payload for packet in sent] == [b"%d" % n for n in range(1_000)]
    assert {packet.qos for packet in sent} == {qos}


async def test_it_returns_when_all_are_acknowledged(broker: FakeBroker) -> None:
    broker.prepare = lambda peer: peer.mute.add(Publish)
    returned = False
    async with broker.client() as client, anyio.create_task_group() as tasks:

        async def publish() -> None:
            nonlocal returned
            await client.publish_many(numbered(3), qos=1, retain=True)
            returned = True

        tasks.start_soon(publish)
        packets = [await broker.peer.expect(Publish) for _ in range(3)]
        assert all(packet.retain for packet in packets)
        for packet in packets:
            await anyio.wait_all_tasks_blocked()
            assert not returned
            broker.peer.send(PubAck(packet.packet_id))
    assert returned


async def test_no_more_is_taken_than_can_be_sent(broker: FakeBroker) -> None:
    broker.prepare = lambda peer: peer.mute.add(Publish)
    broker.connack = ConnAck(properties={"receive_maximum": 5})
    taken = 0

    def endless() -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        while True:
            taken += 1
            yield "t", b""

    async with broker.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: client.publish_many(endless(), qos=1))
        await anyio.wait_all_tasks_blocked()
        assert len(broker.peer.all(Publish)) == 5
        assert taken == 6
        tasks.cancel_scope.cancel()


async def test_a_broker_that_does_not_read_holds_up_qos_0(broker: FakeBroker) -> None:
    broker.prepare = lambda peer: setattr(peer, "deaf", False)
    async with broker.client() as client, anyio.create_task_group() as tasks:
        broker.peer.deaf = True
        done = False

        async def publish() -> None:
            nonlocal done
            await client.publish_many([("t", bytes(1_000))] * 1_000)
            done = True

        tasks.start_soon(publish)
        await anyio.wait_all_tasks_blocked()
        assert not done
        broker.peer.hear()
    assert done
    assert len(broker.peer.all(Publish)) == 1_000


async def test_a_refusal_ends_it_when_those_under_way_are_done(broker: FakeBroker) -> None:
    def refuse_third(peer: Peer, packet: Publish) -> None:
        refused = packet.payload == b"3"
        code = ReasonCode.NOT_AUTHORIZED if refused else ReasonCode.SUCCESS
        peer.send(PubAck(packet.packet_id, code))

    broker.answers[Publish] = refuse_third
    broker.connack = ConnAck(properties={"receive_maximum": 2})
    async with broker.client() as client:
        with pytest.raises(RequestRefusedError, match="'t'"):
            await client.publish_many(numbered(100), qos=1)
        assert client.undelivered == 0
    assert 4 <= len(broker.peer.all(Publish)) < 10


async def test_it_goes_on_over_a_new_connection(broker: FakeBroker) -> None:
    broker.next_connacks += [ConnAck(properties={"receive_maximum": 10})]
    broker.prepare = lambda peer: peer.mute.update(
        {Publish} if len(broker.peers) == 1 else ()
    )  # the first answers nothing
    async with broker.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: client.publish_many(numbered(50), qos=1))
        await anyio.wait_all_tasks_blocked()
        broker.peer.end()
        await broker.connection(2)
    sent = [int(packet.payload) for packet in broker.peer.all(Publish)]
    assert sent == list(range(50))


async def test_the_end_of_the_client_ends_it(broker: FakeBroker) -> None:
    broker.prepare = lambda peer: peer.mute.add(Publish)

    async def publish_until_the_end() -> None:
        async with broker.client(reconnect=False) as client, anyio.create_task_group() as tasks:

            async def publish() -> None:
                with pytest.raises(ConnectionLostError):
                    await client.publish_many(numbered(50), qos=1)

            tasks.start_soon(publish)
            await broker.peer.expect(Publish)
            broker.peer.end()

    with pytest.raises(ConnectionLostError):
        await publish_until_the_end()


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_was_begun_goes_on_when_it_is_cancelled(broker: FakeBroker, qos: int) -> None:
    broker.prepare = lambda peer: peer.mute.add(Publish)
    async with broker.client() as client:
        with anyio.move_on_after(1):
            await client.publish_many(numbered(3), qos=qos)
        assert all(
            item.abandoned for _, item in session_of(client).outgoing.sender.in_flight.values()
        )
        for packet in broker.peer.all(Publish):
            answer = PubAck if qos == 1 else PubRec
            broker.peer.send(answer(packet.packet_id))
        if qos == 2:
            await broker.peer.expect(PubRel)
        await anyio.wait_all_tasks_blocked()
        assert client.undelivered == 0
        assert_nobody_waits(client)


async def test_what_is_no_message_ends_it(broker: FakeBroker) -> None:
    async with broker.client() as client:
        for wrong in (("a/#", b""), ("t", 5), (None, b"")):
            for qos in (0, 1):
                with pytest.raises((LocalProtocolError, TypeError)):
                    await client.publish_many(
                        [("t", b""), wrong, ("t", b"")],  # type: ignore[list-item]  # it is wrong
                        qos=qos,
                    )
                await anyio.wait_all_tasks_blocked()
        assert client.undelivered == 0
    assert len(broker.peer.all(Publish)) == 6


async def test_publish_nowait_sends_or_says_that_it_cannot(broker: FakeBroker) -> None:
    async with broker.client() as client:
        client.publish_nowait("t", "1", retain=True, properties={"content_type": "text"})
        client.publish_nowait("t", bytearray(2_000))
        first = await broker.peer.expect(Publish)
        second = await broker.peer.expect(Publish)
        assert (first.payload, first.qos, first.retain) == (b"1", 0, True)
        assert first.properties == {"content_type": "text"}
        assert second.payload == bytes(2_000)
        with pytest.raises(ValueError, match="wildcard"):
            client.publish_nowait("#")
        broker.peer.deaf = True

        def publish_until_full() -> None:
            for _ in range(10_000):
                client.publish_nowait("t", b"")

        with pytest.raises(anyio.WouldBlock):
            publish_until_full()
        broker.peer.hear()
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.WouldBlock):
            client.publish_nowait("t")
        broker.down = False
    assert PubComp not in {type(packet) for packet in broker.peer.received}
