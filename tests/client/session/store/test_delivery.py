"""What a client with a store has to deliver is delivered, by it or by the next."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.client.fake_broker import FakeBroker
from tests.client.session.store.stores import Opens, delivered, kept, present
from tests.client.sessions import assert_nobody_waits, session_of
from trio_mqtt import Backoff, Client, LocalProtocolError, ReasonCode, RequestRefusedError
from trio_mqtt.client.session import outgoing
from trio_mqtt.protocol.packets import ConnAck, Connect, PubAck, PubComp, Publish, PubRec, PubRel
from trio_mqtt.storage.client_changes import ClientChange
from trio_mqtt.storage.client_store import ClientStore

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("qos", [1, 2])
async def test_messages_leave_in_the_order_of_the_calls(
    broker: FakeBroker, client: Opens, monkeypatch: pytest.MonkeyPatch, qos: int
) -> None:
    monkeypatch.setattr(outgoing, "MAX_STORED", 3)
    broker.connack = ConnAck(properties={"receive_maximum": 2})
    called: list[int] = []
    async with client() as one:

        async def publish(operation: Callable[..., Awaitable[object]]) -> None:
            for _ in range(5):
                called.append(len(called))
                await operation("t", str(called[-1]), qos=qos)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(publish, one.publish)
                tasks.start_soon(publish, one.enqueue)
        await delivered(one)
    assert [int(packet.payload) for packet in broker.peer.all(Publish)] == called


@pytest.mark.parametrize("session_present", [True, False])
@pytest.mark.parametrize("version", [4, 5])
async def test_what_is_unacknowledged_is_sent_again_by_the_next_client(
    broker: FakeBroker, client: Opens, path: Path, session_present: bool, version: int
) -> None:
    present(broker, False, session_present, True)
    async with client(protocol_version=version) as first:
        broker.peer.mute = {Publish}
        for number in range(6):
            await first.enqueue(f"t/{number}", b"%d" % number, qos=1 + number % 2, retain=True)
        assert first.undelivered == 6
        client_id = first.client_id
    sent = broker.peer.all(Publish)
    async with client(protocol_version=version) as second:
        assert second.client_id == client_id
        await delivered(second)
    again = broker.peers[1].all(Publish)
    assert [(one.topic, one.payload, one.qos, one.retain) for one in again] == [
        (one.topic, one.payload, one.qos, one.retain) for one in sent
    ]
    assert [one.packet_id for one in again] == [one.packet_id for one in sent]
    assert [one.dup for one in again] == [session_present] * 6
    assert kept(path) == []
    async with client(protocol_version=version):
        pass
    assert broker.peers[2].all(Publish) == []
    assert not any(one.clean_start for peer in broker.peers for one in peer.all(Connect))


async def test_properties_are_kept(broker: FakeBroker, client: Opens) -> None:
    properties: Any = {"content_type": "x", "user_property": [("a", "b")], "correlation_data": b"1"}
    async with client() as first:
        broker.peer.mute = {Publish}
        await first.enqueue("t", "ü", properties=properties)
    async with client() as second:
        again = await broker.peer.expect(Publish)
        assert (again.payload.decode(), again.properties) == ("ü", properties)
        assert second.client_id


async def test_a_released_message_of_qos_2_is_not_sent_again(
    broker: FakeBroker, client: Opens, path: Path
) -> None:
    present(broker, False, True)
    async with client() as first:
        broker.peer.mute = {PubRel}
        await first.enqueue("t", qos=2)
        released = await broker.peer.expect(PubRel)
    async with client() as second:
        assert (await broker.peer.expect(PubRel)).packet_id == released.packet_id
        await delivered(second)
        assert broker.peer.all(Publish) == []
    assert kept(path) == []


async def test_a_message_that_the_broker_lost_by_halves_is_given_up(
    broker: FakeBroker, client: Opens, path: Path
) -> None:
    async with client() as first:
        broker.peer.mute = {PubRel}
        await first.enqueue("t", qos=2)
        await broker.peer.expect(PubRel)
    async with client() as second:
        assert second.undelivered == 0
    assert broker.peer.all(Publish) == broker.peer.all(PubRel) == []
    assert kept(path) == []


class Held:
    """Holds up the disk, and counts commits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits: list[int] = []
        self.entered = threading.Event()
        self.let = threading.Event()
        apply = ClientStore.apply

        def held(store: ClientStore, changes: Iterable[ClientChange]) -> None:
            changes = list(changes)
            self.commits.append(len(changes))
            self.entered.set()
            assert self.let.wait(60)
            apply(store, changes)

        monkeypatch.setattr(ClientStore, "apply", held)


