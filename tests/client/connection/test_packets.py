"""Who follows the packets sees each once, whole, in order, on each connection."""

from __future__ import annotations

from collections import deque

import anyio
import pytest

from tests.client.connection.authenticating import Counting, asking_broker
from tests.client.fake_broker import FakeBroker
from trio_mqtt import ConnectionRefusedByBrokerError, ReasonCode
from trio_mqtt.client.packets import BUFFER
from trio_mqtt.events import PacketEvent
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck

pytestmark = pytest.mark.anyio


def kinds(events: list[PacketEvent]) -> list[str]:
    return [("-> " if one.sent else "<- ") + one.kind for one in events]


@pytest.mark.parametrize("at_once", [True, False])
async def test_they_are_seen_both_ways_and_again_on_the_next_connection(
    broker: FakeBroker, at_once: bool
) -> None:
    broker.sends_at_once = at_once
    seen: list[PacketEvent] = []
    async with broker.client(username="ann", password="secret") as client:
        await client.publish("before", qos=1)
        with client.packets() as packets:
            await client.publish("t", "x" * 100, qos=1)
            await client.publish("t", "y" * 5_000)
            await client.reconnect()
            await client.publish("t", qos=2)
            await client.disconnect()
            seen += [event async for event in packets]
            assert packets.missed == 0
    assert kinds(seen) == [
        "-> PUBLISH", "<- PUBACK", "-> PUBLISH", "-> DISCONNECT", "-> CONNECT", "<- CONNACK",
        "-> PUBLISH", "<- PUBREC", "-> PUBREL", "<- PUBCOMP", "-> DISCONNECT",
    ]  # fmt: skip
    assert seen[0].fields["payload"] == b"x" * 100
    assert str(seen[0]).startswith("-> PUBLISH (topic='t', payload=b'xxx")
    assert "… (100 bytes)" in str(seen[0])
    assert seen[4].fields["username"] == "ann"
    assert "secret" not in "".join(map(str, seen))


def test_a_line_is_for_people_and_has_an_end() -> None:
    codes = [ReasonCode.GRANTED_QOS_1, ReasonCode.NOT_AUTHORIZED]
    suback = PacketEvent(False, "SUBACK", {"packet_id": 1, "reason_codes": codes})
    assert str(suback) == (
        "<- SUBACK (packet_id=1, reason_codes=[1 GRANTED_QOS_1, 135 NOT_AUTHORIZED])"
    )
    connect = PacketEvent(True, "CONNECT", {"protocol_version": ProtocolVersion.V5})
    assert str(connect) == "-> CONNECT (protocol_version=5)"
    properties = {"user_property": [("n", "v" * 1_000_000)]}
    line = str(PacketEvent(False, "PUBLISH", {"topic": "t" * 65_535, "properties": properties}))
    assert len(line) < 3_000
    assert "ttt… (65,537 characters), properties=" in line


async def test_what_proves_who_it_is_is_not_shown() -> None:
    async with asking_broker().client(authentication=Counting()) as client:
        with client.packets() as packets:
            await client.reconnect()
            await client.disconnect()
            seen = [event async for event in packets]
    assert kinds(seen)[1:7] == [
        "-> CONNECT", "<- AUTH", "-> AUTH", "<- AUTH", "-> AUTH", "<- CONNACK",
    ]  # fmt: skip
    for one in seen[2:7]:
        assert one.fields["properties"] == {"authentication_method": "m"}
    assert "first" not in str(seen[1])


async def test_a_refusal_is_seen(broker: FakeBroker) -> None:
    seen: list[PacketEvent] = []

    async def come_back_in_vain() -> None:
        async with broker.client() as client:
            broker.connack = ConnAck(reason_code=ReasonCode.NOT_AUTHORIZED)
            with client.packets() as packets:
                try:
                    await client.reconnect()
                finally:
                    seen.extend(packets._queue)

    with pytest.raises(ConnectionRefusedByBrokerError):
        await come_back_in_vain()
    assert kinds(seen) == ["-> DISCONNECT", "-> CONNECT", "<- CONNACK"]
    assert seen[-1].fields["reason_code"] is ReasonCode.NOT_AUTHORIZED


async def test_what_the_socket_took_in_pieces_is_seen_once(broker: FakeBroker) -> None:
    async with broker.client() as client:
        broker.peer.deaf = True
        for number in range(3):
            client.publish_nowait("t", str(number))
        await anyio.wait_all_tasks_blocked()
        with client.packets() as packets:
            client.publish_nowait("t", "3")
            broker.peer.hear()
            assert (await anext(packets)).fields["payload"] == b"3"


async def test_nobody_is_shown_any_more_after_the_block(broker: FakeBroker) -> None:
    async with broker.client() as client:
        with client.packets() as packets:
            pass
        await client.publish("t", qos=1)
        connection = client._session.connection
        assert connection is not None
        assert connection.watch is None
        assert len(packets._queue) == 0
        await client.disconnect()
        with client.packets() as packets:
            assert [event async for event in packets] == []


async def test_what_is_not_taken_is_counted(broker: FakeBroker) -> None:
    async with broker.client() as client:
        with client.packets() as packets:
            await client.publish_many(("t", str(number)) for number in range(BUFFER + 7))
            await client.publish("t", "end", qos=1)
            assert packets.missed == 7 + 2
            assert (await anext(packets)).fields["payload"] == b"9"


async def test_a_function_is_called_from_the_first_connection_on(broker: FakeBroker) -> None:
    """Also of an attempt that is refused, and of one that asks for the other version."""
    seen: list[PacketEvent] = []
    broker.next_connacks = deque([b"\x20\x02\0\x01", ConnAck()])
    async with broker.client(username="ann", password="secret", on_packet=seen.append) as client:
        await client.publish("t", qos=1)
        broker.peer.end()
        await broker.connection(3)
        await client.wait_connected()
        with client.packets():
            pass
        await client.publish("t")
    assert kinds(seen) == [
        "-> CONNECT", "<- CONNACK", "-> CONNECT", "<- CONNACK", "-> PUBLISH", "<- PUBACK",
        "-> CONNECT", "<- CONNACK", "-> PUBLISH", "-> DISCONNECT",
    ]  # fmt: skip
    assert "secret" not in "".join(map(str, seen))
    seen.clear()
    broker.connack = ConnAck(False, ReasonCode.NOT_AUTHORIZED)
    with pytest.raises(ConnectionRefusedByBrokerError):
        async with broker.client(on_packet=seen.append):
            pytest.fail("it is refused")
    assert kinds(seen) == ["-> CONNECT", "<- CONNACK"]
    assert seen[1].fields["reason_code"] is ReasonCode.NOT_AUTHORIZED


async def test_who_looks_for_a_fault_makes_none(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[PacketEvent] = []

    def on_packet(event: PacketEvent) -> None:
        seen.append(event)
        raise LookupError("none there")

    async with broker.client(on_packet=on_packet) as client:
        await client.publish("t", qos=1)
    assert kinds(seen) == ["-> CONNECT"]
    [record] = caplog.records
    assert "on_packet has raised, and is not called any more" in record.getMessage()
    with pytest.raises(TypeError, match="on_packet is a function, not str"):
        async with broker.client(on_packet="x"):
            pytest.fail("it cannot be")
