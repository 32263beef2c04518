"""A run of QoS 1 that reaches many at once: what they have in common is made once."""

from __future__ import annotations

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311
from tests.inside import sessions_of
from trio_mqtt import Broker
from trio_mqtt.events import MessageDelivered
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.protocol.run_frames import RunFrames

COUNT = 20


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first packet identifiers of the runs that are made from now on."""
    firsts: list[int] = []
    with_identifiers = RunFrames.with_identifiers

    def note(frames: RunFrames, first: int, count: int, packet_id: int) -> bytes:
        firsts.append(packet_id)
        return with_identifiers(frames, first, count, packet_id)

    monkeypatch.setattr(RunFrames, "with_identifiers", note)
    return firsts


def run_of(round_: int) -> list[Publish]:
    return [Publish("t", b"%d/%02d" % (round_, at), 1, packet_id=at + 1) for at in range(COUNT)]


@pytest.mark.pure("calls are counted")
async def test_those_who_get_the_same_identifiers_get_the_same_bytes(
    join: Join, made: list[int]
) -> None:
    subscribers = [await join(f"s{number}", V311) for number in range(3)]
    for one in subscribers:
        await one.subscribe("t", qos=1)
    publisher = await join("p", V311)
    for round_ in range(2):
        await publisher.send(*run_of(round_))
        for one in subscribers:
            sent = await one.messages()
            assert [message.payload for message in sent] == [
                message.payload for message in run_of(round_)
            ]
            await one.send(*[PubAck(message.packet_id) for message in sent])
    assert made == [1, COUNT + 1]


async def test_each_gets_its_own_identifiers_and_has_its_own_in_flight(
    join: Join, broker: Broker
) -> None:
    versions = {"same": V5, "ahead": V5, "3": V311, "identified": V5, "at 0": V5}
    clients = {name: await join(name, version) for name, version in versions.items()}
    # One has been sent some before, and has not acknowledged them.
    await clients["ahead"].subscribe("before", qos=1)
    publisher = await join("p", V5)
    await publisher.send(*[Publish("before", b"x", 1, packet_id=at + 1) for at in range(5)])
    assert [one.packet_id for one in await clients["ahead"].messages()] == [*range(1, 6)]
    for name, client in clients.items():
        await client.subscribe(
            "t", qos=name != "at 0", identifier=7 if name == "identified" else None
        )
    await publisher.drain()
    await trio.sleep(1)
    with broker.sample(MessageDelivered, limit=1_000) as delivered:
        await publisher.send(*run_of(0))
        received = {name: await client.messages() for name, client in clients.items()}
        told = delivered.take()
    assert len(told) == len(clients) * COUNT
    for name, sent in received.items():
        first = 6 if name == "ahead" else 1
        identifiers = [0] * COUNT if name == "at 0" else [*range(first, first + COUNT)]
        assert [one.packet_id for one in sent] == identifiers
        assert [one.payload for one in sent] == [one.payload for one in run_of(0)]
        assert {one.properties.get("subscription_identifier", [0])[0] for one in sent} == {
            7 if name == "identified" else 0
        }
    # What one acknowledges is in flight to the others still.
    await clients["same"].send(*[PubAck(at) for at in range(1, COUNT // 2 + 1)])
    await clients["same"].ping()
    sessions = sessions_of(broker)
    assert {name: len(sessions[name].sender) for name in clients} == {
        "same": COUNT // 2,
        "ahead": COUNT + 5,
        "3": COUNT,
        "identified": COUNT,
        "at 0": 0,
    }
    assert {session.queued_messages for session in sessions.values()} == {0}
    assert broker.statistics.queued_bytes == 0