async def test_nothing_is_sent_before_it_is_safe_and_commits_are_shared(
    broker: FakeBroker, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    async with client() as one:
        held.entered.clear()
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(partial(one.publish, f"t/{number}", qos=1))
            await anyio.to_thread.run_sync(held.entered.wait)
            assert broker.peer.all(Publish) == []
            held.let.set()
        topics = [packet.topic for packet in broker.peer.all(Publish)]
        assert sorted(topics) == sorted(f"t/{number}" for number in range(100))
        assert len(held.commits) < 20
        # In the order of the store.
        assert [packet.packet_id for packet in broker.peer.all(Publish)] == list(range(1, 101))


async def test_publishing_waits_for_the_acknowledgement(broker: FakeBroker, client: Opens) -> None:
    async with client() as one:
        assert await one.publish("t", qos=1) is ReasonCode.SUCCESS
        assert await one.publish("t", qos=2) is ReasonCode.SUCCESS
        assert await one.publish_many([("a", "1"), ("b", "2")], qos=2) == 2
        broker.answers[Publish] = lambda peer, packet: peer.send(
            PubAck(packet.packet_id, ReasonCode.QUOTA_EXCEEDED)
        )
        with pytest.raises(RequestRefusedError):
            await one.publish("t", qos=1)
        assert one.undelivered == 0
        await one.publish("t", qos=0)


async def test_a_refusal_that_nobody_waits_for_is_logged(
    broker: FakeBroker, client: Opens, caplog: pytest.LogCaptureFixture
) -> None:
    async with client() as one:
        broker.answers[Publish] = lambda peer, packet: peer.send(
            PubAck(packet.packet_id, ReasonCode.QUOTA_EXCEEDED)
        )
        await one.enqueue("refused/topic")
        await delivered(one)
    assert "'refused/topic': quota exceeded" in caplog.text


async def test_messages_are_stored_without_a_connection(
    broker: FakeBroker, client: Opens, path: Path
) -> None:
    async with client() as one:
        broker.down = True
        broker.peer.end()
        while one.connected:
            await checkpoint()
        await one.enqueue("offline", qos=2)
        with anyio.move_on_after(0.05) as scope:
            await one.publish("cancelled", qos=1)
        assert scope.cancelled_caught
    assert kept(path) == ["offline"]
    broker.down = False
    async with client() as one:
        assert (await broker.peer.expect(Publish)).topic == "offline"


async def test_who_stores_more_than_the_bound_waits(
    broker: FakeBroker, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "MAX_STORED", 3)
    async with client() as one:
        peer = broker.peer
        peer.mute = {Publish}
        for _ in range(3):
            await one.enqueue("t")
        with anyio.move_on_after(0.05) as scope:
            await one.enqueue("t")
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.enqueue, "fourth")
            await anyio.wait_all_tasks_blocked()
            peer.send(PubAck(peer.all(Publish)[0].packet_id))
        assert one.undelivered == 3


async def test_the_receive_maximum_holds(broker: FakeBroker, client: Opens) -> None:
    broker.connack = ConnAck(properties={"receive_maximum": 2})
    async with client() as one:
        peer = broker.peer
        peer.mute = {Publish}
        for number in range(5):
            await one.enqueue(f"t/{number}")
        for number in range(5):
            assert (await peer.expect(Publish)).topic == f"t/{number}"
            assert len(peer.all(Publish)) <= number + 2
            peer.send(PubAck(number + 1))
        await delivered(one)


# Receiving


async def test_a_received_message_of_qos_2_does_not_come_twice(
    broker: FakeBroker, client: Opens
) -> None:
    present(broker, False, True, True)
    async with client() as first, first.subscribe("t", qos=2) as messages:
        broker.peer.mute = {PubRec}
        broker.peer.publish("t", b"once", qos=2, packet_id=7)
        assert (await anext(messages)).payload == b"once"
        await broker.peer.expect(PubRec)
    async with client() as second, second.subscribe("t", qos=2) as messages:
        broker.peer.publish("t", b"once", qos=2, packet_id=7, dup=True)
        assert (await broker.peer.expect(PubComp)).packet_id == 7
        broker.peer.publish("t", b"other", qos=2, packet_id=7)
        assert (await anext(messages)).payload == b"other"
        assert len(messages) == 0
        while len(broker.peer.all(PubComp)) < 2:
            await checkpoint()


async def test_what_the_program_had_not_acknowledged_comes_again(
    broker: FakeBroker, client: Opens
) -> None:
    present(broker, False, True)
    async with (
        client() as first,
        first.subscribe("t", qos=2, manual_acknowledgement=True) as messages,
    ):
        broker.peer.publish("t", b"1", qos=2, packet_id=7)
        await anext(messages)
    async with client() as second, second.subscribe("t", qos=2) as messages:
        broker.peer.publish("t", b"1", qos=2, packet_id=7, dup=True)
        assert (await anext(messages)).payload == b"1"


