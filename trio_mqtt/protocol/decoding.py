"""Bytes to packets: whole reads in, lists of complete packets out."""

from __future__ import annotations

import struct
from collections.abc import Callable

from trio_mqtt.errors import (
    MalformedPacketError,
    RemoteProtocolError,
    UnsupportedVersionError,
)
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
    PubAckRun,
    PubComp,
    Publish,
    PublishRun,
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
from trio_mqtt.protocol.wire import MAX_VARIABLE_BYTE_INTEGER, Reader, decode_topic_name

V5 = ProtocolVersion.V5
_SUCCESS = ReasonCode.SUCCESS


SMALL_READ = 4_096  # bytes; smaller parts of one packet are kept together


class PacketDecoder:
    """Cuts a byte stream into packets.

    `first` is the only packet type that may come first on the stream (CONNECT at a server, CONNACK
    at a client); anything else is refused at its first byte, whatever length it claims.
    `maximum_packet_size` bounds, in bytes, what is ever held for one packet; from the second packet
    on, `maximum_packet_size_later` does, if it is given.
    `version` may be None at a server: the CONNECT packet sets it. With `runs`, consecutive PUBLISH
    packets that may travel on as they are come as one `PublishRun`, and consecutive PUBACK packets
    as one `PubAckRun`.
    """

    def __init__(
        self,
        first: PacketType,
        version: ProtocolVersion | None = None,
        maximum_packet_size: int = MAX_VARIABLE_BYTE_INTEGER + 5,
        *,
        runs: bool = False,
        maximum_packet_size_later: int | None = None,
    ) -> None:
        self.version = version
        self.maximum_packet_size = maximum_packet_size
        self.violation: RemoteProtocolError | None = None
        # The kind that the first packet must be of, or None: whoever uses this checks.
        self.first: PacketType | None = first
        self._maximum_later = maximum_packet_size_later
        self._runs = runs
        # The topic of the last PUBLISH, with its length as bytes, and decoded: most messages have
        # the topic of the one before, and one comparison tells.
        self._known = b""
        self._topic = ""
        self._chunks: list[bytes | bytearray] = []
        self._held = 0  # bytes in the chunks
        self.wanted = 0  # bytes without which no further packet is complete

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that `data` completes, in order.

        Where the stream breaks the rules, the packets before that point are returned and
        `violation` says what is wrong; from then on nothing more is decoded.
        """
        if self.violation is not None:
            return []
        if self._held:
            # Chunks are joined only once the packet that they belong to is whole, so that a large
            # packet is copied once however many reads it takes.
            last = self._chunks[-1]
            if len(data) < SMALL_READ:
                # A byte object for each of millions of small reads would cost many times their
                # size.
                if not isinstance(last, bytearray):
                    last = bytearray()
                    self._chunks.append(last)
                last += data
            else:
                self._chunks.append(data)
            self._held += len(data)
            if self._held < self.wanted:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._held = 0
        packets: list[Packet] = []
        try:
            used = self._decode(data, packets)
        except RemoteProtocolError as error:
            self.violation = error
            return packets
        if used < len(data):
            rest = data[used:] if used else data
            self._chunks.append(rest)
            self._held = len(rest)
        return packets

    def _decode(self, data: bytes, packets: list[Packet]) -> int:
        """Append the complete packets in `data`; return how many bytes they took."""
        append = packets.append
        maximum = self.maximum_packet_size
        version = self.version
        is_v5 = version == 5
        end = len(data)
        position = 0
        runs = self._runs
        if self.first is not None and end and data[0] >> 4 != self.first:
            raise RemoteProtocolError(f"the first packet is not {self.first.name}")
        while True:
            if end - position < 2:
                self.wanted = 2
                break
            first = data[position]
            length = data[position + 1]
            body = position + 2
            if length > 127:
                length, body = _long_remaining_length(data, position, end)
                if body == 0:
                    self.wanted = end - position + 1
                    break
            stop = body + length
            if stop - position > maximum:
                raise RemoteProtocolError(
                    f"a packet of {stop - position} bytes is larger than {maximum}",
                    ReasonCode.PACKET_TOO_LARGE,
                )
            if stop > end:
                self.wanted = stop - position
                break
            if first == 0x30 and runs:
                run = self._run(data, position, end)
                if run is not None:
                    append(run)
                    position += len(run.frames)
                    continue
            if first & 0xF0 == 0x30:
                # PUBLISH, in line: this is a path that many messages take.
                at = self._after_topic(data, body, stop)
                topic = self._topic
                packet_id_at = at - position
                packet_id = 0
                qos = first >> 1 & 3
                if qos:
                    if qos == 3:
                        raise MalformedPacketError("a PUBLISH has QoS 3")
                    at += 2
                    if at > stop:
                        raise MalformedPacketError("a PUBLISH ends before its packet identifier")
                    packet_id = data[at - 2] << 8 | data[at - 1]
                    if packet_id == 0:
                        raise MalformedPacketError("a packet identifier is zero")
                elif first & 8:
                    raise MalformedPacketError("a PUBLISH of QoS 0 has DUP set")
                properties = NO_PROPERTIES
                if is_v5:
                    if at >= stop:
                        raise MalformedPacketError("a PUBLISH ends before its properties")
                    if data[at]:
                        reader = Reader(data, at, stop)
                        properties = decode_properties(reader, Carrier.PUBLISH)
                        at = reader.position
                        _check_response_topic(properties)
                    else:
                        at += 1
                if not topic and "topic_alias" not in properties:
                    raise RemoteProtocolError("a PUBLISH has neither topic nor topic alias")
                append(
                    Publish(
                        topic,
                        None,
                        qos,
                        first & 1 == 1,
                        first & 8 == 8,
                        packet_id,
                        properties,
                        data[position:stop],
                        packet_id_at,
                        at - position,
                    )
                )
            elif first == 0x40 and length == 2 and runs:
                stop = self._puback_run(data, position, end, packets)
            elif first == 0x40 and length == 2:
                packet_id = data[body] << 8 | data[body + 1]
                if packet_id == 0:
                    raise MalformedPacketError("a packet identifier is zero")
                append(PubAck(packet_id))
            else:
                packet = decode_packet(first, data[body:stop], version)
                append(packet)
                if self.first is not None:
                    self.first = None
                    if self._maximum_later is not None:
                        maximum = self.maximum_packet_size = self._maximum_later
                    if type(packet) is Connect:
                        version = self.version = packet.protocol_version
                        is_v5 = version == 5
            position = stop
        return position

    def _puback_run(self, data: bytes, start: int, end: int, packets: list[Packet]) -> int:
        """Append the run of PUBACK packets that begins at `start`; return where it ends."""
        stop = start + 4
        if stop == end and (data[start + 2] or data[start + 3]):
            packets.append(PubAckRun((data[start + 2] << 8 | data[start + 3],)))
            return stop
        while stop + 4 <= end and data.startswith(b"\x40\x02", stop):
            stop += 4
        packet_ids = struct.unpack_from(f">{(stop - start) // 2}H", data, start)[1::2]
        if 0 in packet_ids:
            before = packet_ids[: packet_ids.index(0)]
            if before:
                packets.append(PubAckRun(before))
            raise MalformedPacketError("a packet identifier is zero")
        packets.append(PubAckRun(packet_ids))
        return stop

    def _after_topic(self, data: bytes, body: int, stop: int) -> int:
        """Where the topic of the PUBLISH at `body` ends; what it is, is kept in `_topic`."""
        known = self._known
        if known and data.startswith(known, body):
            at = body + len(known)
        else:
            at = body + 2
            if at <= stop:
                at += data[body] << 8 | data[body + 1]
            if at <= stop:
                self._topic = decode_topic_name(data[body + 2 : at])
                self._known = data[body:at]
        if at > stop:
            raise MalformedPacketError("the topic name is longer than its packet")
        return at

    def _run(self, data: bytes, start: int, end: int) -> PublishRun | None:
        """The run that begins at `start`; None if what is there is no part of one.

        It ends before the first packet that is in any way unlike the one before it, which then
        gets a look of its own: nothing is refused here but a topic name.
        """
        maximum = self.maximum_packet_size
        is_v5 = self.version == 5
        starts: list[int] = []
        known = b""
        size = 0
        position = start
        while end - position > 4 and data[position] == 0x30:
            length = data[position + 1]
            body = position + 2
            if length > 127:
                try:
                    length, body = _long_remaining_length(data, position, end)
                except MalformedPacketError:
                    break
                if body == 0:
                    break
            stop = body + length
            if stop > end or stop - position > maximum:
                break
            if not known:
                size = self._after_topic(data, body, stop) - body
                known = self._known
                if size == 2:
                    break  # no topic: it needs an alias, which it cannot have here
            elif not data.startswith(known, body):
                break
            at = body + size
            if at > stop or (is_v5 and (at == stop or data[at])):
                break
            starts.append(position - start)
            position = stop
        if not starts:
            return None
        return PublishRun(self._topic, size + is_v5, data[start:position], starts)


def _long_remaining_length(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A remaining length of two to four bytes, and where the body starts.

    The second is 0 if the length itself is incomplete.
    """
    value = data[position + 1] & 0x7F
    shift = 7
    at = position + 2
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0:
                raise MalformedPacketError("a remaining length is longer than it need be")
            return value, at
        shift += 7
        if shift > 21:
            raise MalformedPacketError("a remaining length has more than four bytes")
    return 0, 0


