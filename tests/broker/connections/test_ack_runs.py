"""Acknowledgements of a whole read: answered at once, and as if each had come alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.broker.conftest import Join, in_virtual_time
from tests.broker.raw import V5, V311, Raw
from tests.inside import sessions_of
from trio_mqtt import Broker
from trio_mqtt.events import MessageAcknowledged
from trio_mqtt.protocol.ack_runs import encode_ack_run
from trio_mqtt.protocol.delivery import Sender
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscription,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker

PUBACK, PUBREC = PacketType.PUBACK, PacketType.PUBREC
PUBREL, PUBCOMP = PacketType.PUBREL, PacketType.PUBCOMP
NOT_FOUND = ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
VERSIONS = pytest.mark.parametrize("version", [V311, V5], ids=lambda v: v.text)


def written_to(broker: Broker, client_id: str) -> list[bytes]:
    """What the broker writes to a client from now on, write by write; it gets none of it."""
    writes: list[bytes] = []

    def send_nowait(data: bytes) -> int:
        writes.append(data)
        return len(data)

    outlet = sessions_of(broker)[client_id].outlet
    assert outlet is not None
    outlet._send_nowait = send_nowait
    return writes


async def sent(client: Raw, *packets: Packet | bytes) -> None:
    """Send packets in one write, and wait until the broker has done what they ask for."""
    await client.send(*packets)
    await trio.testing.wait_all_tasks_blocked()


def messages(count: int, topic: str = "t") -> Iterable[Publish]:
    return [Publish(topic, b"x", 2, packet_id=packet_id) for packet_id in range(1, count + 1)]


@VERSIONS
async def test_the_messages_of_a_read_are_received_and_released_by_one_write_each(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    await (await join("s")).subscribe("t")
    client = await join("c", version)
    writes = written_to(broker, "c")
    await sent(client, *messages(300))
    await sent(client, *messages(300))  # again, as PUBREC may have been lost
    await sent(client, encode_ack_run(PUBREL, range(1, 301)))
    received = encode_ack_run(PUBREC, range(1, 301))
    assert writes == [received, received, encode_ack_run(PUBCOMP, range(1, 301))]
    session = sessions_of(broker)["c"]
    assert session.receiver.accepted == set()
    statistics = broker.statistics
    assert statistics.messages_received == 600
    assert statistics.messages_sent == 300
    assert statistics.kinds_received["PUBREL", 0] == 300
    assert (statistics.kinds_sent["PUBREC", 0], statistics.kinds_sent["PUBCOMP", 0]) == (600, 300)


@VERSIONS
async def test_deliveries_are_released_by_one_write(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    client = await join("c", version)
    await client.subscribe("t", qos=2)
    await (await join("p")).send(*messages(100))
    packet_ids = [message.packet_id for message in await client.messages()]
    assert len(packet_ids) == 100
    session = sessions_of(broker)["c"]
    quota = session.sender.quota
    writes = written_to(broker, "c")
    with broker.events(MessageAcknowledged) as events:
        await sent(client, encode_ack_run(PUBREC, packet_ids))
        assert writes == [encode_ack_run(PUBREL, packet_ids)]
        told = aiter(events)
        for _ in packet_ids:
            assert await anext(told) == MessageAcknowledged("c", "t", 2)
    assert list(session.sender.released) == packet_ids
    await sent(client, encode_ack_run(PUBREC, packet_ids))  # PUBREL may have been lost
    assert writes == [encode_ack_run(PUBREL, packet_ids)] * 2
    await sent(client, encode_ack_run(PUBCOMP, packet_ids))
    assert len(writes) == 2
    assert (len(session.sender), session.sender.quota) == (0, quota + 100)


@pytest.mark.parametrize(("kind", "answer"), [(PUBREL, PubComp), (PUBREC, PubRel)])
@VERSIONS
async def test_a_flood_about_nothing_is_answered_by_few_writes(
    join: Join,
    broker: Broker,
    version: ProtocolVersion,
    kind: PacketType,
    answer: type[PubComp | PubRel],
) -> None:
    client = await join("c", version)
    writes = written_to(broker, "c")
    packet_ids = range(1, 3_001)
    await sent(client, encode_ack_run(kind, packet_ids))
    assert len(writes) <= 4
    code = NOT_FOUND if version == V5 else ReasonCode.SUCCESS
    assert b"".join(writes) == b"".join(
        encode(answer(packet_id, code), version) for packet_id in packet_ids
    )
    assert broker.statistics.kinds_sent[answer.__name__.upper(), code] == 3_000


async def test_what_breaks_the_rules_comes_after_the_answers_to_what_came_before_it(
    join: Join, broker: Broker
) -> None:
    client = await join("c")
    await client.subscribe("t", qos=2)
    await (await join("p")).send(
        *messages(2), Publish("t", b"x", 1, packet_id=9), *messages(1, "nobody")
    )
    first, second, third = [message.packet_id for message in await client.messages()]
    await client.send(encode_ack_run(PUBREC, [first, 77, third, second]))
    assert await client.expect(PubRel) == PubRel(first)
    assert await client.expect(PubRel) == PubRel(77, NOT_FOUND)
    await client.expect_disconnect(ReasonCode.PROTOCOL_ERROR)


async def test_a_refused_message_that_is_released_at_once_is_not_known(join: Join) -> None:
    client = await join("c", properties={"request_problem_information": 0})
    await client.send(
        Publish("$SYS/x", b"", 2, packet_id=1), Publish("t", b"", 2, packet_id=2),
        PubRel(1), PubRel(2),
    )  # fmt: skip
    assert await client.drain() == [
        PubRec(1, ReasonCode.NOT_AUTHORIZED),
        PubRec(2, ReasonCode.NO_MATCHING_SUBSCRIBERS),
        PubComp(1, NOT_FOUND),
        PubComp(2),
    ]


async def run(packets: Sequence[Packet], version: ProtocolVersion, *, whole: bool) -> list[object]:
    """All that a client is told, and what the broker knows then."""
    async with open_memory_broker() as memory:
        client = Raw(memory.connect(), version)
        await client.connect("c", properties={"receive_maximum": 8})
        await client.subscribe("t", qos=2)
        for number in range(8):
            await memory.broker.publish("t", str(number), qos=1 + number % 3 % 2)
        before = await client.drain()
        if whole:
            await client.send(*packets)
        else:
            for packet in packets:
                try:
                    await client.send(packet)
                except trio.BrokenResourceError:
                    break
                await trio.testing.wait_all_tasks_blocked()
        told = await client.drain()
        session = sessions_of(memory.broker).get("c")
        found: list[object] = [before, told]
        if session is not None:
            sender = session.sender
            found += [list(sender.in_flight), list(sender.released), sender.quota]
            found.append(set(session.receiver.accepted))
        statistics = memory.broker.statistics
        found += [dict(statistics.kinds_sent), statistics.other_packets_sent]
        if session is not None:
            found += [dict(statistics.kinds_received), statistics.packets_received]
            found.append(statistics.messages_received)
        return found


IDENTIFIERS = st.integers(1, 8)
PACKETS = st.one_of(
    st.builds(PubAck, IDENTIFIERS),
    st.builds(PubRec, IDENTIFIERS),
    st.builds(PubRec, IDENTIFIERS, st.just(ReasonCode.QUOTA_EXCEEDED)),
    st.builds(PubComp, IDENTIFIERS),
    st.builds(PubRel, IDENTIFIERS),
    st.builds(PubRel, IDENTIFIERS, st.just(NOT_FOUND)),
    st.builds(
        lambda topic, packet_id: Publish(topic, b"x", 2, packet_id=packet_id),
        st.sampled_from(["nobody", "$SYS/forbidden"]),
        IDENTIFIERS,
    ),
    st.builds(lambda packet_id: Publish("nobody", b"x", 1, packet_id=packet_id), st.just(9)),
)


@settings(deadline=None)
@given(packets=st.lists(PACKETS, max_size=12), version=st.sampled_from([V311, V5]))
@example([PubRec(2), PubRec(5), PubComp(2), PubComp(5)], V5)
@example([*messages(3), PubRel(1), PubRel(2), *messages(3), PubRel(3)], V5)
@example([Publish(topic, b"x", 2, packet_id=1) for topic in ("$SYS/forbidden", "nobody")] * 2, V5)
@example([Publish("nobody", b"x", 2, packet_id=1), PubRel(1), PubRel(1)] * 2, V5)
def test_a_whole_read_is_its_packets_one_by_one(
    packets: list[Packet], version: ProtocolVersion
) -> None:
    outcomes: list[list[object]] = []

    async def both() -> None:
        outcomes.append(await run(packets, version, whole=True))
        outcomes.append(await run(packets, version, whole=False))

    in_virtual_time(both)
    assert outcomes[0] == outcomes[1]


@pytest.mark.pure("calls of a class are counted")
async def test_pubacks_that_come_as_the_messages_went_are_not_looked_at_one_by_one(
    join: Join, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber, publisher = await join("s"), await join("p")
    await subscriber.subscribe(Subscription("t", 1))
    looked_at: list[object] = []
    monkeypatch.setattr(Sender, "on_run", lambda *call: looked_at.append(call))
    await sent(publisher, *[Publish("t", b"x", 1, packet_id=at) for at in range(1, 21)])
    packet_ids = [(await subscriber.expect(Publish)).packet_id for _ in range(20)]
    await sent(subscriber, *[PubAck(packet_id) for packet_id in packet_ids])
    sender = sessions_of(broker)["s"].sender
    assert (looked_at, len(sender)) == ([], 0)
