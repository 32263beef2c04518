"""How fast one client may be: who sends or is sent more waits, and nothing is lost."""

from __future__ import annotations

import logging
import math

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311, Raw
from trio_mqtt import Broker, BrokerOptions, Limits
from trio_mqtt.broker.events.log import levels_changed
from trio_mqtt.broker.pace import Pace, pace_of
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.testing import open_memory_broker


async def passed(pace: Pace, count: int, messages: int, size: int) -> float:
    """The seconds that it takes to take so much so often."""
    began = trio.current_time()
    for _ in range(count):
        await pace.paid()
        pace.take(messages, size)
    await pace.paid()
    return trio.current_time() - began


class TestPace:
    async def test_a_seconds_worth_comes_at_once_and_the_rest_at_its_rate(self) -> None:
        assert await passed(Pace(10, math.inf), 10, 1, 0) == 0
        assert await passed(Pace(10, math.inf), 110, 1, 0) == pytest.approx(10)
        assert await passed(Pace(math.inf, 1_000), 10, 1, 600) == pytest.approx(5)
        assert await passed(Pace(5, 1_000), 10, 1, 600) == pytest.approx(5)
        assert await passed(Pace(1, 1_000), 10, 1, 600) == pytest.approx(9)

    async def test_who_was_slow_is_not_owed_more_than_a_second(self) -> None:
        pace = Pace(10, math.inf)
        await passed(pace, 20, 1, 0)
        await trio.sleep(100)
        assert await passed(pace, 20, 1, 0) == pytest.approx(1)

    async def test_several_tasks_have_one_rate_and_each_its_turn(self) -> None:
        pace = Pace(10, math.inf)
        order = []

        async def send(name: str) -> None:
            for _ in range(10):
                await pace.paid()
                pace.take(1, 0)
                order.append(name)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(send, name)
        assert trio.current_time() - began == pytest.approx(2, abs=0.1)
        assert all(set(order[at : at + 3]) == set("abc") for at in range(12, 24, 3))

    def test_there_is_none_without_a_bound(self) -> None:
        assert pace_of(math.inf, math.inf) is None
        assert pace_of(1, math.inf) is not None
        assert pace_of(math.inf, 1) is not None


class TestIn:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_message_rate_in=10)

    @pytest.mark.parametrize("qos", [0, 1])
    async def test_all_of_a_flood_arrives_at_the_rate(
        self, join: Join, broker: Broker, version: ProtocolVersion, qos: int
    ) -> None:
        other = await join("other")
        await other.subscribe("t", qos=1)
        flooder = await join("flooder", version)
        began = trio.current_time()
        await flooder.send(
            *(Publish("t", b"%d" % n, qos, packet_id=n if qos else 0) for n in range(1, 101))
        )
        arrived = [float("nan")]
        for number in range(1, 101):
            message = await other.expect(Publish)
            assert message.payload == b"%d" % number
            if qos:
                await other.send(PubAck(message.packet_id))
            arrived.append(trio.current_time() - began)
        assert arrived[10] == 0
        assert arrived[50] == pytest.approx(4, abs=1.1)
        assert arrived[100] == pytest.approx(9, abs=1.1)
        assert broker.statistics.reads_paused == pytest.approx(9, abs=1)
        assert broker.statistics.messages_dropped == 0

    async def test_its_keep_alive_is_not_over_while_it_is_not_read_from(
        self, join: Join, broker: Broker
    ) -> None:
        flooder = await join("flooder", keep_alive=2)
        await flooder.send(*(Publish("t", b"") for _ in range(500)))
        await trio.sleep(48)
        assert broker.statistics.clients_connected == 1
        await trio.sleep(6)  # now it is silent
        assert broker.statistics.clients_connected == 0

    async def test_others_are_as_fast_as_before(self, join: Join) -> None:
        flooder, other = await join("flooder"), await join("other")
        await other.subscribe("o")
        await flooder.send(*(Publish("t", b"") for _ in range(500)))
        began = trio.current_time()
        for _ in range(5):
            await other.send(Publish("o", b""))
            await other.expect(Publish)
        assert trio.current_time() == began

    async def test_who_is_told_to_go_meanwhile_goes(self, join: Join, broker: Broker) -> None:
        flooder = await join("flooder")
        await flooder.send(*(Publish("t", b"") for _ in range(500)))
        await trio.sleep(3)
        began = trio.current_time()
        await join("flooder")
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == began
        assert broker.statistics.clients_connected == 1

    async def test_the_log_has_it_once_a_minute(
        self, join: Join, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "trio_mqtt.connections")
        levels_changed()
        flooder = await join("flooder")
        for sent in range(7):
            await flooder.send(*(Publish("t", b"") for _ in range(200)))
            await trio.sleep(19.5)
            told = [one for one in caplog.records if "read from more slowly" in one.message]
            assert len(told) == 1 + sent // 3
            assert told[0].event == "throttled"  # type: ignore[attr-defined]
            assert told[0].client_id == "flooder"  # type: ignore[attr-defined]

    async def test_bytes_of_any_kind_count(self) -> None:
        limits = Limits(maximum_byte_rate_in=1_000)
        async with open_memory_broker(limits=limits) as memory, memory.open_client() as client:
            began = trio.current_time()
            for _ in range(20):
                await client.publish("t", b"x" * 500, qos=1)
            assert trio.current_time() - began == pytest.approx(9.5, abs=1)
            began = trio.current_time()
            for number in range(20):
                async with client.subscribe("x" * 500 + f"/{number}"):
                    pass
            assert trio.current_time() - began == pytest.approx(20, abs=2)


