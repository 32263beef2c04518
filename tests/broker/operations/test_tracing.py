"""Traces of a client and of a topic, and events, as whoever runs the broker follows them."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, Raw
from trio_mqtt import Broker, LocalProtocolError, Security
from trio_mqtt.access import AccessHooks, Authenticated, ClientInfo
from trio_mqtt.administration import EventQuery, Trace, TraceEntry, TraceQuery
from trio_mqtt.broker.traces import Direction
from trio_mqtt.events import MessagePublished
from trio_mqtt.protocol.packets import ConnAck, Connect, Disconnect, PingReq, PingResp, Publish
from trio_mqtt.testing import MemoryBroker, open_memory_broker


async def _seen(trace: Trace, count: int) -> list[TraceEntry]:
    with trio.fail_after(60):
        return [await anext(aiter(trace)) for _ in range(count)]


async def test_a_client_is_traced_both_ways(broker: Broker, join: Join) -> None:
    client = await join("c")
    await client.subscribe("a")
    with broker.administration.trace(TraceQuery(client_id="c", payload=3)) as trace:
        await client.send(Publish("a", b"12345", 1, packet_id=5))
        seen = await _seen(trace, 3)
        kinds = {(one.direction, one.kind) for one in seen}
        assert kinds == {("in", "PUBLISH"), ("out", "PUBLISH"), ("out", "PUBACK")}
        sent = next(one for one in seen if one.direction == "in")
        assert sent.details["topic"] == "a"
        assert (sent.payload, sent.size) == (b"123", 5)
    (link,) = broker._listeners.connections.all()
    assert link.observation is None
    assert link.outlet.observer is None


async def test_a_trace_begins_with_connect_and_shows_no_password(memory: MemoryBroker) -> None:
    with memory.broker.administration.trace(TraceQuery(client_id="c")) as trace:
        client = Raw(memory.connect(), V5)
        await client.send(Connect("c", username="u", password=b"secret"))
        connect, connack = await _seen(trace, 2)
        assert (connect.kind, connack.kind) == ("CONNECT", "CONNACK")
        assert "secret" not in repr(connect)
        await client.receive()
        await client.send(PingReq())
        await client.expect(PingResp)
        assert [one.kind for one in await _seen(trace, 2)] == ["PINGREQ", "PINGRESP"]
    assert memory.broker._core.traced == {}


async def test_a_trace_goes_on_with_the_next_connection_and_ends_with_none(
    broker: Broker, join: Join
) -> None:
    client = await join("c")
    with broker.administration.trace(TraceQuery(client_id="c")) as trace:
        await client.send(Disconnect())
        await trio.testing.wait_all_tasks_blocked()
        await join("c")
        kinds = [one.kind for one in await _seen(trace, 3)]
        assert kinds == ["DISCONNECT", "CONNECT", "CONNACK"]
        client = await join("c")  # which takes the session over
        await client.send(Disconnect())
        await trio.testing.wait_all_tasks_blocked()
    with broker.administration.trace(TraceQuery(client_id="c")) as trace:
        client = await join("c")
        assert [one.kind for one in await _seen(trace, 2)] == ["CONNECT", "CONNACK"]
        await client.send(Disconnect())
        await client.expect_closed()


class _Slow(AccessHooks):
    async def authenticate(self, client: ClientInfo, password: bytes | None) -> Authenticated:
        await trio.sleep(2)
        return Authenticated()


async def test_a_trace_may_end_before_its_client_is_accepted() -> None:
    async with open_memory_broker(security=Security(hooks=_Slow())) as memory:
        client = Raw(memory.connect(), V5)
        with memory.broker.administration.trace(TraceQuery(client_id="c")) as trace:
            await client.send(Connect("c"))
            assert [one.kind for one in await _seen(trace, 1)] == ["CONNECT"]
        await client.expect(ConnAck)
        await client.send(PingReq())
        await client.expect(PingResp)
        (link,) = memory.broker._listeners.connections.all()
        assert link.outlet.observer is None


async def test_a_topic_is_traced(broker: Broker, join: Join) -> None:
    client = await join("c")
    await client.subscribe("a/#")
    with broker.administration.trace(TraceQuery(topic_filter="a/+")) as trace:
        await client.publish("b", b"other")
        await client.publish("a/1", b"x" * 300)
        await client.expect(Publish)
        seen = await _seen(trace, 2)
    assert [(one.kind, one.client_id) for one in seen] == [("PUBLISH", "c"), ("DELIVERED", "c")]
    assert len(seen[0].payload or b"") == 256
    assert MessagePublished not in broker._core.event_streams.wanted


async def test_what_nobody_takes_is_left_out_and_counted(broker: Broker, join: Join) -> None:
    client = await join("c")
    with broker.administration.trace(TraceQuery(client_id="c", limit=2)) as trace:
        for _ in range(5):
            await client.publish("a", b"x")
        await trio.testing.wait_all_tasks_blocked()
        assert trace.missed == 3


async def test_of_a_flood_only_what_fits_is_made(
    broker: Broker, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    make = Trace._packet

    def counted(trace: Trace, direction: Direction, packet: object) -> None:
        nonlocal made
        made += 1
        make(trace, direction, packet)

    monkeypatch.setattr(Trace, "_packet", counted)
    client = await join("c")
    with broker.administration.trace(TraceQuery(client_id="c", limit=2)) as trace:
        for _ in range(3):
            await client.send(*(Publish("a", b"x") for _ in range(100)))
            await trio.testing.wait_all_tasks_blocked()
        assert trace.missed == 298
    assert made == 100  # of the first read


async def test_so_many_traces_run_at_one_time(broker: Broker) -> None:
    asked = TraceQuery(topic_filter="#")
    traces = [broker.administration.trace(asked) for _ in range(16)]
    for one in traces:
        one.__enter__()
    with pytest.raises(LocalProtocolError, match="16"), broker.administration.trace(asked):
        pass
    for one in traces:
        one.__exit__(None, None, None)
    with broker.administration.trace(asked):
        pass


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"client_id": "c", "topic_filter": "a"},
        {"topic_filter": "a/#/b"},
        {"client_id": "c", "limit": 0},
        {"client_id": "c", "payload": -1},
    ],
)
def test_a_trace_is_of_a_client_or_a_topic(asked: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        TraceQuery(**asked)  # type: ignore[arg-type]


async def test_events_are_followed_by_their_names(broker: Broker, join: Join) -> None:
    with broker.administration.events(EventQuery(kinds=("ClientConnected",))) as events:
        await join("c")
        event = await anext(aiter(events))
    assert type(event).__name__ == "ClientConnected"
    with pytest.raises(LocalProtocolError, match="NoSuchThing"):
        broker.administration.events(EventQuery(kinds=("NoSuchThing",)))


async def test_commands_are_traced_without_what_they_say(broker: Broker, join: Join) -> None:
    client = await join("c")
    with broker.administration.trace(TraceQuery(client_id="c")) as trace:
        await client.send(Publish("$CONTROL/dynamic-security/v1", b'{"password": "secret"}'))
        (seen,) = await _seen(trace, 1)
    assert seen.details["topic"] == "$CONTROL/dynamic-security/v1"
    assert "secret" not in repr(seen)
