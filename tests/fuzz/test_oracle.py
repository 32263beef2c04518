"""What the oracle says to answers, right ones and wrong ones."""

from __future__ import annotations

import pytest

from tests.beside.pair import SECRET, SECRET_TOPIC
from tests.fuzz.cases import Script
from tests.fuzz.executor import Played
from tests.fuzz.oracle import judge
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    PubRec,
    SubAck,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

V311, V5 = ProtocolVersion.V311, ProtocolVersion.V5


def judged(
    sent: list[Packet] | bytes,
    received: list[Packet] | bytes,
    version: ProtocolVersion = V5,
    *,
    must_be_refused: bool = False,
    stays: bool = False,
) -> list[str]:
    script = Script("mqtt", "tcp", must_be_refused=must_be_refused)
    if not isinstance(sent, bytes):
        sent = b"".join(encode(packet, version) for packet in sent)
    if not isinstance(received, bytes):
        received = b"".join(encode(packet, version) for packet in received)
    return judge(
        Played(script, received, closed=True, orderly=True, stays=stays, written=sent)
    )  # fmt: skip


def connect(version: ProtocolVersion = V5, properties: Properties | None = None) -> Connect:
    return Connect("one", protocol_version=version, properties=properties or {})


@pytest.mark.parametrize("version", [V311, V5], ids=lambda version: version.text)
def test_right_answers_are_right(version: ProtocolVersion) -> None:
    sent: list[Packet] = [
        connect(version),
        Subscribe(1, [Subscription("fuzz/a", 2)]),
        Publish("fuzz/a", b"x", 1, packet_id=2),
        Publish("fuzz/a", b"x", 2, packet_id=3),
        PingReq(),
    ]
    received: list[Packet] = [
        ConnAck(),
        SubAck(1, [ReasonCode.GRANTED_QOS_2]),
        PubAck(2),
        PubRec(3),
        Publish("fuzz/a", b"x", 1, packet_id=1),
        PingResp(),
    ]
    assert judged(sent, received, version) == []
    assert judged(sent, [], version) == []
    assert judged(b"GET / HTTP/1.1\r\n\r\n", b"") == []


def test_a_refusal_is_right() -> None:
    refused: list[Packet] = [ConnAck(reason_code=ReasonCode.NOT_AUTHORIZED)]
    assert judged([connect()], refused) == []
    assert judged(b"\x10\x00", b"", must_be_refused=True) == []


WRONG: dict[str, tuple[list[Packet] | bytes, list[Packet] | bytes]] = {
    "is not MQTT": ([connect()], [SubAck(1, [ReasonCode.SUCCESS])]),
    "PINGRESP comes unasked": ([connect()], [ConnAck(), PingResp()]),
    "PUBACK 0001 comes unasked": ([connect()], [ConnAck(), PubAck(1)]),
    "SUBACK 0001 comes unasked": ([connect()], [ConnAck(), SubAck(1, [ReasonCode.SUCCESS])]),
    "must not send PINGRESP now": (
        [connect(), PingReq()],
        encode(ConnAck(), V5) + encode(Disconnect(), V5) + encode(PingResp(), V5),
    ),
    "in the middle of a packet": ([connect()], encode(ConnAck(), V5)[:-1]),
    "no valid CONNECT": (b"\x10\x00", [ConnAck()]),
    "is larger than 10": (
        [connect(properties={"maximum_packet_size": 10})],
        [ConnAck(), Publish("fuzz/a", bytes(100))],
    ),
    "nobody may read": ([connect()], [ConnAck(), Publish(SECRET_TOPIC, SECRET)]),
    "nobody may have": ([connect()], [ConnAck(), Publish("pair/0", b"7")]),
    "messages are unacknowledged": (
        [connect(properties={"receive_maximum": 1})],
        [ConnAck(), *(Publish("fuzz/a", b"", 1, packet_id=n) for n in (1, 2))],
    ),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_answers_are_found(words: str) -> None:
    sent, received = WRONG[words]
    assert any(words in problem for problem in judged(sent, received))


def test_what_must_be_refused_and_is_not_is_found() -> None:
    problems = judged([connect()], [ConnAck()], must_be_refused=True)
    assert problems == ["a CONNECT is accepted that no broker may accept"]


def test_a_connection_that_stays_is_found() -> None:
    (problem,) = judged([connect(), connect()], [ConnAck()], stays=True)
    assert "has not closed" in problem
