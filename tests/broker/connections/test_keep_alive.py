"""How long a client may be silent (MQTT 5.0 §3.1.2.10)."""

from __future__ import annotations

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, V311
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Will
from trio_mqtt.protocol.reason_codes import ReasonCode


@pytest.mark.normative("MQTT-3.1.2-11", "MQTT-3.1.2-22")
@pytest.mark.normative_v311("MQTT-3.1.2-24")
async def test_a_silent_client_is_ended_after_one_and_a_half_times_its_keep_alive(
    join: Join, version: ProtocolVersion
) -> None:
    watcher = await join("watcher")
    await watcher.subscribe("will")
    client = await join("c", version, keep_alive=10, will=Will("will"))
    await trio.sleep(14)
    await client.ping()
    before = trio.current_time()
    await client.expect_disconnect(ReasonCode.KEEP_ALIVE_TIMEOUT)
    assert trio.current_time() - before == pytest.approx(15)
    await watcher.expect_message("will", b"")


async def test_without_a_keep_alive_silence_is_allowed_as_far_as_the_broker_bears_it(
    join: Join,
) -> None:
    three = await join("three", V311, keep_alive=0)
    five = await join("five", V5, keep_alive=0)
    assert five.connack is not None
    assert five.connack.properties["server_keep_alive"] == 3_600
    await trio.sleep(5_300)
    await five.ping()
    await trio.sleep(20_000)
    await five.expect_disconnect(ReasonCode.KEEP_ALIVE_TIMEOUT)
    await three.ping()


@pytest.mark.normative("MQTT-3.2.2-22")
@pytest.mark.normative("MQTT-3.1.2-21")
async def test_a_keep_alive_that_is_too_long_is_replaced(join: Join) -> None:
    client = await join("c", keep_alive=65_535)
    assert client.connack is not None
    assert client.connack.properties["server_keep_alive"] == 3_600
    short = await join("d", keep_alive=60)
    assert short.connack is not None
    assert "server_keep_alive" not in short.connack.properties
