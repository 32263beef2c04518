"""Packets that come alone: done in few steps, and as if they had come among others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest
import trio
import trio.testing

from tests.broker.conftest import in_virtual_time
from tests.broker.raw import V5, V311, Raw
from tests.inside import sessions_of
from trio_mqtt import Security
from trio_mqtt.access import ClientInfo
from trio_mqtt.broker.connections import reading
from trio_mqtt.broker.core import Core
from trio_mqtt.broker.limits import Limits
from trio_mqtt.events import (
    MessageAcknowledged,
    MessageDelivered,
    MessagePublished,
    MessagesDropped,
)
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, Publish, Subscribe, Subscription
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.testing import MemoryBroker, open_memory_broker

# What a client takes no more than.
BOUNDS: dict[str, Properties] = {
    "maximum_packet_size": {"maximum_packet_size": 80},
    "receive_maximum": {"receive_maximum": 1},
}
APART = 1.0  # seconds after which a message comes alone to a subscription


class Rules:
    """Topics whose name says who may not do what."""

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return topic != "t/unsaid"

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return topic != "t/unheard"

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return True


async def told(
    memory: MemoryBroker,
    version: ProtocolVersion,
    *,
    qos: int,
    apart: float,
    acknowledges: bool = True,
    expiry: int | None = None,
) -> list[object]:
    """What clients are told where one publishes, message by message, and what is counted."""
    publisher = Raw(memory.connect(), version)
    await publisher.connect("publisher")
    found: list[object] = []
    subscribers: list[Raw] = []
    for name, by, options, identifier in (
        ("same", version, Subscription("t/+", 1), None),
        ("other", V311 if version == V5 else V5, Subscription("t/+", 1), None),
        ("plain", version, Subscription("t/+", 0), None),
        ("exact", V5, Subscription("t/heard", 1, retain_as_published=True), 7),
        ("twice", version, Subscription("t/heard", 1), None),
    ):
        one = Raw(memory.connect(), by)
        await one.connect(name, expiry=expiry if name == "same" else None, clean_start=not expiry)
        properties: Properties = {}
        if identifier is not None:
            properties = {"subscription_identifier": [identifier]}
        await one.send(Subscribe(1, [options], properties))
        if name == "twice":
            await one.send(Subscribe(2, [Subscription("t/heard/#", 0, no_local=True)]))
        found.append(await one.drain())
        subscribers.append(one)
    for bound, properties_of in BOUNDS.items():
        one = Raw(memory.connect(), V5)
        await one.connect(bound, properties=properties_of)
        await one.send(Subscribe(1, [Subscription("t/+", 1)]))
        found.append(await one.drain())
        subscribers.append(one)
    for number, topic in enumerate(["t/heard", "t/plain", "t/unheard", "t/unsaid", "u", "t/plain"]):
        payload = b"%d" % number * (100 if topic == "t/unsaid" else 1)
        message = Publish(topic, payload, qos, packet_id=number + 1 if qos else 0)
        await publisher.send(message)
        await trio.sleep(apart)
        if acknowledges:
            for one in subscribers:
                came = await one.drain(0.0)
                found.append(came)
                for packet in came:
                    if isinstance(packet, Publish) and packet.packet_id:
                        await one.send(PubAck(packet.packet_id))
            await trio.testing.wait_all_tasks_blocked()
    found.append(await publisher.drain())
    found += [await one.drain() for one in subscribers]
    for session in sessions_of(memory.broker).values():
        found.append((session.client_id, dict(session.sender.in_flight), session.sender.quota))
        found.append((session.queued_messages, session.queued_bytes))
    statistics = asdict(memory.broker.statistics)
    for name in ("loop_lag", "memory"):
        del statistics[name]
    return [*found, statistics]


Setting = Callable[[], dict[str, object]]
SETTINGS: dict[str, Setting] = {
    "simple": dict,
    "rules": lambda: {"security": Security(access=Rules())},
    "few at once": lambda: {"limits": Limits(maximum_in_flight=1)},
    "kept": lambda: {"storage": MemoryStorage()},
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("apart", [0.0, APART], ids=["close", "apart"])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("acknowledges", [True, False], ids=["acknowledged", "silent"])
def test_what_comes_alone_is_done_as_among_others(
    monkeypatch: pytest.MonkeyPatch,
    version: ProtocolVersion,
    setting: str,
    apart: float,
    qos: int,
    acknowledges: bool,
) -> None:
    outcomes: list[list[object]] = []

    async def run() -> None:
        async with open_memory_broker(**SETTINGS[setting]()) as memory:  # type: ignore[arg-type]
            outcomes.append(
                await told(
                    memory,
                    version,
                    qos=qos,
                    apart=apart,
                    acknowledges=acknowledges,
                    expiry=100 if setting == "kept" else None,
                )
            )

    in_virtual_time(run)
    monkeypatch.setattr(reading, "SMALL", 0)
    in_virtual_time(run)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("followed", [False, True], ids=["quiet", "followed"])
@pytest.mark.parametrize("qos", [0, 1])
async def test_it_takes_no_way_that_others_take(
    memory: MemoryBroker,
    monkeypatch: pytest.MonkeyPatch,
    version: ProtocolVersion,
    qos: int,
    followed: bool,
) -> None:
    kinds = [MessagePublished] if followed else [MessagesDropped]
    with memory.broker.sample(*kinds, limit=4) as sample:  # as the command that shows messages
        publisher, subscriber = (Raw(memory.connect(), version) for _ in range(2))
        await publisher.connect("publisher")
        await subscriber.connect("subscriber")
        await subscriber.subscribe("t", qos=1)
        message = Publish("t", b"x", qos, packet_id=1 if qos else 0)
        await publisher.send(message)  # whom it reaches is known from then on
        await subscriber.drain()

        def fail(*_: object) -> None:
            raise AssertionError("it is not to be routed as others are")

        monkeypatch.setattr(Core, "route", fail)
        for _ in range(3):
            await trio.sleep(APART)
            await publisher.send(message)
            assert len(await subscriber.messages()) == 1
        # Also where it must wait for others.
        await publisher.send(message)
        await publisher.send(message)
        assert len(await subscriber.messages()) == 2
        assert sample.missed_messages + len(sample.take()) == 6 * followed


async def test_it_is_told_as_published_before_it_is_delivered(
    memory: MemoryBroker, version: ProtocolVersion
) -> None:
    publisher, subscriber = (Raw(memory.connect(), version) for _ in range(2))
    await publisher.connect("publisher")
    await subscriber.connect("subscriber")
    await subscriber.subscribe("t", qos=1)
    with memory.broker.sample(MessagePublished, MessageDelivered, limit=4) as sample:
        await publisher.send(Publish("t", b"x", 1, packet_id=1))
        await trio.testing.wait_all_tasks_blocked()
        assert sample.take() == [
            MessagePublished("publisher", "t", b"x", 1, False),
            MessageDelivered("subscriber", "t", 1),
        ]


@pytest.mark.parametrize("kind", [MessagePublished, MessageDelivered, MessageAcknowledged])
async def test_who_follows_messages_hears_of_those_too(
    memory: MemoryBroker, version: ProtocolVersion, kind: type
) -> None:
    publisher, subscriber = (Raw(memory.connect(), version) for _ in range(2))
    await publisher.connect("publisher")
    await subscriber.connect("subscriber")
    await subscriber.subscribe("t", qos=1)
    for _ in range(2):
        with memory.broker.events(kind) as events:
            await publisher.send(Publish("t", b"x", 1, packet_id=1))
            (came,) = await subscriber.messages()
            await subscriber.send(PubAck(came.packet_id))
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(30):
                event = await anext(aiter(events))
        assert type(event) is kind


async def test_timed_messages_are_among_those_that_come_alone(memory: MemoryBroker) -> None:
    publisher, subscriber = (Raw(memory.connect(), V311) for _ in range(2))
    await publisher.connect("publisher")
    await subscriber.connect("subscriber")
    await subscriber.subscribe("t")
    with memory.broker.timing(4) as timing:
        for _ in range(8):
            await trio.sleep(APART)
            await publisher.send(Publish("t", b"x"))
        assert len(await subscriber.messages()) == 8
        assert sum(timing.deliveries.counts) == 2


async def test_part_of_a_packet_is_no_sign_of_life(memory: MemoryBroker) -> None:
    client = Raw(memory.connect(), V311)
    await client.connect("c", keep_alive=10)
    data = encode(Publish("t", b"x" * 50), V311)
    await client.send(data[:5])
    with trio.fail_after(100):
        for byte in data[5:40]:
            await trio.sleep(1)
            try:
                await client.send(bytes([byte]))
            except trio.BrokenResourceError:
                break
        else:
            raise AssertionError("it counted")


@pytest.mark.parametrize("end", [b"\x40\x02\x00\x01", b"\x40\x02\x00\x00"])
async def test_a_puback_alone_may_break_the_rules(memory: MemoryBroker, end: bytes) -> None:
    client = Raw(memory.connect(), V311)
    await client.connect("c")
    await client.subscribe("t", qos=2)
    await memory.broker.publish("t", b"x", qos=2)
    assert len(await client.messages()) == 1
    await client.send(end)
    await client.expect_closed()
