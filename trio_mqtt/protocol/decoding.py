"""Bytes to packets: whole reads in, lists of complete packets out."""

from __future__ import annotations

from trio_mqtt.errors import MalformedPacketError, RemoteProtocolError, without_frames
from trio_mqtt.protocol.ack_runs import ACK_PACKETS, ACKNOWLEDGEMENTS, decode_ack_run
from trio_mqtt.protocol.packet_decoding import check_response_topic, decode_packet, read_opening
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Packet, PubAck, Publish
from trio_mqtt.protocol.properties import NO_PROPERTIES, Carrier, Properties, decode_properties
from trio_mqtt.protocol.publish_runs import decode_publish_run
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode
from trio_mqtt.protocol.request_bounds import RequestBounds
from trio_mqtt.protocol.wire import (
    MAX_PACKET_SIZE,
    MAX_REPETITIONS,
    Reader,
    known_topics,
    long_remaining_length,
    topic_name,
)

_PUBACK_REASONS = {code: ReasonCode(code) for code in ALLOWED[PacketType.PUBACK]}
SMALL_READ = 4_096  # bytes; smaller parts of one packet are kept together

# How much one call of `feed` decodes at most, where that is bounded: in 16ths of what a packet
# costs that comes alone. One in a run costs that much, and so does a byte of properties.
_PACKET = 16
_UNBOUNDED = 1 << 62
# As how many packets of a run of QoS 0 one of QoS 1 counts, which is answered, and each topic that
# begins.
_AT_QOS_1 = 4
_STRETCH = 4
# With what begins what is taken alone: a PUBLISH of QoS 0 or 1, and PUBACK.
ALONE_PUBLISH = (0x30, 0x32)
ALONE_PUBACK = 0x40
_SMALLEST = 5  # bytes of a PUBLISH, with a topic of one character and no payload


