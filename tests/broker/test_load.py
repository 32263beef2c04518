"""Where it does not keep up or has no memory left, the broker turns away what it must."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, Raw
from tests.inside import core_of, sessions_of
from trio_mqtt import Broker, Limits
from trio_mqtt.broker.load import _KEPT_MEMORY, _trim, resident_memory
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, PubAck, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

OK, BUSY = ReasonCode.SUCCESS, ReasonCode.SERVER_BUSY
MIB = 1024 * 1024


async def late_by(seconds: float) -> None:
    """The loop is at work for so long, as everybody sees who waits; and is looked at then."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    clock.jump(seconds)
    await trio.testing.wait_all_tasks_blocked()


async def answer(memory: MemoryBroker, client_id: str, version: ProtocolVersion = V5) -> ReasonCode:
    client = Raw(memory.connect(), version)
    await client.send(Connect(client_id, clean_start=False, protocol_version=version))
    return (await client.expect(ConnAck)).reason_code


class TestLag:
    async def test_new_clients_are_turned_away_and_qos_0_is_shed_until_it_keeps_up(
        self,
        memory: MemoryBroker,
        join: Join,
        version: ProtocolVersion,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO, "trio_mqtt.broker")
        statistics = memory.broker.statistics
        client = await join("here", version)
        await client.subscribe("#", qos=1)
        await late_by(15)
        refused = await answer(memory, "new", version)
        assert refused == (BUSY if version == V5 else ReasonCode.SERVER_UNAVAILABLE)
        await client.send(
            *(Publish("t", b"0") for _ in range(100)),
            Publish("t", b"1", 1, packet_id=1),
            Publish("r", b"kept", retain=True),
            Publish("t", b"0"),
        )
        packets = await client.drain()
        assert [p.payload for p in packets if isinstance(p, Publish)] == [b"1", b"kept"]
        assert [p.packet_id for p in packets if isinstance(p, PubAck)] == [1]
        assert (statistics.messages_shed, statistics.messages_dropped) == (101, 101)
        assert statistics.clients_refused_busy == 1
        assert statistics.loop_lag > 10
        # The program's own messages go on.
        await memory.broker.publish("own", b"own")
        assert await client.payloads() == [b"own"]
        await trio.sleep(3)  # looked at again, it keeps up
        assert await answer(memory, "new", version) == OK
        await client.send(Publish("t", b"again"))
        assert await client.payloads() == [b"again"]
        assert statistics.overloads == 1
        told = [one.getMessage() for one in caplog.records if one.name == "trio_mqtt.broker"]
        assert [one.partition(":")[0] for one in told] == [
            "The broker does not keep up", "The broker keeps up again"
        ]  # fmt: skip

    async def test_how_late_it_may_be_is_set(self) -> None:
        async with open_memory_broker(limits=Limits(maximum_loop_lag=100.0)) as memory:
            await late_by(90)
            assert await answer(memory, "new") == OK
            await late_by(150)
            assert await answer(memory, "another") == BUSY

    async def test_half_the_bound_is_recovered_and_more_is_not(self, memory: MemoryBroker) -> None:
        load = core_of(memory.broker).load
        seen = []
        for seconds in (9, 14, 9, 6):
            await late_by(seconds)
            seen.append(load.is_late)
        assert seen == [False, True, True, False]
        assert memory.broker.statistics.overloads == 1


@asynccontextmanager
async def with_memory_for(more: int) -> AsyncIterator[MemoryBroker]:
    """A broker that may keep so much more, however large the process of the tests has become."""
    gc.collect()
    if _trim is not None:
        _trim(0)  # what earlier tests have left free would be given back in the middle of this one
    resident = resident_memory()
    assert resident is not None
    whole = int((resident + more) / _KEPT_MEMORY)
    limits = Limits(maximum_memory=whole, maximum_queued_bytes=1_000 * MIB)
    async with open_memory_broker(limits=limits) as memory:
        yield memory


