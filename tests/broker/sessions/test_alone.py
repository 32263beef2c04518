"""A message that comes alone is sent by whoever brings it; what follows closely is gathered."""

from __future__ import annotations

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311, Raw
from trio_mqtt import Broker
from trio_mqtt.broker.sessions.outgoing import OutgoingQueue
from trio_mqtt.broker.sessions.queue import ALONE
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, Publish


async def say(client: Raw, *payloads: bytes, qos: int = 0) -> None:
    """Publish all in one read, and wait until the broker has nothing more to do."""
    packets = [
        Publish("t", payload, qos, packet_id=number if qos else 0)
        for number, payload in enumerate(payloads, 1)
    ]
    await client.send(*packets)
    await trio.testing.wait_all_tasks_blocked()


def woken(monkeypatch: pytest.MonkeyPatch) -> list[trio.lowlevel.Task]:
    """The tasks of subscriptions that are woken from now on, one entry for each time."""
    tasks: list[trio.lowlevel.Task] = []
    wake = trio.lowlevel.reschedule

    def note(task: trio.lowlevel.Task) -> None:
        tasks.append(task)
        wake(task)

    monkeypatch.setattr(trio.lowlevel, "reschedule", note)
    return tasks


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_message_that_comes_alone_wakes_no_task(
    join: Join, monkeypatch: pytest.MonkeyPatch, qos: int
) -> None:
    subscriber, publisher = await join("s"), await join("p")
    await subscriber.subscribe("t", qos=qos)
    tasks = woken(monkeypatch)
    for number in range(3):
        await trio.sleep(ALONE)
        await say(publisher, b"%d" % number, qos=qos)
        message = await subscriber.expect_message("t", b"%d" % number, qos)
        assert message.dup is False
    assert tasks == []


async def test_what_follows_closely_of_several_goes_through_the_channel_in_order(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber, one, other = await join("s"), await join("p"), await join("q")
    await subscriber.subscribe("t", qos=1)
    tasks = woken(monkeypatch)
    await trio.sleep(ALONE)
    # The first is written at once; the task begins for the second, and is woken for the others.
    for publisher, payload in ((one, b"1"), (other, b"2"), (one, b"3"), (other, b"4")):
        await publisher.send(Publish("t", payload))
        await trio.testing.wait_all_tasks_blocked()
    assert len(tasks) == 2
    for payload in (b"1", b"2", b"3", b"4"):
        await subscriber.expect_message("t", payload)


@pytest.mark.parametrize("count", [1, 20])
async def test_what_follows_closely_of_one_wakes_no_task(
    join: Join, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    subscriber, publisher = await join("s"), await join("p")
    await subscriber.subscribe("t", qos=1)
    tasks = woken(monkeypatch)
    await trio.sleep(ALONE)
    payloads = [b"%d" % number for number in range(4 * count)]
    for at in range(0, len(payloads), count):
        await say(publisher, *payloads[at : at + count], qos=1)
    assert tasks == []
    for payload in payloads:
        await subscriber.expect_message("t", payload, 1)


async def test_messages_beyond_the_receive_maximum_wait_in_the_channel(join: Join) -> None:
    subscriber = await join("s", properties={"receive_maximum": 2})
    publisher = await join("p")
    await subscriber.subscribe("t", qos=1)
    await trio.sleep(ALONE)
    await say(publisher, b"1", b"2", b"3", qos=1)
    for payload in (b"1", b"2"):
        message = await subscriber.expect_message("t", payload, 1)
    await trio.sleep(ALONE)
    await subscriber.send(PubAck(message.packet_id))
    await subscriber.expect_message("t", b"3", 1)


@pytest.mark.pure("a defect is planted")
@pytest.mark.parametrize(
    ("method", "version", "qos", "count"),
    [("_send_frame", V5, 0, 1), ("_prepare", V311, 0, 1), ("_send_run", V5, 1, 20)],
    ids=["as it came", "encoded", "a run"],
)
async def test_a_defect_in_sending_does_not_reach_the_publisher(
    join: Join,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    version: ProtocolVersion,
    qos: int,
    count: int,
) -> None:
    subscriber, other = await join("s", version), await join("o", version)
    publisher = await join("p", V5)
    await subscriber.subscribe("t", qos=qos)
    await other.subscribe("t", qos=qos)
    send = getattr(OutgoingQueue, method)
    failures = iter([True, False])

    def fail_once(queue: OutgoingQueue, *args: object) -> object:
        if next(failures):
            raise ValueError("a defect")
        return send(queue, *args)

    monkeypatch.setattr(OutgoingQueue, method, fail_once)
    await trio.sleep(ALONE)
    await say(publisher, *[b"x"] * count, qos=qos)
    assert await other.payloads() == [b"x"] * count
    await subscriber.expect_closed()
    if qos:
        assert [(await publisher.expect(PubAck)).packet_id for _ in range(count)] == [
            *range(1, count + 1)
        ]
    await publisher.ping()
    assert broker.statistics.clients_connected == 2


async def test_nothing_is_sent_alone_to_a_client_that_has_said_goodbye(
    join: Join, broker: Broker
) -> None:
    subscriber, publisher = await join("s", V5), await join("p", V5)
    await subscriber.subscribe("t")
    await trio.sleep(ALONE)
    await subscriber.disconnect()
    await say(publisher, b"x")
    await publisher.ping()
    assert broker.statistics.messages_sent == 0
