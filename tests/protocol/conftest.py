"""Sample packets of every kind in every protocol version, and how to decode one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from trio_mqtt.protocol.properties import TABLE, Carrier, Properties, WireType
from trio_mqtt.protocol.reason_codes import ReasonCode as Code

V31, V311, V5 = ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5

settings.register_profile("protocol", max_examples=120)
settings.load_profile("protocol")

Sample = tuple[str, Packet, ProtocolVersion, frozenset[int]]

_VALUES: dict[WireType, object] = {
    WireType.BYTE: 1,
    WireType.TWO_BYTE_INTEGER: 0x1234,
    WireType.FOUR_BYTE_INTEGER: 0x01020304,
    WireType.VARIABLE_BYTE_INTEGER: 300,
    WireType.UTF8: "té",
    WireType.BINARY: b"\x00\xff",
    WireType.UTF8_PAIR: ("k", "v"),
}


def every_property(carrier: Carrier) -> Properties:
    """Each property that the carrier allows, once."""
    found: dict[str, object] = {}
    for row in TABLE:
        if carrier in row.carriers:
            value = _VALUES[row.type]
            found[row.name] = [value] if row.repeats else value
    return found  # type: ignore[return-value]  # built from the table that the type repeats


def _frame_length_of(*fields: int) -> frozenset[int]:
    """Body lengths at which a packet may also end: after each of these many bytes."""
    total = 0
    ends = set()
    for size in fields:
        total += size
        ends.add(total)
    return frozenset(ends)


NONE: frozenset[int] = frozenset()


def _samples() -> Iterator[Sample]:
    """Name, packet, version, and the lengths at which its body, cut off, is a packet still."""
    for v in (V31, V311, V5):
        is_v5 = v == V5
        will = Will("w", b"gone", 1, True)
        yield "connect", Connect("id", True, 60, v), v, NONE
        # MQTT 3.1 §3.1: user name and password may be missing though their flags are set.
        yield "connect-will", Connect("id", False, 0, v, will), v, NONE
        full = Connect("id", False, 0xFFFF, v, Will("w/t", b"", 2, False), "user", b"\x00pass")
        yield "connect-full", full, v, frozenset({23, 29}) if v == V31 else NONE
        if not is_v5:
            yield "connect-bridge", Connect("id", False, 60, v, will, is_bridge=True), v, NONE
        yield "connack", ConnAck(), v, NONE
        yield "connack-refused", ConnAck(False, Code.NOT_AUTHORIZED), v, NONE
        yield "publish-0", Publish("a/b"), v, NONE
        yield "publish-0-retained", Publish("a", b"x", 0, True), v, frozenset({4 if is_v5 else 3})
        yield "publish-1", Publish("a/b", b"", 1, False, True, 7), v, NONE
        yield "publish-2", Publish("a/b", b"", 2, True, False, 65_535), v, NONE
        shorter = frozenset({2}) if is_v5 else NONE
        yield "puback", PubAck(1), v, NONE
        yield "pubrec", PubRec(0x1234), v, NONE
        yield "pubrel", PubRel(65_535), v, NONE
        yield "pubcomp", PubComp(256), v, NONE
        yield "subscribe", Subscribe(1, [Subscription("a/+", 2)]), v, NONE
        two = [Subscription("#", 1), Subscription("a", 0)]
        yield "subscribe-two", Subscribe(9, two), v, frozenset({7 if is_v5 else 6})
        yield "suback", SubAck(1, [Code.GRANTED_QOS_2]), v, NONE
        many = [Code.SUCCESS, Code.GRANTED_QOS_1, Code.UNSPECIFIED_ERROR]
        yield "suback-many", SubAck(2, many), v, frozenset({4, 5} if is_v5 else {3, 4})
        yield "unsubscribe", Unsubscribe(1, ["a/#"]), v, NONE
        yield "unsubscribe-two", Unsubscribe(3, ["a", "b"]), v, frozenset({6 if is_v5 else 5})
        codes = [Code.NO_SUBSCRIPTION_EXISTED] if is_v5 else []
        yield "unsuback", UnsubAck(5, codes), v, NONE
        yield "pingreq", PingReq(), v, NONE
        yield "pingresp", PingResp(), v, NONE
        yield "disconnect", Disconnect(), v, NONE
    yield "connack-present", ConnAck(True), V311, NONE
    yield "connack-present", ConnAck(True), V5, NONE
    c = Carrier
    properties = every_property(c.CONNECT)
    will_properties = every_property(c.WILL)
    will = Will("w", b"p", 0, False, will_properties)
    yield "connect-properties", Connect("id", True, 1, V5, will, "u", b"", properties), V5, NONE
    yield "connect-password-only", Connect("id", password=b"token"), V5, NONE
    yield "connack-properties", ConnAck(True, properties=every_property(c.CONNACK)), V5, NONE
    publish = every_property(c.PUBLISH)
    publish["subscription_identifier"] = [1, 268_435_455, 1]
    publish["user_property"] = [("k", "1"), ("k", "1"), ("", "")]
    yield "publish-properties", Publish("a", b"", 1, packet_id=3, properties=publish), V5, NONE
    alias = Publish("", b"", properties={"topic_alias": 65_535})
    yield "publish-alias", alias, V5, NONE
    for name, make, code, carrier in (
        ("puback", PubAck, Code.NO_MATCHING_SUBSCRIBERS, c.PUBACK),
        ("pubrec", PubRec, Code.QUOTA_EXCEEDED, c.PUBREC),
        ("pubrel", PubRel, Code.PACKET_IDENTIFIER_NOT_FOUND, c.PUBREL),
        ("pubcomp", PubComp, Code.PACKET_IDENTIFIER_NOT_FOUND, c.PUBCOMP),
    ):
        yield f"{name}-code", make(2, code), V5, shorter
        properties = every_property(carrier)
        yield f"{name}-properties", make(2, code, properties), V5, frozenset({2, 3})
    options = [
        Subscription("a", 0, True, False, 0),
        Subscription("$share/g/a/#", 1, False, True, 1),
        Subscription("+/+", 2, True, True, 2),
    ]
    properties = every_property(c.SUBSCRIBE)
    head = 2 + 1 + 3 + 7  # identifier, property length, subscription identifier, user property
    ends = _frame_length_of(head + 4, 15)
    yield "subscribe-options", Subscribe(4, options, properties), V5, ends
    properties = every_property(c.SUBACK)
    yield "suback-properties", SubAck(4, [Code.NOT_AUTHORIZED], properties), V5, NONE
    properties = every_property(c.UNSUBSCRIBE)
    yield "unsubscribe-properties", Unsubscribe(4, ["$share/g/a"], properties), V5, NONE
    properties = every_property(c.UNSUBACK)
    yield "unsuback-properties", UnsubAck(4, [Code.SUCCESS], properties), V5, NONE
    yield "disconnect-code", Disconnect(Code.DISCONNECT_WITH_WILL_MESSAGE), V5, frozenset({0})
    moved = Disconnect(Code.SERVER_MOVED, every_property(c.DISCONNECT))
    yield "disconnect-properties", moved, V5, frozenset({0, 1})
    auth = every_property(c.AUTH)
    yield "auth-success", Auth(), V5, NONE
    yield "auth-continue", Auth(Code.CONTINUE_AUTHENTICATION, auth), V5, frozenset({0})


SAMPLES = list(_samples())


@pytest.fixture(scope="session", params=SAMPLES, ids=[f"{s[0]}-v{s[2].text}" for s in SAMPLES])
def sample(request: pytest.FixtureRequest) -> Sample:
    """Name, packet, version, and the lengths at which its body, cut off, is a packet still."""
    found: Sample = request.param
    return found


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    return SAMPLES


def _ready_decoder(version: ProtocolVersion, first: int) -> PacketDecoder:
    if first >> 4 == PacketType.CONNECT:
        return PacketDecoder(PacketType.CONNECT)
    decoder = PacketDecoder(PacketType.CONNACK, version)
    if first >> 4 != PacketType.CONNACK:
        assert decoder.feed(encode(ConnAck(), version)) == [ConnAck()]
    return decoder


@pytest.fixture(scope="session")
def ready_decoder() -> Callable[[ProtocolVersion, int], PacketDecoder]:
    """A decoder of a version that waits for a packet with this first byte."""
    return _ready_decoder


@pytest.fixture(scope="session")
def decode() -> Callable[[bytes, ProtocolVersion], Packet]:
    """Decode the bytes of exactly one packet; raise what the decoder says is wrong."""

    def decode_one(data: bytes, version: ProtocolVersion) -> Packet:
        decoder = _ready_decoder(version, data[0])
        packets = decoder.feed(data)
        if decoder.violation is not None:
            raise decoder.violation
        [packet] = packets
        return packet

    return decode_one