class TestMemory:
    @pytest.mark.skipif(resident_memory() is None, reason="the system tells no memory")
    async def test_what_waits_grows_no_longer_and_who_fetches_it_may_come(self) -> None:
        async with with_memory_for(40 * MIB) as memory:
            statistics = memory.broker.statistics
            away = Raw(memory.connect())
            await away.connect("away", clean_start=False, expiry=1_000)
            await away.subscribe("t", qos=1)
            await away.disconnect()
            source = Raw(memory.connect())
            await source.connect("source")
            for number in range(100):
                await source.publish("t", bytes([number]) * MIB, 1)
                await trio.sleep(0.3)
            waits = sessions_of(memory.broker)["away"].queued_messages
            assert 10 <= waits <= 80
            assert statistics.queue_drops == 100 - waits
            assert statistics.memory > 0
            # What nobody fetches keeps nobody out.
            assert statistics.overloads == 0
            assert await answer(memory, "new") == OK
            # Who takes what comes for it has no part in this.
            await source.subscribe("other")
            await source.publish("other", b"at once")
            await source.expect_message("other", b"at once")
            assert statistics.messages_shed == 0
            await source.publish("r", b"new", retain=True)
            assert len(core_of(memory.broker).retained) == 0
            back = Raw(memory.connect())
            await back.connect("away", clean_start=False)
            assert len(await back.take()) == waits
            del back._packets[:], source
            gc.collect()
            await trio.sleep(20)
            assert core_of(memory.broker).load.room > 10 * MIB

    @pytest.mark.skipif(resident_memory() is None, reason="the system tells no memory")
    async def test_what_one_client_retains_keeps_no_other_out(self) -> None:
        async with with_memory_for(40 * MIB) as memory:
            source = Raw(memory.connect(), V5)
            await source.connect("source")
            codes = []
            for number in range(60):  # as fast as it can
                codes.append(await source.publish(f"r/{number}", bytes(MIB), 1, retain=True))
                await trio.sleep(0.05)
            assert codes[0] != ReasonCode.QUOTA_EXCEEDED
            assert codes[-1] == ReasonCode.QUOTA_EXCEEDED
            assert await answer(memory, "new") == OK
            assert memory.broker.statistics.overloads == 0
            # What there is can still change, and go.
            await source.publish("r/0", b"on", 1, retain=True)
            assert await source.publish("r/0", b"off", 1, retain=True) != ReasonCode.QUOTA_EXCEEDED
            before = len(core_of(memory.broker).retained)
            await source.publish("r/1", b"", 1, retain=True)
            assert len(core_of(memory.broker).retained) == before - 1

    async def test_the_last_of_the_memory_is_for_who_connects(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = [80]
        monkeypatch.setattr("trio_mqtt.broker.load.resident_memory", lambda: held[0] * MIB)
        async with open_memory_broker(limits=Limits(maximum_memory=100 * MIB)) as memory:
            source = Raw(memory.connect(), V5)
            await source.connect("source")
            await trio.sleep(1)
            quota = ReasonCode.QUOTA_EXCEEDED
            for megabytes, is_kept, is_let_in in ((80, 1, 1), (95, 0, 1), (101, 0, 0), (80, 1, 1)):
                held[0] = megabytes
                await trio.sleep(1)
                code = await source.publish(f"r/{megabytes}", b"x", 1, retain=True)
                assert (code != quota) == is_kept
                assert (await answer(memory, "new") == OK) == is_let_in
                await source.publish(f"r/{megabytes}", b"", 1, retain=True)
            # Before it is looked at again, no more is kept than fits in.
            half = 5 * MIB - 10_000
            assert await source.publish("r/1", bytes(half), 1, retain=True) != quota
            assert await source.publish("r/2", bytes(half), 1, retain=True) == quota

    async def test_it_is_told_when_little_is_left(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Before anybody is turned away, and once, however near to the bound it stays."""
        held = [70]
        monkeypatch.setattr("trio_mqtt.broker.load.resident_memory", lambda: held[0] * MIB)
        caplog.set_level(logging.INFO, "trio_mqtt.broker")
        async with open_memory_broker(limits=Limits(maximum_memory=100 * MIB)) as memory:
            await trio.sleep(1)
            caplog.clear()
            for megabytes in (84, 86, 91, 84, 86, 81, 79, 84, 86):
                held[0] = megabytes
                await trio.sleep(1)
            assert memory.broker.statistics.overloads == 0
            lines = [record.message for record in caplog.records]
        first = "The broker holds 86 MiB of the 100 that limits.maximum_memory allows: long queues"
        first += (
            " grow hardly any longer and, from 90% on, take no more, and nothing is retained anew"
        )
        assert lines[:3] == [first, "The broker holds 79 MiB: what waits may grow again", first]

    async def test_without_a_bound_nothing_is_told(
        self, memory: MemoryBroker, caplog: pytest.LogCaptureFixture
    ) -> None:
        await trio.sleep(20)
        assert not core_of(memory.broker).load.is_sparing
        assert not caplog.records

    async def test_short_queues_still_take_something(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trio_mqtt.broker.load.resident_memory", lambda: None)
        async with open_memory_broker(limits=Limits(maximum_memory=100_000)) as memory:
            names = ("long", "short")
            for name in names:
                client = Raw(memory.connect())
                await client.connect(name, clean_start=False, expiry=1_000)
                await client.subscribe(name, qos=1)
                await client.disconnect()
            source = Raw(memory.connect())
            await source.connect("source")
            for _ in range(150):
                await source.publish("long", b"x" * 1_000, 1)
            await trio.sleep(0.3)
            for name in names:
                for _ in range(10):
                    await source.publish(name, b"x" * 1_000, 1)
            waiting = {name: sessions_of(memory.broker)[name].queued_messages for name in names}
            assert 40 < waiting["long"] < 65  # 64 KiB
            assert waiting["short"] == 10
            assert memory.broker.statistics.queue_drops == 160 - waiting["long"]


async def test_free_memory_is_given_back_seldom_where_that_is_of_no_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = [3 * MIB]
    given_back: list[float] = []

    def trim(_keep: int) -> int:
        given_back.append(trio.current_time())
        return 0

    monkeypatch.setattr("trio_mqtt.broker.load.resident_memory", lambda: held[0])
    monkeypatch.setattr("trio_mqtt.broker.load._trim", trim)
    async with open_memory_broker(limits=Limits(maximum_memory=2 * MIB)) as memory:
        await trio.sleep(1_000)
        assert core_of(memory.broker).load.is_full
        assert 5 < len(given_back) < 12
        held[0] = MIB
        await trio.sleep(1)
        assert not core_of(memory.broker).load.is_full
        held[0] = 3 * MIB
        await trio.sleep(400)
        assert trio.current_time() - given_back[-1] < 400  # it is tried anew


async def test_without_bounds_nothing_happens(broker: Broker, join: Join) -> None:
    await trio.sleep(100)
    await join()
    statistics = broker.statistics
    assert (statistics.overloads, statistics.clients_refused_busy) == (0, 0)
