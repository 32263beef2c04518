"""Packets to bytes, for each protocol version."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.ack_runs import encode_ack_run
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    AckRun,
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
    PublishRun,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.properties import Carrier, Properties, encode_properties
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode, to_return_code
from trio_mqtt.protocol.topics import topic_filter_problem, topic_name_problem
from trio_mqtt.protocol.wire import encode_binary, encode_utf8, encode_variable_byte_integer

V5 = ProtocolVersion.V5
_SUCCESS = ReasonCode.SUCCESS


def encode(packet: Packet, version: ProtocolVersion) -> bytes:
    """The bytes of `packet` in `version`.

    Raises LocalProtocolError for what the standard does not allow.
    """
    return _ENCODERS[type(packet)](packet, version)


def publish_parts(
    topic: str,
    payload: bytes,
    qos: int,
    retain: bool,
    properties: Properties,
    version: ProtocolVersion,
) -> tuple[bytes, bytes]:
    """A PUBLISH with DUP 0, cut where its packet identifier goes (MQTT 5.0 §3.3).

    At QoS 0 there is nothing between the parts: joined, they are the packet. All subscribers of one
    version, QoS and RETAIN share the parts.
    """
    name = encode_utf8(topic)
    after = encode_properties(properties, Carrier.PUBLISH) if version == V5 else b""
    length = len(name) + (2 if qos else 0) + len(after) + len(payload)
    head = bytes((0x30 | qos << 1 | retain,)) + encode_variable_byte_integer(length)
    return head + name, after + payload


def encode_message_properties(properties: Properties) -> bytes:
    """The properties of a PUBLISH of MQTT 5, with their length (§3.3.2.3)."""
    _check_response_topic(properties)
    return encode_properties(properties, Carrier.PUBLISH)


def encode_topic_name(topic: str) -> bytes:
    """A valid topic name with its length. Raises LocalProtocolError for what is none.

    Checking and encoding a topic costs as much as the rest of a small PUBLISH, and topics repeat,
    so short ones are remembered.
    """
    return _remembered_topic_name(topic) if len(topic) <= 256 else _topic_name(topic)


def _topic_name(topic: str) -> bytes:
    problem = topic_name_problem(topic)
    if problem:
        shown = topic if len(topic) <= 100 else topic[:100] + "…"
        raise LocalProtocolError(f"The topic {shown!r} {problem}.")
    return encode_utf8(topic)


_remembered_topic_name = lru_cache(maxsize=4_096)(_topic_name)


def _encode_publish(packet: Publish, version: ProtocolVersion) -> bytes:
    if packet.qos not in (0, 1, 2):
        raise LocalProtocolError(f"there is no QoS {packet.qos}")
    if packet.topic or version != V5 or "topic_alias" not in packet.properties:
        problem = topic_name_problem(packet.topic)
        if problem:
            raise LocalProtocolError(f"The topic {packet.topic!r} {problem}.")
    _check_response_topic(packet.properties)
    before, after = publish_parts(
        packet.topic, packet.payload, packet.qos, packet.retain, packet.properties, version
    )
    if packet.qos == 0:
        if packet.dup or packet.packet_id:
            raise LocalProtocolError("a PUBLISH of QoS 0 has neither DUP nor a packet identifier")
        return before + after
    if packet.dup:
        before = bytes((before[0] | 8,)) + before[1:]
    return before + _packet_identifier(packet.packet_id) + after


def _encode_publish_run(packet: PublishRun, version: ProtocolVersion) -> bytes:
    return b"".join(_encode_publish(message, version) for message in packet.messages)


def _encode_ack_run(packet: AckRun, _version: ProtocolVersion) -> bytes:
    return encode_ack_run(packet.kind, packet.packet_ids)


def _encode_connect(packet: Connect, version: ProtocolVersion) -> bytes:
    name = b"\0\6MQIsdp" if version == ProtocolVersion.V31 else b"\0\4MQTT"
    flags = 0x02 if packet.clean_start else 0
    if packet.is_bridge and version == V5:
        raise LocalProtocolError("MQTT 5 has options of subscriptions for what bridges want")
    level = version | 0x80 if packet.is_bridge else version
    if not (packet.client_id or packet.clean_start or version == V5):
        raise LocalProtocolError("MQTT 3 has no session without a client identifier")
    if version == V5 and (
        "authentication_data" in packet.properties
        and "authentication_method" not in packet.properties
    ):
        raise LocalProtocolError("authentication data are given without a method")
    payload = [encode_utf8(packet.client_id)]
    will = packet.will
    if will is not None:
        problem = topic_name_problem(will.topic)
        if problem:
            raise LocalProtocolError(f"The will's topic {will.topic!r} {problem}.")
        if will.qos not in (0, 1, 2):
            raise LocalProtocolError(f"there is no QoS {will.qos}")
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        if version == V5:
            _check_response_topic(will.properties)
            payload.append(encode_properties(will.properties, Carrier.WILL))
        payload += encode_utf8(will.topic), encode_binary(will.payload)
    if packet.username is not None:
        flags |= 0x80
        payload.append(encode_utf8(packet.username))
    if packet.password is not None:
        if packet.username is None and version != V5:
            raise LocalProtocolError("MQTT 3 has no password without a user name")
        flags |= 0x40
        payload.append(encode_binary(packet.password))
    if not 0 <= packet.keep_alive <= 0xFFFF:
        raise LocalProtocolError(f"a keep alive of {packet.keep_alive} s is not within 0 to 65,535")
    properties = encode_properties(packet.properties, Carrier.CONNECT) if version == V5 else b""
    head = name + bytes((level, flags)) + packet.keep_alive.to_bytes(2, "big") + properties
    return _frame(0x10, head + b"".join(payload))


def _encode_connack(packet: ConnAck, version: ProtocolVersion) -> bytes:
    if packet.session_present and packet.reason_code:
        raise LocalProtocolError("a CONNACK that refuses must not say that a session is present")
    if version != V5:
        # MQTT 3.1 has no session present flag: the byte is reserved (MQTT 3.1 §3.2).
        present = packet.session_present and version == ProtocolVersion.V311
        return bytes((0x20, 2, present, to_return_code(packet.reason_code)))
    _check_reason(packet.reason_code, PacketType.CONNACK)
    body = bytes((packet.session_present, packet.reason_code))
    return _frame(0x20, body + encode_properties(packet.properties, Carrier.CONNACK))


def _ack_encoder(
    first: int, kind: PacketType
) -> Callable[[PubAck | PubRec | PubRel | PubComp, ProtocolVersion], bytes]:
    def encode_ack(packet: PubAck | PubRec | PubRel | PubComp, version: ProtocolVersion) -> bytes:
        identifier = _packet_identifier(packet.packet_id)
        if version != V5 or (packet.reason_code == _SUCCESS and not packet.properties):
            return bytes((first, 2)) + identifier
        _check_reason(packet.reason_code, kind)
        body = identifier + bytes((packet.reason_code,))
        if packet.properties:
            body += encode_properties(packet.properties, Carrier(kind))
        return _frame(first, body)

    return encode_ack


def _encode_subscribe(packet: Subscribe, version: ProtocolVersion) -> bytes:
    if not packet.subscriptions:
        raise LocalProtocolError("a SUBSCRIBE needs at least one topic filter")
    parts = [_packet_identifier(packet.packet_id)]
    if version == V5:
        parts.append(encode_properties(packet.properties, Carrier.SUBSCRIBE))
    for subscription in packet.subscriptions:
        _check_filter(subscription.topic_filter)
        if subscription.qos not in (0, 1, 2) or subscription.retain_handling not in (0, 1, 2):
            raise LocalProtocolError("QoS and retain handling are 0, 1 or 2")
        options = subscription.qos
        if version == V5:
            if subscription.no_local and subscription.topic_filter.startswith("$share/"):
                raise LocalProtocolError("a shared subscription cannot have no local")
            options |= (
                subscription.no_local << 2
                | subscription.retain_as_published << 3
                | subscription.retain_handling << 4
            )
        parts += encode_utf8(subscription.topic_filter), bytes((options,))
    return _frame(0x82, b"".join(parts))


def _encode_suback(packet: SubAck, version: ProtocolVersion) -> bytes:
    if not packet.reason_codes:
        raise LocalProtocolError("a SUBACK needs at least one reason code")
    identifier = _packet_identifier(packet.packet_id)
    for code in packet.reason_codes:
        _check_reason(code, PacketType.SUBACK)
    if version != V5:
        # MQTT 3.1.1 §3.9.3 knows one failure.
        codes = bytes(code if code < 0x80 else 0x80 for code in packet.reason_codes)
        return _frame(0x90, identifier + codes)
    properties = encode_properties(packet.properties, Carrier.SUBACK)
    return _frame(0x90, identifier + properties + bytes(packet.reason_codes))


def _encode_unsubscribe(packet: Unsubscribe, version: ProtocolVersion) -> bytes:
    if not packet.topic_filters:
        raise LocalProtocolError("an UNSUBSCRIBE needs at least one topic filter")
    parts = [_packet_identifier(packet.packet_id)]
    if version == V5:
        parts.append(encode_properties(packet.properties, Carrier.UNSUBSCRIBE))
    for topic_filter in packet.topic_filters:
        _check_filter(topic_filter)
        parts.append(encode_utf8(topic_filter))
    return _frame(0xA2, b"".join(parts))


def _encode_unsuback(packet: UnsubAck, version: ProtocolVersion) -> bytes:
    identifier = _packet_identifier(packet.packet_id)
    if version != V5:
        return b"\xb0\x02" + identifier
    if not packet.reason_codes:
        raise LocalProtocolError("an UNSUBACK needs at least one reason code")
    for code in packet.reason_codes:
        _check_reason(code, PacketType.UNSUBACK)
    properties = encode_properties(packet.properties, Carrier.UNSUBACK)
    return _frame(0xB0, identifier + properties + bytes(packet.reason_codes))


def _encode_pingreq(_packet: PingReq, _version: ProtocolVersion) -> bytes:
    return b"\xc0\0"


def _encode_pingresp(_packet: PingResp, _version: ProtocolVersion) -> bytes:
    return b"\xd0\0"


def _encode_disconnect(packet: Disconnect, version: ProtocolVersion) -> bytes:
    if version != V5:
        return b"\xe0\0"
    _check_reason(packet.reason_code, PacketType.DISCONNECT)
    if packet.properties:
        properties = encode_properties(packet.properties, Carrier.DISCONNECT)
        return _frame(0xE0, bytes((packet.reason_code,)) + properties)
    if packet.reason_code:
        return bytes((0xE0, 1, packet.reason_code))
    return b"\xe0\0"


def _encode_auth(packet: Auth, version: ProtocolVersion) -> bytes:
    if version != V5:
        raise LocalProtocolError("MQTT 3 has no AUTH packet")
    _check_reason(packet.reason_code, PacketType.AUTH)
    if not (packet.reason_code or packet.properties):
        return b"\xf0\0"
    if "authentication_method" not in packet.properties:
        raise LocalProtocolError("AUTH needs an authentication method")
    properties = encode_properties(packet.properties, Carrier.AUTH)
    return _frame(0xF0, bytes((packet.reason_code,)) + properties)


def _frame(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_variable_byte_integer(len(body)) + body


def _packet_identifier(identifier: int) -> bytes:
    if not 1 <= identifier <= 0xFFFF:
        raise LocalProtocolError(f"{identifier} is not a packet identifier")
    return identifier.to_bytes(2, "big")


def _check_reason(code: ReasonCode, kind: PacketType) -> None:
    if code not in ALLOWED[kind]:
        raise LocalProtocolError(f"{kind.name} must not carry reason code 0x{code:02X}")


def _check_response_topic(properties: Properties) -> None:
    topic = properties.get("response_topic")
    if topic is not None:
        problem = topic_name_problem(topic)
        if problem:
            raise LocalProtocolError(f"The response topic {topic!r} {problem}.")


def _check_filter(topic_filter: str) -> None:
    problem = topic_filter_problem(topic_filter)
    if problem:
        raise LocalProtocolError(f"The topic filter {topic_filter!r} {problem}.")


_ENCODERS: dict[type[Packet], Callable[[Any, ProtocolVersion], bytes]] = {
    Connect: _encode_connect,
    ConnAck: _encode_connack,
    Publish: _encode_publish,
    PublishRun: _encode_publish_run,
    PubAck: _ack_encoder(0x40, PacketType.PUBACK),
    AckRun: _encode_ack_run,
    PubRec: _ack_encoder(0x50, PacketType.PUBREC),
    PubRel: _ack_encoder(0x62, PacketType.PUBREL),
    PubComp: _ack_encoder(0x70, PacketType.PUBCOMP),
    Subscribe: _encode_subscribe,
    SubAck: _encode_suback,
    Unsubscribe: _encode_unsubscribe,
    UnsubAck: _encode_unsuback,
    PingReq: _encode_pingreq,
    PingResp: _encode_pingresp,
    Disconnect: _encode_disconnect,
    Auth: _encode_auth,
}
