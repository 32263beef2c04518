"""One packet: its body as bytes to its fields, strictly (MQTT 5.0 §3)."""

from __future__ import annotations

from collections.abc import Callable

from trio_mqtt.errors import MalformedPacketError, RemoteProtocolError, UnsupportedVersionError
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
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Carrier, Properties, decode_properties
from trio_mqtt.protocol.reason_codes import ALLOWED, FROM_RETURN_CODE, ReasonCode
from trio_mqtt.protocol.topics import topic_filter_problem, topic_name_problem
from trio_mqtt.protocol.wire import MAX_REPETITIONS, Reader

V5 = ProtocolVersion.V5
_SUCCESS = ReasonCode.SUCCESS


def decode_packet(
    first: int,
    body: bytes,
    version: ProtocolVersion | None,
    maximum_repetitions: int = MAX_REPETITIONS,
) -> Packet:
    """The packet of a fixed header byte and the bytes after its remaining length.

    `maximum_repetitions` is how often one property may stand in it. PUBLISH is decoded by
    `PacketDecoder` itself. Raises RemoteProtocolError.
    """
    kind = first >> 4
    flags = first & 15
    entry = _DECODERS.get(kind)
    if entry is None or (kind == PacketType.AUTH and version != V5):
        raise MalformedPacketError(f"there is no packet type {kind}")
    expected_flags, decode = entry
    # MQTT 3.1 §2.1 gives PUBREL, SUBSCRIBE and UNSUBSCRIBE a DUP flag; 3.1.1 reserves it.
    if flags != expected_flags and not (
        version == ProtocolVersion.V31 and expected_flags == 2 and flags & ~0x08 == 2
    ):
        raise MalformedPacketError(f"{PacketType(kind).name} has reserved flags set")
    reader = Reader(body, 0, None, maximum_repetitions)
    packet = decode(reader, version or V5)
    reader.expect_end()
    return packet


def _protocol_version(reader: Reader) -> tuple[ProtocolVersion, bool]:
    """The version that CONNECT names (MQTT 5.0 §3.1.2.1, §3.1.2.2), and whether it is a bridge's.

    Bridges of MQTT 3 set the highest bit of the level, which no standard has.
    """
    name = reader.binary()
    level = reader.byte()
    if name == b"MQIsdp" and level in (3, 0x83):
        return ProtocolVersion.V31, level != 3
    if name == b"MQTT" and level in (4, 5, 0x84):
        return ProtocolVersion(level & 0x7F), level == 0x84
    if name == b"MQTT" and 5 < level < 0x80:
        raise UnsupportedVersionError(level, V5)
    if name in (b"MQTT", b"MQIsdp"):
        # The name MQIsdp is of MQTT 3 only, and so is the highest bit: they understand this answer.
        raise UnsupportedVersionError(level, ProtocolVersion.V311)
    raise MalformedPacketError("the protocol name is not MQTT")


def read_opening(
    data: bytes, maximum_repetitions: int
) -> tuple[ProtocolVersion | None, Properties | None]:
    """What can be known of a CONNECT that is refused: its version, and its properties.

    None for each that is not there or not right.
    """
    version = None
    try:
        reader = Reader(data, 1, None, maximum_repetitions)
        length = reader.variable_byte_integer()
        reader.end = min(reader.end, reader.position + length)
        version, _ = _protocol_version(reader)
        reader.take(3)  # flags and keep alive
        return version, _properties(reader, version, Carrier.CONNECT)
    except RemoteProtocolError:
        return version, None


def _decode_connect(reader: Reader, _version: ProtocolVersion) -> Connect:
    version, is_bridge = _protocol_version(reader)
    flags = reader.byte()
    if version == ProtocolVersion.V31:
        # MQTT 3.1 §3.1: bit 0 is not used, and without a will its flags are disregarded.
        flags &= 0xFE if flags & 0x04 else 0xC6
    if flags & 0x01:
        raise MalformedPacketError("the reserved flag of CONNECT is set")
    will_qos = flags >> 3 & 3
    if flags & 0x04:
        if will_qos == 3:
            raise MalformedPacketError("the will has QoS 3")
    elif flags & 0x38:
        raise MalformedPacketError("will flags are set without a will")
    if flags & 0x40 and not flags & 0x80 and version != V5:
        raise MalformedPacketError("a password is given without a user name")
    keep_alive = reader.two_byte_integer()
    properties = _properties(reader, version, Carrier.CONNECT)
    if "authentication_data" in properties and "authentication_method" not in properties:
        raise RemoteProtocolError("authentication data are given without a method")
    client_id = reader.utf8()
    will = None
    if flags & 0x04:
        will_properties = _properties(reader, version, Carrier.WILL)
        check_response_topic(will_properties)
        topic = reader.utf8()
        problem = topic_name_problem(topic)
        if problem:
            raise MalformedPacketError(f"the will's topic {problem}")
        will = Will(topic, reader.binary(), will_qos, bool(flags & 0x20), will_properties)
    username = password = None
    # MQTT 3.1 §3.1: the fields may be missing though their flags are set.
    lenient = version == ProtocolVersion.V31
    if flags & 0x80 and not (lenient and reader.exhausted()):
        username = reader.utf8()
    if flags & 0x40 and not (lenient and reader.exhausted()):
        password = reader.binary()
    return Connect(
        client_id,
        bool(flags & 0x02),
        keep_alive,
        version,
        will,
        username,
        password,
        properties,
        is_bridge,
    )


