"""What subscribers have in common is encoded once, and nobody gets what is another's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311, Raw
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.routing.batch import KEPT_ENCODINGS, Batch
from trio_mqtt.broker.routing.sizes import BATCH, MESSAGE
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish, PublishRun, Subscription


async def test_every_kind_of_subscriber_gets_its_own_form_of_one_batch(
    join: Join, version: ProtocolVersion
) -> None:
    kinds = list(itertools.product((V311, V5), (0, 1, 2), (False, True), (None, 7)))
    clients: list[tuple[Raw, int, bool, int | None]] = []
    for number, (kind, qos, keep, identifier) in enumerate(kinds):
        if kind == V311 and (keep or identifier):
            continue
        client = await join(f"s{number}", kind)
        await client.subscribe(
            Subscription("t/#", qos, retain_as_published=keep), identifier=identifier
        )
        clients.append((client, qos, keep, identifier))
    publisher = await join("p", version)
    sent = [
        Publish(f"t/{topic}", b"%d" % number, qos, retain, packet_id=number * bool(qos),
                properties={"message_expiry_interval": 60} if version == V5 and expires else {})
        for number, (topic, qos, retain, expires) in enumerate(
            itertools.product("ab", (0, 1, 2), (False, True), (False, True)), 1
        )
    ]  # fmt: skip
    runs = [Publish("t/a", b"run %d" % number) for number in range(5)]
    await publisher.send(*sent)
    await publisher.send(*runs)
    await publisher.send(*runs[:2], *sent[:3], *runs[2:])
    expected = [*sent, *runs, *runs[:2], *sent[:3], *runs[2:]]
    # The identifier of QoS 2 was not released: its repetition is none.
    repeated = {id(message) for message in sent[:3] if message.qos == 2}
    assert not repeated
    for client, qos, keep, identifier in clients:
        found = await client.take()
        assert [(m.topic, m.payload, m.qos, m.retain) for m in found] == [
            (m.topic, m.payload, min(m.qos, qos), m.retain and keep) for m in expected
        ]
        for got, put in zip(found, expected, strict=True):
            wanted = dict(put.properties) if client.version == V5 else {}
            if identifier:
                wanted["subscription_identifier"] = [identifier]
            assert got.properties == wanted


@pytest.mark.parametrize("sent_qos", [0, 1])
async def test_a_run_reaches_all_who_get_it_in_one_way_without_being_taken_apart(
    join: Join, version: ProtocolVersion, sent_qos: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients: list[tuple[Raw, int, int | None]] = []
    for number, (kind, qos, identifier) in enumerate(
        itertools.product((V311, V5), (0, 1, 2), (None, 7))
    ):
        if kind == V5 or identifier is None:
            client = await join(f"s{number}", kind)
            await client.subscribe("t/#", qos=qos, identifier=identifier)
            clients.append((client, qos, identifier))

    def take_apart(_run: PublishRun, _count: int) -> list[Publish]:
        raise AssertionError("it was taken apart")

    monkeypatch.setattr(PublishRun, "first", take_apart)
    publisher = await join("p", version)
    sent = [
        Publish(f"t/{number // 30}", b"%d" % number, sent_qos, packet_id=(number + 1) * sent_qos)
        for number in range(100)
    ]
    await publisher.send(*sent)
    for client, qos, identifier in clients:
        properties = {"subscription_identifier": [identifier]} if identifier else {}
        assert [(m.topic, m.payload, m.qos, m.properties) for m in await client.take()] == [
            (m.topic, m.payload, min(qos, sent_qos), properties) for m in sent
        ]


async def test_a_batch_remembers_only_a_few_encodings(broker: Broker) -> None:
    batch = Batch([Publish("t", b"x" * 100, 1, properties={"message_expiry_interval": 1_000})])
    for identifier in range(1, 100):
        target = Target(None, 1, False, (identifier,), False)  # type: ignore[arg-type]  # unused
        (entry,), joined = batch.encoded(target, True, None, float(identifier))
        assert joined is None
        assert isinstance(entry, tuple)
        assert len(batch._encodings) <= KEPT_ENCODINGS


@pytest.mark.parametrize("size", [50, 300_000])
async def test_the_size_of_a_batch_is_that_of_its_messages(
    join: Join, broker: Broker, size: int
) -> None:
    client = await join("c", lockstep=True)
    await client.subscribe("t")
    publisher = await join("p")
    sizes: list[int] = []
    route = core_of(broker).route

    def spy(batch: Batch, retained: Sequence[Publish]) -> Sequence[Publish]:
        sizes.append(batch.size)
        return route(batch, retained)

    core_of(broker).route = spy  # type: ignore[method-assign, assignment]  # a test
    await publisher.send(*(Publish("t", b"x" * size) for _ in range(5)))
    await publisher.ping()
    assert sum(sizes) >= 5 * size
    # And what the objects that hold them occupy.
    assert sum(sizes) < 5 * (size + BATCH + MESSAGE) + 200


def test_those_with_as_much_room_share_the_part_for_which_it_is() -> None:
    """At a flood, a hundred queues are full at once: each message is looked at once for all."""
    batch = Batch([Publish("t", b"x" * 1_000, 1, packet_id=n) for n in range(1, 11)])
    each = (batch.size - BATCH) // 10
    first = batch.first(3, 100 * each)
    assert first is not None
    assert list(first.messages) == list(batch.messages[:3])
    assert batch.first(100, 3 * each) is first
    assert batch.first(100, 4 * each - 1) is first
    assert batch.first(100, 4 * each) is not first
    assert batch.first(10, 10 * each) is batch
    assert batch.first(10, each - 1) is None
    assert batch.first(0, 10 * each) is None
