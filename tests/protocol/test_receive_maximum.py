"""How many messages may be unacknowledged, at both ends (MQTT 5.0 §4.9)."""

from __future__ import annotations

import pytest

from tests.protocol.ends import STEP, V31, V311, Ends
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Packet, PubAck, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode as Code


def qos_packets(count: int) -> list[Packet]:
    return [Publish("t", b"", 1 + i % 2, packet_id=i + 1) for i in range(count)]


@pytest.mark.normative("MQTT-3.3.4-8")
@STEP
def test_more_than_receive_maximum_is_a_violation_at_the_server(step: int) -> None:
    ends = Ends(step=step, receive_maximum=3).open()
    assert ends.up(*qos_packets(4)) == qos_packets(3)
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.RECEIVE_MAXIMUM_EXCEEDED


@STEP
def test_more_than_receive_maximum_is_a_violation_at_the_client(step: int) -> None:
    ends = Ends(step=step, connect={"receive_maximum": 2}).open()
    assert ends.server.peer_receive_maximum == 2
    assert ends.down(*qos_packets(3)) == qos_packets(2)
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.RECEIVE_MAXIMUM_EXCEEDED


def test_what_is_acknowledged_no_longer_counts() -> None:
    ends = Ends(receive_maximum=2).open()
    for _ in range(5):
        assert ends.up(*qos_packets(2)) == qos_packets(2)
        assert ends.server.unacknowledged == 2
        ends.server.acknowledged(2)
    assert ends.server.violation is None


def test_qos_0_never_counts() -> None:
    ends = Ends(receive_maximum=1).open()
    many: list[Packet] = [
        Publish("t", properties={"content_type": "x"} if i % 2 else {}) for i in range(10)
    ]
    assert ends.up(*many) == many
    assert ends.server.unacknowledged == 0


def test_early_messages_count_too() -> None:
    ends = Ends(receive_maximum=1)
    assert ends.up(ends.connect, *qos_packets(2)) == [ends.connect, *qos_packets(1)]
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.RECEIVE_MAXIMUM_EXCEEDED


@pytest.mark.parametrize("version", [V31, V311], ids=lambda v: v.text)
def test_mqtt_3_knows_no_receive_maximum(version: ProtocolVersion) -> None:
    ends = Ends(version, receive_maximum=1).open()
    assert ends.up(*qos_packets(5)) == qos_packets(5)
    assert ends.server.violation is None


def test_what_an_earlier_connection_has_brought_was_not_counted_on_this_one() -> None:
    ends = Ends(receive_maximum=1).open()
    ends.server.acknowledged()
    assert ends.server.unacknowledged == 0
    assert ends.up(*qos_packets(1)) == qos_packets(1)
    assert ends.up(*qos_packets(1)) == []


def test_puback_of_the_client_ends_the_counting() -> None:
    ends = Ends(connect={"receive_maximum": 1}).open()
    for _ in range(3):
        assert ends.down(*qos_packets(1)) == qos_packets(1)
        assert ends.client.acknowledge(1) == ends.client.send(PubAck(1))
    ends.client.peer_maximum_packet_size = 3
    with pytest.raises(LocalProtocolError, match="larger"):
        ends.client.acknowledge(1)
    closed = Ends()
    with pytest.raises(LocalProtocolError, match="opened"):
        closed.client.acknowledge(1)