class TestOut:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(maximum_message_rate_out=10, maximum_queued_messages=100)

    @pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
    async def test_each_client_is_sent_its_rate_and_the_queue_has_its_bounds(
        self, join: Join, broker: Broker, version: ProtocolVersion
    ) -> None:
        slow = [await join(f"slow{number}", version) for number in range(2)]
        for client in slow:
            await client.subscribe("t", qos=1)
        source = await join("source")
        for number in range(1, 201):
            await source.publish("t", b"%d" % number, 1)
        began = trio.current_time()

        async def receive(client: Raw) -> None:
            received = []
            with trio.move_on_after(30):
                while True:
                    message = await client.expect(Publish)
                    await client.send(PubAck(message.packet_id))
                    received.append((int(message.payload), trio.current_time() - began))
            assert [number for number, _ in received][:100] == list(range(1, 101))
            assert len(received) == pytest.approx(110, abs=2)
            assert received[-1][1] == pytest.approx(10, abs=1.5)

        async with trio.open_nursery() as nursery:
            for client in slow:
                nursery.start_soon(receive, client)
        assert broker.statistics.sends_paused > 0
        assert broker.statistics.messages_dropped == pytest.approx(180, abs=4)

    async def test_all_its_subscriptions_have_one_rate(self) -> None:
        limits = Limits(maximum_byte_rate_out=1_000)
        async with (
            open_memory_broker(limits=limits) as memory,
            memory.open_client() as client,
            client.subscribe("t1") as one,
            client.subscribe("t2") as two,
        ):
            began = trio.current_time()
            for number in range(10):
                for topic in ("t1", "t2"):
                    await memory.broker.publish(topic, b"%d" % number + b"x" * 494)
            for messages in (one, two):
                for number in range(10):
                    assert (await anext(messages)).payload.startswith(b"%d" % number)
            assert trio.current_time() - began == pytest.approx(9, abs=1)


async def test_without_bounds_nobody_waits() -> None:
    async with open_memory_broker(options=BrokerOptions()) as memory:
        async with memory.open_client() as client, client.subscribe("t") as messages:
            began = trio.current_time()
            for _ in range(1_000):
                await client.publish("t", b"", qos=1)
            for _ in range(1_000):
                await anext(messages)
            assert trio.current_time() == began
        assert memory.broker.statistics.reads_paused == memory.broker.statistics.sends_paused == 0
