"""MQTT 5.0 properties (§2.2.2): one table says what there is, and coding follows from it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Any, TypedDict, cast

from trio_mqtt.errors import LocalProtocolError, MalformedPacketError, RemoteProtocolError
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.wire import (
    MAX_VARIABLE_BYTE_INTEGER,
    Reader,
    encode_binary,
    encode_utf8,
    encode_variable_byte_integer,
)
from trio_mqtt.records import record


class Properties(TypedDict, total=False):
    """The properties of one packet or will, by the standard's names in snake case.

    Dictionaries of properties are shared between packets: replace them, never change them in place.
    """

    payload_format_indicator: int
    message_expiry_interval: int
    content_type: str
    response_topic: str
    correlation_data: bytes
    subscription_identifier: list[int]
    session_expiry_interval: int
    assigned_client_identifier: str
    server_keep_alive: int
    authentication_method: str
    authentication_data: bytes
    request_problem_information: int
    will_delay_interval: int
    request_response_information: int
    response_information: str
    server_reference: str
    reason_string: str
    receive_maximum: int
    topic_alias_maximum: int
    topic_alias: int
    maximum_qos: int
    retain_available: int
    user_property: list[tuple[str, str]]
    maximum_packet_size: int
    wildcard_subscription_available: int
    subscription_identifier_available: int
    shared_subscription_available: int


NO_PROPERTIES: Properties = {}


class WireType(Enum):
    """How a property's value is written (MQTT 5.0 §2.2.2.2)."""

    BYTE = "byte"
    TWO_BYTE_INTEGER = "two byte integer"
    FOUR_BYTE_INTEGER = "four byte integer"
    VARIABLE_BYTE_INTEGER = "variable byte integer"
    UTF8 = "UTF-8 string"
    BINARY = "binary data"
    UTF8_PAIR = "UTF-8 string pair"


class Carrier(IntEnum):
    """What may carry properties: the packet types, and the will within CONNECT."""

    CONNECT = PacketType.CONNECT
    CONNACK = PacketType.CONNACK
    PUBLISH = PacketType.PUBLISH
    PUBACK = PacketType.PUBACK
    PUBREC = PacketType.PUBREC
    PUBREL = PacketType.PUBREL
    PUBCOMP = PacketType.PUBCOMP
    SUBSCRIBE = PacketType.SUBSCRIBE
    SUBACK = PacketType.SUBACK
    UNSUBSCRIBE = PacketType.UNSUBSCRIBE
    UNSUBACK = PacketType.UNSUBACK
    DISCONNECT = PacketType.DISCONNECT
    AUTH = PacketType.AUTH
    WILL = 16


@record
class Property:
    """One row of the table: a property's identifier, name, type, carriers and value range."""

    identifier: int
    name: str
    type: WireType
    carriers: frozenset[Carrier]
    minimum: int = 0
    maximum: int = MAX_VARIABLE_BYTE_INTEGER
    repeats: bool = False
    # Carriers in which even a property that repeats may stand only once (§3.8.2.1.2).
    once_in: frozenset[Carrier] = frozenset()


def _table() -> tuple[Property, ...]:
    c = Carrier
    w = WireType
    u32 = 0xFFFF_FFFF
    message = frozenset({c.PUBLISH, c.WILL})
    handshake = frozenset({c.CONNECT, c.CONNACK})
    acks = frozenset({
        c.CONNACK, c.PUBACK, c.PUBREC, c.PUBREL, c.PUBCOMP, c.SUBACK, c.UNSUBACK, c.DISCONNECT,
        c.AUTH,
    })  # fmt: skip
    connack = frozenset({c.CONNACK})
    connect = frozenset({c.CONNECT})
    return (
        Property(0x01, "payload_format_indicator", w.BYTE, message, 0, 1),
        Property(0x02, "message_expiry_interval", w.FOUR_BYTE_INTEGER, message, 0, u32),
        Property(0x03, "content_type", w.UTF8, message),
        Property(0x08, "response_topic", w.UTF8, message),
        Property(0x09, "correlation_data", w.BINARY, message),
        Property(
            0x0B, "subscription_identifier", w.VARIABLE_BYTE_INTEGER,
            frozenset({c.PUBLISH, c.SUBSCRIBE}), 1, repeats=True, once_in=frozenset({c.SUBSCRIBE}),
        ),
        Property(
            0x11, "session_expiry_interval", w.FOUR_BYTE_INTEGER, handshake | {c.DISCONNECT}, 0, u32
        ),
        Property(0x12, "assigned_client_identifier", w.UTF8, connack),
        Property(0x13, "server_keep_alive", w.TWO_BYTE_INTEGER, connack, 0, 0xFFFF),
        Property(0x15, "authentication_method", w.UTF8, handshake | {c.AUTH}),
        Property(0x16, "authentication_data", w.BINARY, handshake | {c.AUTH}),
        Property(0x17, "request_problem_information", w.BYTE, connect, 0, 1),
        Property(0x18, "will_delay_interval", w.FOUR_BYTE_INTEGER, frozenset({c.WILL}), 0, u32),
        Property(0x19, "request_response_information", w.BYTE, connect, 0, 1),
        Property(0x1A, "response_information", w.UTF8, connack),
        Property(0x1C, "server_reference", w.UTF8, connack | {c.DISCONNECT}),
        Property(0x1F, "reason_string", w.UTF8, acks),
        Property(0x21, "receive_maximum", w.TWO_BYTE_INTEGER, handshake, 1, 0xFFFF),
        Property(0x22, "topic_alias_maximum", w.TWO_BYTE_INTEGER, handshake, 0, 0xFFFF),
        Property(0x23, "topic_alias", w.TWO_BYTE_INTEGER, frozenset({c.PUBLISH}), 1, 0xFFFF),
        Property(0x24, "maximum_qos", w.BYTE, connack, 0, 1),
        Property(0x25, "retain_available", w.BYTE, connack, 0, 1),
        Property(0x26, "user_property", w.UTF8_PAIR, frozenset(Carrier), repeats=True),
        Property(0x27, "maximum_packet_size", w.FOUR_BYTE_INTEGER, handshake, 1, u32),
        Property(0x28, "wildcard_subscription_available", w.BYTE, connack, 0, 1),
        Property(0x29, "subscription_identifier_available", w.BYTE, connack, 0, 1),
        Property(0x2A, "shared_subscription_available", w.BYTE, connack, 0, 1),
    )  # fmt: skip


