"""The data types that packets are made of (MQTT 5.0 §1.5): to bytes, and strictly back."""

from __future__ import annotations

from trio_mqtt.errors import LocalProtocolError, MalformedPacketError

MAX_VARIABLE_BYTE_INTEGER = 268_435_455
MAX_PACKET_SIZE = MAX_VARIABLE_BYTE_INTEGER + 5  # bytes
MAX_STRING = 65_535
MAX_REPETITIONS = 65_535  # of one property in a packet, where nobody says less


def _all_identifiers() -> bytes:
    each = bytes(range(256))
    table = bytearray(2 << 16)
    table[::2] = b"".join([each[high : high + 1] * 256 for high in range(256)])
    table[1::2] = each * 256
    return bytes(table)


# All packet identifiers, each in its two bytes: those of consecutive packets are a slice of it.
IDENTIFIERS = _all_identifiers()

# The topics that came in the fields of PUBLISH packets lately: short ones, up to so many.
known_topics: dict[bytes, str] = {}
_SHORT = 258  # bytes, with the two of the length
_MOST_KNOWN = 16_384


def encode_variable_byte_integer(value: int) -> bytes:
    """The shortest encoding of `value`, one to four bytes (MQTT 5.0 §1.5.5).

    Raises LocalProtocolError if it does not fit.
    """
    if 0 <= value < 128:
        return bytes((value,))
    if not 0 <= value <= MAX_VARIABLE_BYTE_INTEGER:
        raise LocalProtocolError(f"{value} does not fit a variable byte integer")
    encoded = bytearray()
    while value >= 128:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_utf8(text: str) -> bytes:
    """A UTF-8 encoded string with its length (MQTT 5.0 §1.5.4).

    Raises LocalProtocolError for U+0000, lone surrogates and more than 65,535 bytes.
    """
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise LocalProtocolError("a string holds a character that UTF-8 cannot carry") from error
    if len(raw) > MAX_STRING:
        raise LocalProtocolError(f"a string of {len(raw)} bytes is longer than {MAX_STRING}")
    if b"\0" in raw:
        raise LocalProtocolError("a string must not hold the null character")
    return len(raw).to_bytes(2, "big") + raw


def encode_binary(data: bytes) -> bytes:
    """Binary data with its length (MQTT 5.0 §1.5.6).

    Raises LocalProtocolError past 65,535 bytes.
    """
    if len(data) > MAX_STRING:
        raise LocalProtocolError(f"binary data of {len(data)} bytes is longer than {MAX_STRING}")
    return len(data).to_bytes(2, "big") + data


def decode_utf8(raw: bytes) -> str:
    """The text of a UTF-8 encoded string without its length (MQTT 5.0 §1.5.4).

    Raises MalformedPacketError for what is not well-formed UTF-8, and for U+0000.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacketError("a string is not valid UTF-8") from error
    if "\0" in text:
        raise MalformedPacketError("a string holds the null character")
    return text


def topic_name(field: bytes) -> str:
    """The topic name in a field of a PUBLISH, which begins with its length (MQTT 5.0 §3.3.2.1).

    Decoding a topic costs more than everything else in a small PUBLISH, and topics repeat, so short
    ones are remembered in `known_topics`. Raises MalformedPacketError for what is no UTF-8 string,
    and for one that holds a wildcard.
    """
    topic = known_topics.get(field)
    if topic is None:
        topic = decode_utf8(field[2:])
        if "+" in topic or "#" in topic:
            raise MalformedPacketError("a topic name holds a wildcard character")
        if len(field) <= _SHORT:
            if len(known_topics) >= _MOST_KNOWN:
                known_topics.clear()
            known_topics[field] = topic
    return topic


class Reader:
    """Takes values off the front of a packet's body; running past its end is malformed."""

    __slots__ = ("data", "end", "maximum_repetitions", "position")

    def __init__(
        self,
        data: bytes,
        position: int = 0,
        end: int | None = None,
        maximum_repetitions: int = MAX_REPETITIONS,
    ) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end
        # How often a property may stand in one packet: linear time is time, too.
        self.maximum_repetitions = maximum_repetitions

    def exhausted(self) -> bool:
        return self.position >= self.end

    def take(self, count: int) -> bytes:
        start = self.position
        stop = start + count
        if stop > self.end:
            raise MalformedPacketError("a packet ends in the middle of a field")
        self.position = stop
        return self.data[start:stop]

    def rest(self) -> bytes:
        return self.take(self.end - self.position)

    def byte(self) -> int:
        return self.take(1)[0]

    def two_byte_integer(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def four_byte_integer(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def variable_byte_integer(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise MalformedPacketError("a variable byte integer is longer than it need be")
                return value
            shift += 7
            if shift > 21:
                raise MalformedPacketError("a variable byte integer has more than four bytes")

    def utf8(self) -> str:
        return decode_utf8(self.binary())

    def binary(self) -> bytes:
        return self.take(self.two_byte_integer())

    def utf8_pair(self) -> tuple[str, str]:
        return self.utf8(), self.utf8()

    def packet_identifier(self) -> int:
        identifier = self.two_byte_integer()
        if identifier == 0:
            raise MalformedPacketError("a packet identifier is zero")
        return identifier

    def expect_end(self) -> None:
        if self.position != self.end:
            raise MalformedPacketError("a packet goes on after its last field")


def long_remaining_length(data: bytes, position: int, end: int) -> tuple[int, int]:
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
