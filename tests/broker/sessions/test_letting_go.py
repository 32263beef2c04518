"""What waits for nobody any more is let go of in turns."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.raw import V5, Raw
from tests.broker.slow_storage import Slow
from tests.inside import core_of
from trio_mqtt import Limits
from trio_mqtt.broker import turns
from trio_mqtt.broker.sessions.session import NEVER
from trio_mqtt.protocol.packets import Connect, PingReq, PingResp, UnsubAck, Unsubscribe
from trio_mqtt.testing import MemoryBroker, open_memory_broker

COUNT = 500


async def client_behind(memory: MemoryBroker) -> Raw:
    """A client for which much waits: it acknowledges nothing."""
    client = Raw(memory.connect(), V5)
    await client.connect("s", properties={"session_expiry_interval": NEVER})
    await client.subscribe("t", qos=1)
    for _ in range(COUNT):
        await memory.broker.publish("t", b"x", qos=1)
    await client.drain()
    return client


@pytest.mark.parametrize("by", ["UNSUBSCRIBE", "a new session"])
async def test_others_are_served_while_much_is_let_go(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, limits = Slow(), Limits(maximum_in_flight=10)
    async with open_memory_broker(storage=storage, limits=limits) as memory:
        client = await client_behind(memory)
        other = Raw(memory.connect(), V5)
        await other.connect("other")
        statistics = memory.broker.statistics
        assert statistics.queued_bytes
        # Each message takes a turn.
        now = turns.clock()
        ticks = iter(range(10**9))
        monkeypatch.setattr(turns, "clock", lambda: now + next(ticks))
        before = statistics.queued_bytes
        if by == "UNSUBSCRIBE":
            await client.send(Unsubscribe(9, ["t"]))
            await client.expect(UnsubAck)
        else:
            again = Raw(memory.connect(), V5)
            await again.send(Connect("s", protocol_version=V5, clean_start=True))
        await other.send(PingReq())
        await other.expect(PingResp)
        assert 0 < statistics.queued_bytes < before
        await trio.testing.wait_all_tasks_blocked()
        assert statistics.queued_bytes == 0
        kept = 10 if by == "UNSUBSCRIBE" else 0  # what is in flight
        found = storage.as_it_is()
        assert len(found._messages) == kept
        journal = core_of(memory.broker).journal
        assert journal is not None
        assert not journal._holders


async def test_what_was_not_let_go_when_a_broker_ends_the_next_one_does() -> None:
    storage, limits = Slow(), Limits(maximum_in_flight=10)
    async with open_memory_broker(storage=storage, limits=limits) as memory:
        client = await client_behind(memory)
        (session,) = core_of(memory.broker).sessions.all()
        steps = session.subscriptions["t"].abandon()
        next(steps)
        del session.subscriptions["t"]
        assert session.journal is not None
        session.journal.unsubscribed(session.number, "t")
        await client.disconnect()
        await trio.testing.wait_all_tasks_blocked()
        storage = storage.as_it_is()
        assert len(storage._messages) > COUNT / 2
    async with open_memory_broker(storage=storage) as memory:
        await trio.testing.wait_all_tasks_blocked()
        assert len(storage._messages) == 10
        assert memory.broker.restored.messages == 10