def _decode_connack(reader: Reader, version: ProtocolVersion) -> ConnAck:
    flags = reader.byte()
    if flags & 0xFE:
        raise MalformedPacketError("CONNACK has reserved flags set")
    code = reader.byte()
    if version != V5 and reader.exhausted():
        if code not in FROM_RETURN_CODE:
            raise MalformedPacketError(f"there is no return code {code}")
        reason = FROM_RETURN_CODE[code]
        properties = NO_PROPERTIES
    elif version == V5 and reader.exhausted() and code == 1:
        # A server of MQTT 3.1.1 refuses version 5 in its own words (MQTT 3.1.1 §3.1.2.2).
        reason = ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
        properties = NO_PROPERTIES
    else:
        reason = _reason(code, PacketType.CONNACK)
        properties = _properties(reader, version, Carrier.CONNACK)
    if flags and reason:
        raise RemoteProtocolError("CONNACK refuses, yet says that a session is present")
    return ConnAck(bool(flags), reason, properties)


def _ack_fields(
    reader: Reader, version: ProtocolVersion, kind: PacketType
) -> tuple[int, ReasonCode, Properties]:
    packet_id = reader.packet_identifier()
    if version != V5 or reader.exhausted():
        return packet_id, _SUCCESS, NO_PROPERTIES
    reason = _reason(reader.byte(), kind)
    if reader.exhausted():
        return packet_id, reason, NO_PROPERTIES
    return packet_id, reason, decode_properties(reader, Carrier(kind))


def _decode_puback(reader: Reader, version: ProtocolVersion) -> PubAck:
    return PubAck(*_ack_fields(reader, version, PacketType.PUBACK))


def _decode_pubrec(reader: Reader, version: ProtocolVersion) -> PubRec:
    return PubRec(*_ack_fields(reader, version, PacketType.PUBREC))


def _decode_pubrel(reader: Reader, version: ProtocolVersion) -> PubRel:
    return PubRel(*_ack_fields(reader, version, PacketType.PUBREL))


def _decode_pubcomp(reader: Reader, version: ProtocolVersion) -> PubComp:
    return PubComp(*_ack_fields(reader, version, PacketType.PUBCOMP))


def _decode_subscribe(reader: Reader, version: ProtocolVersion) -> Subscribe:
    packet_id = reader.packet_identifier()
    properties = _properties(reader, version, Carrier.SUBSCRIBE)
    if reader.exhausted():
        raise RemoteProtocolError("SUBSCRIBE has no topic filter")
    subscriptions = []
    while not reader.exhausted():
        topic_filter = _topic_filter(reader)
        options = reader.byte()
        qos = options & 3
        if qos == 3:
            raise MalformedPacketError("a subscription asks for QoS 3")
        if version != V5:
            if options & 0xFC:
                raise MalformedPacketError("a subscription has reserved bits set")
            subscriptions.append(Subscription(topic_filter, qos))
            continue
        retain_handling = options >> 4 & 3
        if options & 0xC0 or retain_handling == 3:
            raise MalformedPacketError("a subscription has reserved bits set")
        no_local = bool(options & 0x04)
        if no_local and topic_filter.startswith("$share/"):
            raise RemoteProtocolError("a shared subscription asks for no local")
        subscriptions.append(
            Subscription(topic_filter, qos, no_local, bool(options & 0x08), retain_handling)
        )
    return Subscribe(packet_id, subscriptions, properties)


def _decode_suback(reader: Reader, version: ProtocolVersion) -> SubAck:
    packet_id = reader.packet_identifier()
    properties = _properties(reader, version, Carrier.SUBACK)
    codes = reader.rest()
    if not codes:
        raise RemoteProtocolError("SUBACK has no reason code")
    if version != V5 and not {0, 1, 2, 0x80}.issuperset(codes):
        raise MalformedPacketError("SUBACK has a return code that does not exist")
    return SubAck(packet_id, [_reason(code, PacketType.SUBACK) for code in codes], properties)


