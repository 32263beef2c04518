"""Input that has broken other brokers, many times over: nobody else notices, and nothing grows."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, Closed, Raw
from tests.inside import core_of, links_of
from tests.remains import living, without_collector
from trio_mqtt import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Publish, PubRec, Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker


def _connect(will_properties: bytes) -> bytes:
    properties = bytes((len(will_properties),)) + will_properties
    body = b"\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01c" + properties + b"\x00\x01w\x00\x00"
    return bytes((0x10, len(body))) + body


ROUNDS = 60
# CVE-2021-34431, CVE-2023-3592: each of these leaked some memory.
BAD_WILLS = {
    "a delay twice": (b"\x18\0\0\0\x01" * 2, ReasonCode.PROTOCOL_ERROR),
    "a content type twice": (b"\x03\0\x01a" * 2, ReasonCode.PROTOCOL_ERROR),
    "a response topic twice": (b"\x08\0\x01a" * 2, ReasonCode.PROTOCOL_ERROR),
    "correlation data twice": (b"\x09\0\x01a" * 2, ReasonCode.PROTOCOL_ERROR),
    "a payload format of 2": (b"\x01\x02", ReasonCode.PROTOCOL_ERROR),
    "a property of another packet": (b"\x21\0\x01", ReasonCode.PROTOCOL_ERROR),
    "an unknown property": (b"\x26\0\x01a\0\x01b\x7f\0", ReasonCode.MALFORMED_PACKET),
    "one that is cut off": (b"\x26\0\x01a\0\x05b", ReasonCode.MALFORMED_PACKET),
}


@pytest.mark.slow
@pytest.mark.normative("MQTT-3.1.4-1", "MQTT-4.13.1-1")
@pytest.mark.parametrize("name", BAD_WILLS)
async def test_wills_with_bad_properties_are_refused_and_leave_nothing(
    memory: MemoryBroker, broker: Broker, name: str
) -> None:
    properties, code = BAD_WILLS[name]
    data = _connect(properties)

    async def refused() -> None:
        client = Raw(memory.connect())
        await client.send(data)
        assert (await client.expect(ConnAck)).reason_code == code
        await client.expect_closed()
        await client.drop()

    with without_collector():
        for _ in range(20):
            await refused()
        tracemalloc.start()
        try:
            alive = living()
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(ROUNDS):
                await refused()
            remains = living() - alive
            gc.collect()  # the streams of this test
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert remains == {}
    assert after - before < 1_200 * ROUNDS  # a connection takes eight times that
    assert not links_of(broker)
    assert len(core_of(broker).sessions) == 0


async def _send_on(client: Raw) -> None:
    for _ in range(1_000):
        await client.send(b"x" * 1_000)


@pytest.mark.slow
async def test_claims_on_many_connections_take_no_room_and_no_time(
    memory: MemoryBroker, join: Join, broker: Broker
) -> None:
    """CVE-2017-7651, CVE-2021-33175: each claims 256 MiB, and goes on sending."""
    other = await join("other")
    clients = [Raw(memory.connect()) for _ in range(300)]
    tracemalloc.start()
    try:
        for client in clients:
            await client.send(b"\x10\xff\xff\xff\x7f" + b"\x00\x04" + b"x" * 1_000)
            with pytest.raises(trio.BrokenResourceError):
                await _send_on(client)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000
    await other.ping()
    await trio.testing.wait_all_tasks_blocked()
    assert len(links_of(broker)) == 1


async def test_every_slot_that_silence_occupies_is_free_again() -> None:
    """CVE-2020-13849: with the longest keep alive, or none, or before CONNECT."""
    limits = Limits(maximum_connections=6, maximum_keep_alive=60)
    async with open_memory_broker(limits=limits) as memory:
        for number in range(6):
            client = Raw(memory.connect())
            if number < 4:
                await client.connect(f"c{number}", keep_alive=65_535 * (number % 2))
            else:
                await client.send(b"\x10" * (number % 2))
        late = Raw(memory.connect())
        assert isinstance(await late.receive(), Closed)
        await trio.sleep(11)  # the two that did not connect
        for name in ("d1", "d2"):
            await Raw(memory.connect()).connect(name, keep_alive=1_000)
        late = Raw(memory.connect())
        assert isinstance(await late.receive(), Closed)
        await trio.sleep(90)
        for number in range(6):
            await Raw(memory.connect()).connect(f"e{number}")


@pytest.mark.normative("MQTT-3.1.3-9")
@pytest.mark.parametrize("clean_start", [False, True])
@pytest.mark.parametrize(("delay", "expiry"), [(100, 10), (10, 100), (100, 0)])
async def test_a_will_that_waits_comes_once_or_not_at_all_when_its_session_is_taken_over(
    join: Join, delay: int, expiry: int, clean_start: bool
) -> None:
    """CVE-2019-11778: the delay may be longer than the session lasts."""
    watcher = await join("watcher")
    await watcher.subscribe("will")
    will = Will("will", b"gone", properties={"will_delay_interval": delay})
    first = await join("c", expiry=expiry, clean_start=False, will=will)
    second = await join("c", expiry=expiry, clean_start=clean_start)
    await first.expect_disconnect(ReasonCode.SESSION_TAKEN_OVER)
    await second.drop()
    ended = clean_start or expiry == 0  # the session of the will; else it goes on, without it
    assert len(await watcher.messages(1_000)) == ended


@pytest.mark.normative("MQTT-4.3.3-8")
async def test_dup_on_a_message_that_was_never_seen_decides_nothing(
    join: Join, version: ProtocolVersion
) -> None:
    watcher, client = await join("watcher"), await join("c", version)
    await watcher.subscribe("t", qos=2)
    await client.send(Publish("t", b"x", 2, dup=True, packet_id=9))
    assert await client.expect(PubRec) == PubRec(9)
    await watcher.expect_message("t", b"x", 2)


async def test_packets_before_an_answer_take_no_effect_where_connect_is_not_right(
    memory: MemoryBroker, join: Join, broker: Broker
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("#")
    client = Raw(memory.connect())
    await client.send(
        _connect(b"\x01\x02") + encode(Publish("t", b"x", retain=True), V5),
        Connect("c", will=Will("t")),
    )
    assert (await client.expect(ConnAck)).reason_code == ReasonCode.PROTOCOL_ERROR
    await client.expect_closed()
    await watcher.expect_nothing()
    assert len(core_of(broker).retained) == 0