class PacketDecoder:
    """Cuts a byte stream into packets.

    `first` is the only packet type that may come first on the stream (CONNECT at a server, CONNACK
    at a client); anything else is refused at its first byte, whatever length it claims.
    `maximum_packet_size` bounds, in bytes, what is ever held for one packet; from the second packet
    on, `maximum_packet_size_later` does, if it is given.
    `maximum_repetitions` is how often a property may stand in one packet, or in a will.
    `version` may be None at a server: the CONNECT packet sets it. With `runs`, consecutive PUBLISH
    packets that may travel on as they are come as one `PublishRun`, and consecutive
    acknowledgements of one kind as one `AckRun`. `packets_at_once` bounds the work of one call: of
    a read that holds more, the rest is `pending`, and `feed(b"")` goes on with it.
    `maximum_filters` and `maximum_request_size` bound SUBSCRIBE and UNSUBSCRIBE: topic filters, and
    bytes.
    """

    def __init__(
        self,
        first: PacketType,
        version: ProtocolVersion | None = None,
        maximum_packet_size: int = MAX_PACKET_SIZE,
        *,
        runs: bool = False,
        maximum_packet_size_later: int | None = None,
        maximum_repetitions: int = MAX_REPETITIONS,
        packets_at_once: int | None = None,
        maximum_filters: int | None = None,
        maximum_request_size: int | None = None,
    ) -> None:
        self.version = version
        self.maximum_packet_size = maximum_packet_size
        self.violation: RemoteProtocolError | None = None
        # The kind that the first packet must be of, or None: whoever uses this checks.
        self.first: PacketType | None = first
        # Of a CONNECT that is refused: its properties, if they can be read, and `version` above.
        self.opening: Properties | None = None
        self._maximum_later = maximum_packet_size_later
        self._maximum_repetitions = maximum_repetitions
        self._runs = runs
        # The topic of the last PUBLISH, with its length as bytes, and decoded: most messages have
        # the topic of the one before, and one comparison tells.
        self._known = b""
        self._topic = ""
        # What the last PUBLISH that came alone began with, up to where its topic ends, and its
        # size: the next one is mostly like it.
        self._alone = b"\0"
        self._alone_size = 0
        self._alone_topic = ""
        self._chunks: list[bytes | bytearray] = []
        self.held = 0  # bytes in the chunks, of a packet that is not whole yet
        self.wanted = 0  # bytes without which no further packet is complete
        self._turn = _UNBOUNDED if packets_at_once is None else packets_at_once * _PACKET
        # Whether there may be more packets in what has come: the last call had done enough.
        self.pending = False
        self._rest = b""
        self._rest_at = 0
        self._requests = RequestBounds(maximum_filters, maximum_request_size)

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that `data` completes, in order.

        Where the stream breaks the rules, the packets before that point are returned and
        `violation` says what is wrong; from then on nothing more is decoded.
        """
        if self.violation is not None:
            return []
        if (
            len(data) == 4
            and data[1] == 2
            and data[0] in ACKNOWLEDGEMENTS
            and self._runs
            and self.first is None
            and not self.held
            and not self.pending
        ):
            # An acknowledgement that comes alone: half of all reads where nothing comes together.
            alone = decode_ack_run(data, 0, 4)
            if alone is not None:
                self.wanted = 2
                return [alone[0]]
        start = 0
        if self.pending:
            rest, self._rest = self._rest, b""
            if data:
                data = rest[self._rest_at :] + data
            else:
                data, start = rest, self._rest_at
            self.pending = False
        elif self.held:
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
            self.held += len(data)
            if self.held < self.wanted:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
            self.held = 0
        packets: list[Packet] = []
        try:
            used = self._decode(data, start, packets)
        except RemoteProtocolError as error:
            self.violation = without_frames(error)
            if self.first is PacketType.CONNECT and data[0] >> 4 == PacketType.CONNECT:
                self.version, self.opening = read_opening(data, self._maximum_repetitions)
            return packets
        if self.pending:
            self._rest, self._rest_at = data, used
        elif used < len(data):
            rest = data[used:] if used else data
            self._chunks.append(rest)
            self.held = len(rest)
        return packets

    def alone(self, data: bytes) -> Publish | None:
        """The PUBLISH that `data` is, whole and by itself, where it is as most are.

        Of QoS 0 or 1, without RETAIN, DUP and properties. None for whatever else there is, right or
        wrong: `feed` says what. Nothing of a packet may have come before it.
        """
        size = len(data)
        if (size != self._alone_size or not data.startswith(self._alone)) and not self._learn(data):
            return None
        at = end = len(self._alone)
        qos = packet_id = 0
        if data[0] == 0x32:
            qos = 1
            packet_id = data[at] << 8 | data[at + 1]
            if not packet_id:
                return None
            end += 2
        if self.version == 5:
            if data[end]:
                return None
            end += 1
        self.wanted = 2
        return Publish(
            self._alone_topic, None, qos, False, False, packet_id, NO_PROPERTIES, data, at, end
        )

    def _learn(self, data: bytes) -> bool:
        """Remember how a PUBLISH begins; False if `data` is none, or not as `alone` takes it."""
        size = len(data)
        if size < _SMALLEST or size > self.maximum_packet_size or data[0] not in ALONE_PUBLISH:
            return False
        length, body = data[1], 2
        if length > 127:
            if not 0 < data[2] < 128:  # it goes on, or is longer than it need be (§1.5.5)
                return False
            length, body = length & 127 | data[2] << 7, 3
        at = body + 2 + (data[body] << 8 | data[body + 1])
        if (
            body + length != size
            or at == body + 2
            or at + (data[0] & 2) + (self.version == 5) > size
        ):
            return False
        known = data[body:at]
        topic = known_topics.get(known)
        if topic is None:
            try:
                topic = topic_name(known)
            except MalformedPacketError:
                return False
        self._alone, self._alone_size, self._alone_topic = data[:at], size, topic
        return True

    def forget_unfinished(self) -> None:
        """Nothing more will come: let go of what has come of a packet that has no end."""
        self._chunks.clear()
        self.held = self.wanted = 0
        self.pending = False
        self._rest = b""

    def _decode(self, data: bytes, position: int, packets: list[Packet]) -> int:
        """Append the complete packets in `data` from `position` on; return where they end."""
        append = packets.append
        maximum = self.maximum_packet_size
        version = self.version
        is_v5 = version == 5
        end = len(data)
        left = self._turn
        runs = self._runs
        if self.first is not None and end and data[0] >> 4 != self.first:
            raise RemoteProtocolError(f"the first packet is not {self.first.name}")
        while True:
            if end - position < 2:
                self.wanted = 2
                break
            if left <= 0:
                self.wanted = 2
                self.pending = True
                break
            left -= _PACKET
            first = data[position]
            length = data[position + 1]
            body = position + 2
            if length > 127:
                length, body = long_remaining_length(data, position, end)
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
                if first & 0xD0 == 0x80:
                    self._requests.check_size(first, stop - position)  # before it is held
                self.wanted = stop - position
                break
            # One message above QoS 0 alone is no run: it costs less as it is.
            if runs and (
                first == 0x30
                or ((first == 0x32 or first == 0x34) and stop < end and data[stop] == first)
            ):
                run = decode_publish_run(data, position, end, first, maximum, is_v5=is_v5)
                if run is not None:
                    append(run)
                    count = len(run.starts)
                    left -= (_AT_QOS_1 * count if run.qos else count) + _STRETCH * len(run.topics)
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
                        reader = Reader(data, at, stop, self._maximum_repetitions)
                        properties = decode_properties(reader, Carrier.PUBLISH)
                        left -= reader.position - at
                        at = reader.position
                        check_response_topic(properties)
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
            elif (
                runs
                and first in ACKNOWLEDGEMENTS
                and (length == 2 or (is_v5 and 2 < length < 5))
                and (acknowledgements := decode_ack_run(data, position, end)) is not None
            ):
                append(acknowledgements[0])
                stop = acknowledgements[1]
                left -= stop - position >> 2
            elif first in ACKNOWLEDGEMENTS and length == 2:
                packet_id = data[body] << 8 | data[body + 1]
                if packet_id == 0:
                    raise MalformedPacketError("a packet identifier is zero")
                append(ACK_PACKETS[first](packet_id))
            elif (
                first == 0x40
                and length == 3
                and is_v5
                and data[body + 2] in _PUBACK_REASONS
                and (data[body] or data[body + 1])
            ):
                packet_id = data[body] << 8 | data[body + 1]
                append(PubAck(packet_id, _PUBACK_REASONS[data[body + 2]], NO_PROPERTIES))
            else:
                if first & 0xD0 == 0x80:
                    self._requests.check_size(first, stop - position)
                    self._requests.check_filters(data, first, body, stop, is_v5=is_v5)
                left -= length
                packet = decode_packet(first, data[body:stop], version, self._maximum_repetitions)
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
                known = data[body:at]
                self._topic = topic_name(known)
                self._known = known
        if at > stop:
            raise MalformedPacketError("the topic name is longer than its packet")
        return at