def decode_packet(first: int, body: bytes, version: ProtocolVersion | None) -> Packet:
    """The packet of a fixed header byte and the bytes after its remaining length.

    PUBLISH is decoded by `PacketDecoder` itself. Raises RemoteProtocolError.
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
    reader = Reader(body)
    packet = decode(reader, version or V5)
    reader.expect_end()
    return packet


def _decode_connect(reader: Reader, _version: ProtocolVersion) -> Connect:
    name = reader.binary()
    level = reader.byte()
    if name == b"MQIsdp" and level == 3:
        version = ProtocolVersion.V31
    elif name == b"MQTT" and level in (4, 5):
        version = ProtocolVersion(level)
    elif name == b"MQTT" or (name == b"MQIsdp" and level != 3):
        raise UnsupportedVersionError(level)
    else:
        raise MalformedPacketError("the protocol name is not MQTT")
    flags = reader.byte()
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
        _check_response_topic(will_properties)
        topic = reader.utf8()
        problem = topic_name_problem(topic)
        if problem:
            raise MalformedPacketError(f"the will's topic {problem}", ReasonCode.TOPIC_NAME_INVALID)
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
    # What breaks the rules of §4.7 and §4.8.2 is no filter at all.
    topic_filter = reader.utf8()
    problem = topic_filter_problem(topic_filter)
    if problem:
        raise MalformedPacketError(f"the topic filter {problem}", ReasonCode.TOPIC_FILTER_INVALID)
    return topic_filter


def _check_response_topic(properties: Properties) -> None:
    topic = properties.get("response_topic")
    if topic is not None:
        problem = topic_name_problem(topic)
        if problem:
            raise RemoteProtocolError(
                f"the response topic {problem}", ReasonCode.TOPIC_NAME_INVALID
            )


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