TABLE = _table()
BY_IDENTIFIER = {row.identifier: row for row in TABLE}
BY_NAME = {row.name: row for row in TABLE}

_READ: dict[WireType, Callable[[Reader], object]] = {
    WireType.BYTE: Reader.byte,
    WireType.TWO_BYTE_INTEGER: Reader.two_byte_integer,
    WireType.FOUR_BYTE_INTEGER: Reader.four_byte_integer,
    WireType.VARIABLE_BYTE_INTEGER: Reader.variable_byte_integer,
    WireType.UTF8: Reader.utf8,
    WireType.BINARY: Reader.binary,
    WireType.UTF8_PAIR: Reader.utf8_pair,
}

_WRITE: dict[WireType, Callable[[Any], bytes]] = {
    WireType.BYTE: lambda value: bytes((value,)),
    WireType.TWO_BYTE_INTEGER: lambda value: value.to_bytes(2, "big"),
    WireType.FOUR_BYTE_INTEGER: lambda value: value.to_bytes(4, "big"),
    WireType.VARIABLE_BYTE_INTEGER: encode_variable_byte_integer,
    WireType.UTF8: encode_utf8,
    WireType.BINARY: encode_binary,
    WireType.UTF8_PAIR: lambda pair: encode_utf8(pair[0]) + encode_utf8(pair[1]),
}

# A topic alias of zero has a reason code of its own (§3.3.2.3.4); all others are protocol errors.
_RANGE_ERROR = {"topic_alias": ReasonCode.TOPIC_ALIAS_INVALID}


def decode_properties(reader: Reader, carrier: Carrier) -> Properties:
    """Read a property length and the properties it covers.

    Raises MalformedPacketError, or RemoteProtocolError for a property that is repeated, has a value
    out of range or does not belong in `carrier`.
    """
    length = reader.variable_byte_integer()
    if length == 0:
        return NO_PROPERTIES
    end = reader.position + length
    if end > reader.end:
        raise MalformedPacketError("the properties are longer than their packet")
    inner = Reader(reader.data, reader.position, end)
    found: dict[str, Any] = {}
    while inner.position < end:
        identifier = inner.variable_byte_integer()
        row = BY_IDENTIFIER.get(identifier)
        if row is None:
            raise MalformedPacketError(f"there is no property 0x{identifier:02X}")
        name = row.name
        if carrier not in row.carriers:
            raise RemoteProtocolError(f"{carrier.name} must not carry {name}")
        value = _READ[row.type](inner)
        if type(value) is int and not row.minimum <= value <= row.maximum:
            raise RemoteProtocolError(
                f"{name} must not be {value}", _RANGE_ERROR.get(name, ReasonCode.PROTOCOL_ERROR)
            )
        if row.repeats:
            values = found.setdefault(name, [])
            if values and carrier in row.once_in:
                raise RemoteProtocolError(f"{name} stands twice in {carrier.name}")
            values.append(value)
            maximum = reader.maximum_repetitions
            if len(values) > maximum and (name == "user_property" or len(values) > 1):
                raise RemoteProtocolError(
                    f"{carrier.name} carries {name} more than {maximum:,} times",
                    ReasonCode.QUOTA_EXCEEDED,
                )
        elif name in found:
            raise RemoteProtocolError(f"{name} stands twice in {carrier.name}")
        else:
            found[name] = value
    reader.position = end
    return cast(Properties, found)


def encode_properties(properties: Properties, carrier: Carrier) -> bytes:
    """The property length and the properties (MQTT 5.0 §2.2.2).

    Raises LocalProtocolError for a property unknown, out of range or not allowed in `carrier`.
    """
    if not properties:
        return b"\0"
    parts: list[bytes] = []
    for name, value in properties.items():
        row = BY_NAME.get(name)
        if row is None:
            raise LocalProtocolError(f"there is no property {name!r}")
        if carrier not in row.carriers:
            raise LocalProtocolError(f"{carrier.name} must not carry {name}")
        values = cast("list[Any]", value if row.repeats else [value])
        if len(values) > 1 and carrier in row.once_in:
            raise LocalProtocolError(f"{name} may stand only once in {carrier.name}")
        write = _WRITE[row.type]
        head = bytes((row.identifier,))
        for one in values:
            if isinstance(one, int) and not row.minimum <= one <= row.maximum:
                raise LocalProtocolError(f"{name} must not be {one}")
            parts.append(head + write(one))
    body = b"".join(parts)
    return encode_variable_byte_integer(len(body)) + body
