"""What the broker says last reaches the client, on any stream."""

from __future__ import annotations

import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import Raw
from tests.inside import links_of
from trio_mqtt import Broker
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker


async def test_the_reason_for_the_end_reaches_a_client_on_any_stream(join: Join) -> None:
    first = await join("same")
    await join("same")
    await first.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)


async def test_what_is_written_while_the_client_is_slow_is_sent_when_it_reads(
    join: Join, broker: Broker
) -> None:
    client = await join(lockstep=True)
    await client.subscribe("t")
    for number in range(5):
        await broker.publish("t", str(number))
        await trio.testing.wait_all_tasks_blocked()  # the writer waits for the client now
    assert await client.payloads() == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_slow_client_gets_whole_packets_and_the_reason_for_the_end(
    join: Join, broker: Broker
) -> None:
    client = await join("same", lockstep=True)
    await client.subscribe("t")
    await broker.publish("t", b"x" * 1000)
    await trio.testing.wait_all_tasks_blocked()
    await join("same")
    await client.expect_message("t", b"x" * 1000)
    await client.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)


async def test_a_frozen_client_holds_up_its_successor_for_no_time(
    join: Join, broker: Broker
) -> None:
    frozen = await join("same", lockstep=True, expiry=100)
    await frozen.subscribe("t")
    await broker.publish("t", b"x")
    await trio.testing.wait_all_tasks_blocked()
    before = trio.current_time()
    await join("same", clean_start=False, expiry=100)
    assert trio.current_time() == before


async def test_who_stops_serving_a_stream_lets_go_of_all_that_belongs_to_it(
    join: Join, broker: Broker
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    client = Raw(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.handle, theirs)
        await client.connect()
        nursery.cancel_scope.cancel()
    await client.expect_closed()
    assert not links_of(broker)
    assert broker.statistics.clients_connected == 0


class _Failing(trio.abc.Stream):
    """A stream whose closing fails, as that of TLS does when the peer has gone."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        raise trio.BrokenResourceError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError


async def test_a_stream_that_cannot_be_closed_ends_nobody_else(join: Join, broker: Broker) -> None:
    other = await join("other")
    await broker.handle(_Failing())
    await other.ping()


async def test_a_broker_that_is_cancelled_tells_its_clients_first() -> None:
    with trio.CancelScope() as scope:
        async with open_memory_broker() as memory:
            client = Raw(memory.connect())
            await client.connect()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    await client.expect_disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
