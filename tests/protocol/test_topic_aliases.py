"""Topic aliases, both ways (MQTT 5.0 §3.3.2.3.4): they end with their connection."""

from __future__ import annotations

import pytest

from tests.protocol.ends import STEP, V5, Ends
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packets import PingReq, PingResp, Publish
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode as Code


def aliased(topic: str, alias: int, payload: bytes = b"p", packet_id: int = 0) -> Publish:
    properties: Properties = {"topic_alias": alias, "content_type": "x"}
    return Publish(topic, payload, int(packet_id > 0), packet_id=packet_id, properties=properties)


@pytest.mark.normative("MQTT-3.3.2-12")
@STEP
def test_an_alias_stands_for_its_topic_until_it_is_set_anew(step: int) -> None:
    ends = Ends(connack={"topic_alias_maximum": 5}, step=step, topic_alias_maximum=5).open()
    received = ends.up(
        aliased("a", 1, b"1"), aliased("b", 5, b"2"), aliased("", 1, b"3"), aliased("", 5, b"4"),
        aliased("c", 1, b"5"), aliased("", 1, b"6"), aliased("", 5, b"7", packet_id=9),
    )  # fmt: skip
    assert ends.server.violation is None
    found = [(p.topic, p.payload) for p in received if isinstance(p, Publish)]
    assert found == [
        ("a", b"1"), ("b", b"2"), ("a", b"3"), ("b", b"4"), ("c", b"5"), ("c", b"6"), ("b", b"7"),
    ]  # fmt: skip
    for packet in received:
        assert isinstance(packet, Publish)
        assert packet.properties == {"content_type": "x"}
        assert packet.frame is None  # it names the alias, which ends here
    assert isinstance(received[-1], Publish)
    assert (received[-1].qos, received[-1].packet_id) == (1, 9)


def test_the_server_may_use_aliases_too() -> None:
    ends = Ends(connect={"topic_alias_maximum": 2}).open()
    assert ends.server.peer_topic_alias_maximum == 2
    received = ends.down(aliased("a", 2, b"1"), aliased("", 2, b"2"))
    assert [(p.topic, p.payload) for p in received if isinstance(p, Publish)] == [
        ("a", b"1"),
        ("a", b"2"),
    ]


@pytest.mark.normative("MQTT-3.3.2-9", "MQTT-3.2.2-17", "MQTT-3.2.2-18")
@pytest.mark.parametrize("maximum", [0, 1, 4])
def test_an_alias_above_the_maximum_is_neither_sent_nor_accepted(maximum: int) -> None:
    connack: Properties = {"topic_alias_maximum": maximum} if maximum else {}
    ends = Ends(connack=connack, topic_alias_maximum=maximum).open()
    with pytest.raises(LocalProtocolError, match="alias"):
        ends.client.send(aliased("t", maximum + 1))
    assert ends.server.receive(encode(aliased("t", maximum + 1), V5)) == []
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.TOPIC_ALIAS_INVALID


@pytest.mark.normative("MQTT-3.3.2-10")
def test_an_alias_that_was_never_set_is_a_protocol_error() -> None:
    limit: Properties = {"topic_alias_maximum": 2}
    ends = Ends(connect=limit).open()
    assert ends.server.receive(encode(PingReq(), V5) + encode(aliased("", 1), V5)) == [PingReq()]
    assert ends.server.violation is not None
    assert ends.server.violation.reason_code == Code.PROTOCOL_ERROR
    assert ends.client.receive(encode(PingResp(), V5) + encode(aliased("", 1), V5)) == [PingResp()]
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.PROTOCOL_ERROR


@pytest.mark.normative("MQTT-3.3.2-10")
def test_aliases_end_with_their_connection() -> None:
    ends = Ends(connack={"topic_alias_maximum": 5}).open()
    ends.up(aliased("a", 1))
    again = Ends().open()
    assert again.server.receive(encode(aliased("", 1), V5)) == []
    assert again.server.violation is not None


@pytest.mark.normative("MQTT-3.1.2-26", "MQTT-3.1.2-27", "MQTT-3.3.2-11")
@pytest.mark.parametrize("maximum", [0, 1, 4])
def test_a_server_sends_no_alias_above_the_maximum(maximum: int) -> None:
    ends = Ends(connect={"topic_alias_maximum": maximum}).open()
    with pytest.raises(LocalProtocolError, match="alias"):
        ends.server.send(aliased("t", maximum + 1))
    assert ends.client.receive(encode(aliased("t", maximum + 1), V5)) == []
    assert ends.client.violation is not None
    assert ends.client.violation.reason_code == Code.TOPIC_ALIAS_INVALID


def test_an_alias_that_was_never_set_is_not_sent() -> None:
    limit: Properties = {"topic_alias_maximum": 2}
    ends = Ends(connect=limit, connack=limit).open()
    with pytest.raises(LocalProtocolError, match="never set"):
        ends.client.send(aliased("", 1))
    with pytest.raises(LocalProtocolError, match="never set"):
        ends.server.send(aliased("", 1))
    # One that the client could not send sets nothing.
    ends.client.peer_maximum_packet_size = 10
    with pytest.raises(LocalProtocolError, match="larger"):
        ends.client.send(aliased("a long topic", 1))
    ends.client.peer_maximum_packet_size = 100
    with pytest.raises(LocalProtocolError, match="never set"):
        ends.client.send(aliased("", 1))