def _decode_unsubscribe(reader: Reader, version: ProtocolVersion) -> Unsubscribe:
    packet_id = reader.packet_identifier()
    properties = _properties(reader, version, Carrier.UNSUBSCRIBE)
    if reader.exhausted():
        raise RemoteProtocolError("UNSUBSCRIBE has no topic filter")
    filters = []
    while not reader.exhausted():
        filters.append(_topic_filter(reader))
    return Unsubscribe(packet_id, filters, properties)


def _decode_unsuback(reader: Reader, version: ProtocolVersion) -> UnsubAck:
    packet_id = reader.packet_identifier()
    if version != V5:
        return UnsubAck(packet_id)
    properties = decode_properties(reader, Carrier.UNSUBACK)
    codes = [_reason(code, PacketType.UNSUBACK) for code in reader.rest()]
    if not codes:
        raise RemoteProtocolError("UNSUBACK has no reason code")
    return UnsubAck(packet_id, codes, properties)


def _decode_pingreq(_reader: Reader, _version: ProtocolVersion) -> PingReq:
    return PingReq()


def _decode_pingresp(_reader: Reader, _version: ProtocolVersion) -> PingResp:
    return PingResp()


def _decode_disconnect(reader: Reader, version: ProtocolVersion) -> Disconnect:
    if version != V5 or reader.exhausted():
        return Disconnect()
    reason = _reason(reader.byte(), PacketType.DISCONNECT)
    if reader.exhausted():
        return Disconnect(reason)
    return Disconnect(reason, decode_properties(reader, Carrier.DISCONNECT))


def _decode_auth(reader: Reader, _version: ProtocolVersion) -> Auth:
    if reader.exhausted():
        return Auth()
    # Unlike in DISCONNECT, a reason code does not stand alone (§3.15.2.1): AUTH names its method.
    reason = _reason(reader.byte(), PacketType.AUTH)
    properties = decode_properties(reader, Carrier.AUTH)
    if "authentication_method" not in properties:
        raise RemoteProtocolError("AUTH names no authentication method")
    return Auth(reason, properties)


def _properties(reader: Reader, version: ProtocolVersion, carrier: Carrier) -> Properties:
    return decode_properties(reader, carrier) if version == V5 else NO_PROPERTIES


def _reason(code: int, kind: PacketType) -> ReasonCode:
    if code not in ALLOWED[kind]:
        raise MalformedPacketError(f"{kind.name} must not carry reason code 0x{code:02X}")
    return ReasonCode(code)


def _topic_filter(reader: Reader) -> str:
    # Whether a client may have a filter is for the receiver to answer, filter by filter (§3.9.3).
    # What breaks the rules of §4.7 and §4.8.2 is no filter at all: TOPIC_FILTER_INVALID is only for
    # those that are well formed (§3.14.2.1).
    topic_filter = reader.utf8()
    problem = topic_filter_problem(topic_filter)
    if problem:
        raise MalformedPacketError(f"the topic filter {problem}")
    return topic_filter


def check_response_topic(properties: Properties) -> None:
    """Raise MalformedPacketError for a response topic that is no topic name (§3.3.2.3.5)."""
    topic = properties.get("response_topic")
    if topic is not None:
        problem = topic_name_problem(topic)
        if problem:
            raise MalformedPacketError(f"the response topic {problem}")


_DECODERS: dict[int, tuple[int, Callable[[Reader, ProtocolVersion], Packet]]] = {
    PacketType.CONNECT: (0, _decode_connect),
    PacketType.CONNACK: (0, _decode_connack),
    PacketType.PUBACK: (0, _decode_puback),
    PacketType.PUBREC: (0, _decode_pubrec),
    PacketType.PUBREL: (2, _decode_pubrel),
    PacketType.PUBCOMP: (0, _decode_pubcomp),
    PacketType.SUBSCRIBE: (2, _decode_subscribe),
    PacketType.SUBACK: (0, _decode_suback),
    PacketType.UNSUBSCRIBE: (2, _decode_unsubscribe),
    PacketType.UNSUBACK: (0, _decode_unsuback),
    PacketType.PINGREQ: (0, _decode_pingreq),
    PacketType.PINGRESP: (0, _decode_pingresp),
    PacketType.DISCONNECT: (0, _decode_disconnect),
    PacketType.AUTH: (0, _decode_auth),
}
