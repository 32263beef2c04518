"""What clients make the broker hold is counted, near the truth, and has a bound."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from tests.broker.conftest import Join
from tests.inside import core_of, sessions_of
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.sessions.delivery_state import RunInFlight
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Connect, PubAck, Publish, PublishRun
from trio_mqtt.protocol.reason_codes import ReasonCode

pytestmark = pytest.mark.slow

V5 = ProtocolVersion.V5
KIB = 1024
MESSAGES = 320  # or one batch, where that is more


@pytest.mark.parametrize("at_once", [1, 64, 1_000])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("size", [0, 64, 1_000, 10_000])
@pytest.mark.parametrize("sizes", [1, 2])
def test_a_batch_that_waits_counts_what_it_occupies(
    sizes: int, size: int, qos: int, at_once: int
) -> None:
    decoder = PacketDecoder(PacketType.CONNECT, runs=True)
    decoder.feed(encode(Connect("c"), V5))
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        held = []
        for start in range(0, max(at_once, MESSAGES), at_once):
            numbers = range(start, start + at_once)
            read = b"".join(
                encode(
                    Publish(
                        "home/kitchen/lamp",
                        b"x" * (size + n % sizes),
                        qos,
                        packet_id=qos * (n + 1),
                    ),
                    V5,
                )
                for n in numbers
            )
            packets = decoder.feed(read)
            if isinstance(packets[0], PublishRun):
                held += [Batch(one) for one in packets if isinstance(one, PublishRun)]
            else:
                held.append(Batch([one for one in packets if isinstance(one, Publish)]))
        del read, packets
        gc.collect()
        truth = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    counted = sum(batch.size for batch in held)
    assert truth <= 1.5 * counted
    assert counted <= 1.5 * truth


class TestInFlight:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_in_flight_bytes=100 * KIB, maximum_in_flight=20)

    @pytest.mark.parametrize("qos", [1, 2])
    async def test_what_is_not_acknowledged_has_a_bound_in_bytes(
        self, join: Join, broker: Broker, qos: int
    ) -> None:
        client = await join("c")
        await client.subscribe("t", qos=qos)
        publisher = await join("p")
        for number in range(10):
            await publisher.publish("t", b"%d" % number * 30 * KIB, qos)
        sent = await client.messages()
        assert [message.payload[:1] for message in sent] == [b"0", b"1", b"2"]
        session = sessions_of(broker)["c"]
        assert 90 * KIB <= session.bytes_in_flight() <= 100 * KIB
        if qos == 1:
            await client.send(PubAck(sent[0].packet_id))
            (another,) = await client.messages()
            assert another.payload[:1] == b"3"

    async def test_small_ones_stay_within_one_and_a_half_times_the_bound(
        self, join: Join, broker: Broker
    ) -> None:
        client = await join("c")
        await client.subscribe("t", qos=1)
        publisher = await join("p")
        for size in (30, 30, 30, *[2] * 30):
            await publisher.publish("t", b"x" * size * KIB, 1)
        await client.messages()
        assert sessions_of(broker)["c"].bytes_in_flight() <= 150 * KIB

    async def test_a_run_counts_as_long_as_one_of_its_messages_is_not_acknowledged(
        self, join: Join, broker: Broker
    ) -> None:
        client = await join("c")
        await client.subscribe("t", qos=1)
        publisher = await join("p")
        kept = 0
        for run in range(15):
            await publisher.send(
                *[Publish("t", b"%d" % number, 1, packet_id=number) for number in range(1, 101)]
            )
            received = 0
            while received < 100:
                messages = await client.messages()
                received += len(messages)
                kept += sum(one.payload == b"1" for one in messages)
                await client.send(*[PubAck(m.packet_id) for m in messages if m.payload != b"1"])
            assert kept == run + 1
            session = sessions_of(broker)["c"]
            items = [item for _, item in session.sender.in_flight.values()]
            runs = {item.run for item in items if isinstance(item, RunInFlight)}
            held = sum(Batch(one).size for one in runs)
            assert held <= session.bytes_in_flight() <= 100 * KIB
        assert held > 80 * KIB

    async def test_one_always_goes(self, join: Join) -> None:
        client = await join("c")
        await client.subscribe("t", qos=1)
        publisher = await join("p")
        for _ in range(2):
            await publisher.publish("t", b"x" * 300 * KIB, 1)
        (sent,) = await client.messages()
        await client.send(PubAck(sent.packet_id))
        assert len(await client.messages()) == 1


class TestQueues:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_queued_bytes=100 * KIB, maximum_queued_bytes_in_all=250 * KIB)

    async def test_the_queues_of_all_sessions_have_a_sum(self, join: Join, broker: Broker) -> None:
        for number in range(5):
            client = await join(f"c{number}", clean_start=False, expiry=100)
            await client.subscribe(f"t/{number}", qos=1)
            await client.drop()
        publisher = await join("p")
        for number in range(5):
            for _ in range(12):
                await publisher.publish(f"t/{number}", b"x" * 9 * KIB, 1)
        sessions = core_of(broker).sessions.all()
        waiting = sum(session.queued_bytes for session in sessions)
        assert 200 * KIB < waiting <= 255 * KIB
        assert broker.statistics.queued_bytes == waiting
        assert broker.statistics.messages_dropped > 30
        # Whoever comes back takes what waits, and makes room.
        for number in range(5):
            client = await join(f"c{number}", clean_start=False, expiry=100)
            await client.take()
        assert broker.statistics.queued_bytes == 0
        client = await join("c0", clean_start=True)
        assert broker.statistics.queued_bytes == 0


class TestUnfinished:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_unfinished_bytes=1_000 * KIB)

    async def test_packets_that_do_not_end_have_a_sum(self, join: Join, broker: Broker) -> None:
        packet = encode(Publish("t", b"x" * 400 * KIB, 1, packet_id=1), V5)
        stuck = [await join(f"stuck-{number}") for number in range(4)]
        for client in stuck:
            await client.send(packet[: 300 * KIB])
            await client.expect_nothing()
            assert core_of(broker).memory.unfinished <= 1_000 * KIB
        # That which did not go on for longest has given way.
        await stuck[0].expect_disconnect(ReasonCode.QUOTA_EXCEEDED)
        for client in stuck[1:]:
            await client.send(packet[300 * KIB :])
            assert (await client.expect(PubAck)).packet_id == 1
        assert core_of(broker).memory.unfinished == 0

    async def test_what_ends_gives_its_share_back(self, join: Join, broker: Broker) -> None:
        packet = encode(Publish("t", b"x" * 400 * KIB), V5)
        for number in range(10):
            client = await join(f"c{number}")
            await client.send(packet[: 300 * KIB])
            await client.expect_nothing()
            await client.drop()
            assert core_of(broker).memory.unfinished == 0
        other = await join("other")
        await other.send(packet)
        await other.ping()
