"""Wills (MQTT 5.0 §3.1.2.5, §3.1.3.2): exactly once, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V31, V311, Raw
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.access.protocols import AccessRules, ClientInfo
from trio_mqtt.broker.access.security import Security
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Subscription, Will
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker

WILL = Will("will", b"gone", 1)


def delayed(seconds: int) -> Will:
    return Will("will", b"gone", 1, properties={"will_delay_interval": seconds})


@pytest.mark.normative("MQTT-3.1.2-14", "MQTT-3.14.4-3", "MQTT-3.1.2-10")
@pytest.mark.normative_v311("MQTT-3.1.2-8", "MQTT-3.1.2-16", "MQTT-3.14.4-3", "MQTT-3.1.2-10")
@pytest.mark.parametrize("way", ["lost", "violation", "goodbye", "goodbye with will", "error code"])
async def test_a_will_is_published_unless_the_client_said_goodbye(
    join: Join, version: ProtocolVersion, way: str
) -> None:
    watcher = await join("watcher", version)
    await watcher.subscribe("will", qos=2)
    client = await join("c", version, will=WILL)
    expected = way != "goodbye"
    if way == "lost":
        await client.drop()
    elif way == "violation":
        await client.send(b"\x00\x00")
        await client.drain()
    elif version == V311 and way != "goodbye":
        await client.send(b"\xe0\x01\x04")  # MQTT 3 knows no reason codes: malformed
        await client.expect_closed()
    else:
        code = {"goodbye": ReasonCode.SUCCESS, "goodbye with will": 4, "error code": 0x80}[way]
        await client.disconnect(ReasonCode(code))
    assert [m.payload for m in await watcher.take()] == [b"gone"] * expected


@pytest.mark.normative("MQTT-3.1.2-15", "MQTT-3.1.3-10")
@pytest.mark.normative_v311("MQTT-3.1.2-17")
async def test_a_will_may_be_retained_and_has_its_properties(
    join: Join, version: ProtocolVersion
) -> None:
    properties: Properties = {"content_type": "text", "user_property": [("b", "1"), ("a", "2")]}
    will = Will("will", b"gone", 2, retain=True, properties=properties)
    await (await join("c", version, will=will)).drop()
    watcher = await join("watcher")
    await watcher.subscribe("will", qos=1)
    message = await watcher.expect_message("will", b"gone", 1)
    assert message.retain
    assert message.properties == (properties if version == V5 else {})


DEEP = "/".join("a" * 129)


@pytest.mark.parametrize("topic", ["$SYS/x", "$x", "$share/g/t", DEEP])
@pytest.mark.parametrize("version", [V31, V311, V5], ids=lambda version: version.text)
async def test_a_will_that_would_reach_nobody_is_refused_at_once(
    opened: Callable[..., Raw],
    broker: Broker,
    version: ProtocolVersion,
    topic: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its topic is well formed and not accepted (MQTT 5.0 §3.2.2.2, 0x90)."""
    client = opened(version)
    await client.send(Connect("c", protocol_version=version, will=Will(topic, b"x")))
    answer = await client.expect(ConnAck)
    why = "128 levels" if topic == DEEP else "begin with $"
    if version == V5:
        assert answer.reason_code == ReasonCode.TOPIC_NAME_INVALID
        assert why in answer.properties["reason_string"]
    else:
        assert answer.reason_code == ReasonCode.NOT_AUTHORIZED
    await client.expect_closed()
    assert len(core_of(broker).sessions) == 0
    assert why in caplog.text


async def test_a_will_that_access_forbids_is_refused_before_all_else() -> None:
    class Nothing(AccessRules):
        async def load(self) -> None:
            pass

        def may_publish(self, client: ClientInfo, topic: str) -> bool:
            return topic == "mine"

        def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
            return True

        def may_receive(self, client: ClientInfo, topic: str) -> bool:
            return True

    async with open_memory_broker(security=Security(access=Nothing())) as memory:
        for topic, code in [
            ("mine", ReasonCode.SUCCESS),
            ("other", ReasonCode.NOT_AUTHORIZED),
            ("$SYS/x", ReasonCode.NOT_AUTHORIZED),
        ]:
            client = Raw(memory.connect())
            await client.send(Connect("c", will=Will(topic)))
            assert (await client.expect(ConnAck)).reason_code == code