async def test_a_new_session_forgets_what_was_received(broker: FakeBroker, client: Opens) -> None:
    async with client() as first, first.subscribe("t", qos=2) as messages:
        broker.peer.mute = {PubRec}
        broker.peer.publish("t", b"1", qos=2, packet_id=7)
        await anext(messages)
        await broker.peer.expect(PubRec)
    async with client() as second, second.subscribe("t", qos=2) as messages:
        broker.peer.publish("t", b"another", qos=2, packet_id=7)
        assert (await anext(messages)).payload == b"another"


# Cancelling


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("form", ["publish", "enqueue"])
async def test_cancelling_at_any_step_leaves_nothing_half_done(
    broker: FakeBroker, client: Opens, path: Path, qos: int, form: str
) -> None:
    async with client() as one:
        for steps in range(40):
            async with anyio.create_task_group() as tasks:
                operation: Any = one.publish if form == "publish" else one.enqueue
                tasks.start_soon(partial(operation, "t", qos=qos))
                for _ in range(steps):
                    await checkpoint()
                tasks.cancel_scope.cancel()
        with anyio.fail_after(60):
            await delivered(one)
        sender = session_of(one).outgoing.sender
        assert sender.quota == sender.receive_maximum
        assert_nobody_waits(one)
        await one.publish("last", qos=qos)
    assert kept(path) == []


async def test_without_a_store_nothing_is_enqueued(broker: FakeBroker) -> None:
    async with broker.client() as one:
        with pytest.raises(LocalProtocolError, match="store=PATH"):
            await one.enqueue("t")


async def test_wrong_arguments_are_told_at_once(client: Opens) -> None:
    async with client() as one:
        for topic, payload, qos in [("a/+", b"", 1), ("a", b"", 0), ("a", b"", 3), ("", b"", 1)]:
            with pytest.raises(ValueError, match=r"."):
                await one.enqueue(topic, payload, qos=qos)
        with pytest.raises(TypeError):
            await one.enqueue("a", 1.5)  # type: ignore[arg-type]  # that is what is tested
        assert one.undelivered == 0


async def test_a_clean_start_may_be_asked_for(broker: FakeBroker, path: Path) -> None:
    async with broker.client(store=path) as one:
        broker.peer.mute = {Publish}
        await one.enqueue("t", qos=2)
    async with broker.client(store=path, clean_start=True, session_expiry_interval=5) as one:
        assert not (await broker.peer.expect(Publish)).dup
        connect = broker.peer.all(Connect)[0]
        assert connect.clean_start
        assert connect.properties["session_expiry_interval"] == 5
    assert broker.peers[0].all(Connect)[0].properties["session_expiry_interval"] == 86_400


async def test_what_a_batch_had_begun_is_sent_by_the_next_client(
    broker: FakeBroker, client: Opens
) -> None:
    broker.prepare = lambda peer: peer.mute.add(Publish)
    broker.connack = ConnAck(properties={"receive_maximum": 5})
    messages = [("t", str(number)) for number in range(100)]
    async with client() as first, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: first.publish_many(messages, qos=1))
        begun = [(await broker.peer.expect(Publish)).payload for _ in range(5)]
        tasks.cancel_scope.cancel()
    broker.prepare = lambda _peer: None
    async with client() as second:
        again = [(await broker.peer.expect(Publish)).payload for _ in range(5)]
        await delivered(second)
    assert again == begun == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_batch_is_delivered_with_a_store(broker: FakeBroker, client: Opens) -> None:
    messages = [("t", str(number)) for number in range(100)]
    async with client() as first:
        assert await first.publish_many(messages, qos=1) == 100
        assert first.undelivered == 0
    assert [packet.payload for packet in broker.peer.all(Publish)] == [
        payload.encode() for _, payload in messages
    ]


async def test_what_only_stands_in_the_store_waits_for_what_is_said_first(
    broker: FakeBroker, client: Opens
) -> None:
    async def say(client: Client) -> None:
        await client.publish("status", "here", qos=1)

    async with client(on_connect=say) as one:
        broker.down = True
        broker.peer.end()
        await anyio.wait_all_tasks_blocked()
        await one.enqueue("t", "stored")
        broker.down = False
        with anyio.fail_after(60):
            peer = await broker.connection(2)
            await delivered(one)
    assert [packet.payload for packet in peer.all(Publish)] == [b"here", b"stored"]


async def test_what_is_stored_and_not_sent_can_be_withdrawn(
    broker: FakeBroker, client: Opens
) -> None:
    backoff = Backoff(first=1_000, maximum=1_000)
    async with client(reconnect=backoff) as one:
        broker.down = True
        broker.peer.end()
        with anyio.fail_after(60):
            while one.connected:
                await checkpoint()
        handles = [await one.enqueue("t", str(number)) for number in range(3)]
        assert handles[1].withdraw()
        assert one.undelivered == 2
        broker.down = False
        await one.reconnect()
        for handle in (handles[0], handles[2]):
            assert await handle.wait() is ReasonCode.SUCCESS
        assert [packet.payload for packet in broker.peer.all(Publish)] == [b"0", b"2"]
    async with client() as one:
        assert one.undelivered == 0
