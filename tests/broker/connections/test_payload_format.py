"""Payloads that are said to be text and are not (MQTT 5.0 §3.3.2.3.2), where the broker looks."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import Open
from tests.inside import core_of
from trio_mqtt import Broker
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.protocol.packets import ConnAck, Connect, PubAck, Publish, PubRec, Will
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

TEXT: Properties = {"payload_format_indicator": 1}
INVALID = ReasonCode.PAYLOAD_FORMAT_INVALID
BAD = [b"\xff", b"a\xc3", b"\xed\xa0\x80"]


@pytest.fixture
def options() -> BrokerOptions:
    return BrokerOptions(check_payload_format=True)


@pytest.mark.normative("MQTT-3.4.2-1", "MQTT-3.5.2-1")
@pytest.mark.parametrize("payload", BAD)
async def test_qos_1_and_2_are_refused_in_their_place(join: Join, payload: bytes) -> None:
    client = await join(properties={"receive_maximum": 100})
    await client.subscribe("t", qos=1)
    publisher = await join("p")
    await publisher.send(
        Publish("t", b"1", 1, packet_id=1, properties=TEXT),
        Publish("t", payload, 2, packet_id=2, properties=TEXT),
        Publish("t", payload, 1, packet_id=3, properties=TEXT),
        Publish("t", payload, 1, packet_id=4),
        Publish("t", "ü".encode(), 1, packet_id=5, properties=TEXT),
    )
    answers = [p for p in await publisher.drain() if isinstance(p, (PubAck, PubRec))]
    assert [(a.packet_id, a.reason_code) for a in answers] == [
        (1, 0),
        (2, INVALID),
        (3, INVALID),
        (4, 0),
        (5, 0),
    ]
    assert "UTF-8" in answers[1].properties["reason_string"]
    assert [m.payload for m in await client.take()] == [b"1", payload, "ü".encode()]


@pytest.mark.parametrize("qos", [1, 2])
async def test_refused_messages_do_not_count_for_ever(join: Join, qos: int) -> None:
    client = await join()
    for _ in range(1_001):
        assert await client.publish("t", b"\xff", qos, properties=TEXT) == INVALID


async def test_a_repetition_of_what_was_taken_is_acknowledged(join: Join) -> None:
    client = await join()
    await client.send(Publish("t", b"x", 2, packet_id=1))
    await client.expect(PubRec)
    await client.send(Publish("t", b"\xff", 2, dup=True, packet_id=1, properties=TEXT))
    assert await client.expect(PubRec) == PubRec(1)


async def test_at_qos_0_the_connection_ends(join: Join) -> None:
    client = await join()
    await client.send(Publish("t", b"\xff", properties=TEXT))
    await client.expect_disconnect(INVALID)


async def test_a_will_is_refused_with_its_connection(opened: Open, broker: Broker) -> None:
    client = opened()
    await client.send(Connect("c", will=Will("t", b"\xff", properties=TEXT)))
    answer = await client.expect(ConnAck)
    assert answer.reason_code == INVALID
    await client.expect_closed()
    assert len(core_of(broker).sessions) == 0


class TestByDefault:
    @pytest.fixture
    def options(self) -> BrokerOptions:
        return BrokerOptions()

    @pytest.mark.normative("MQTT-3.3.2-4")
    async def test_payloads_are_nobodys_business(self, join: Join) -> None:
        client = await join()
        await client.subscribe("t")
        await client.publish("t", b"\xff", properties=TEXT)
        message = await client.expect_message("t", b"\xff")
        assert message.properties == TEXT