async def test_a_bridge_may_leave_where_mosquitto_has_the_state_of_bridges(
    join: Join, broker: Broker, version: ProtocolVersion
) -> None:
    """It asks for that by default: without, no broker could be bridged to this one."""
    watcher = await join("watcher")
    await watcher.subscribe(Subscription("$SYS/#", retain_handling=2))
    topic = "$SYS/broker/connection/there.here/state"
    bridge = await join("bridge", version, will=Will(topic, b"0", 1, retain=True))
    await bridge.publish(topic, b"1", 1, retain=True)
    await bridge.drop()
    await watcher.expect_nothing()
    assert len(core_of(broker).retained) == 0


@pytest.mark.normative("MQTT-3.1.3-9")
@pytest.mark.parametrize(
    ("delay", "expiry", "back", "due"),
    [
        (10, 100, None, 10),
        (10, 100, 5, None),
        (100, 10, None, 10),
        (10, 0, None, 0),
        (10, 10, None, 10),
        (10, 0xFFFF_FFFF, None, 10),
        (0xFFFF_FFFF, 0xFFFF_FFFF, None, None),
        (0, 100, 5, 0),
    ],
)
async def test_a_will_waits_for_its_delay_or_the_end_of_the_session(
    join: Join, delay: int, expiry: int, back: int | None, due: float | None
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("will")
    client = await join("c", will=delayed(delay), expiry=expiry)
    await client.drop()
    start = trio.current_time()
    if back is not None:
        await trio.sleep(back)
        client = await join("c", clean_start=False, expiry=expiry)
    found = []
    with trio.move_on_after(2_000):
        while True:
            found.append((await watcher.receive(), trio.current_time() - start))
    assert len(found) == (due is not None)
    if due:
        assert found[0][1] == pytest.approx(due)
        assert getattr(found[0][0], "properties", None) == {}


@pytest.mark.parametrize(
    ("delay", "clean_start", "published"),
    [(0, False, True), (0, True, True), (50, False, False), (50, True, True), (5_000, True, True)],
)
async def test_a_takeover_publishes_the_will_as_a_lost_connection_does(
    join: Join, delay: int, clean_start: bool, published: bool
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("will")
    await join("c", will=delayed(delay), expiry=100)
    successor = await join("c", clean_start=clean_start, expiry=100)
    assert await watcher.payloads(seconds=20) == [b"gone"] * published
    await successor.disconnect()
    assert await watcher.payloads(seconds=10_000) == []


async def test_a_clean_start_ends_the_session_whose_will_waited(join: Join) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("will")
    await (await join("c", will=delayed(50), expiry=100)).drop()
    await watcher.expect_nothing()
    await join("c")
    assert await watcher.payloads(seconds=1_000) == [b"gone"]


async def test_a_goodbye_with_expiry_0_ends_session_and_will_delay(
    join: Join, broker: Broker
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("will")
    client = await join("c", will=delayed(50), expiry=100)
    await client.disconnect(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE, {"session_expiry_interval": 0})
    await watcher.expect_message("will", b"gone")
    assert len(core_of(broker).sessions) == 1


@pytest.mark.without_storage
async def test_an_orderly_end_publishes_wills_once_to_those_still_connected() -> None:
    async with open_memory_broker() as memory:
        clients = [Raw(memory.connect()) for _ in range(3)]
        for index, client in enumerate(clients):
            await client.connect(f"c{index}", will=delayed(index * 10), expiry=100)
            await client.subscribe(Subscription("will", 0))
        away = Raw(memory.connect())
        await away.connect("away", will=delayed(50), expiry=100)
        await away.drop()
    for client in clients:
        assert await client.payloads() == [b"gone"] * 4
    assert memory.broker.statistics.clients_connected == 0
