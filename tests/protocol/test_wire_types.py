"""The data types of the wire (MQTT 5.0 §1.5): there, back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_mqtt.errors import LocalProtocolError, MalformedPacketError
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.wire import (
    MAX_STRING,
    MAX_VARIABLE_BYTE_INTEGER,
    Reader,
    decode_utf8,
    encode_binary,
    encode_utf8,
    encode_variable_byte_integer,
    known_topics,
    topic_name,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)


def read_all(read: Callable[[Reader], object], data: bytes) -> object:
    reader = Reader(data)
    value = read(reader)
    reader.expect_end()
    return value


# Boundaries from MQTT 5.0 table 1-1.
@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
        (268_435_455, "ffffff7f"),
    ],
)
def test_variable_byte_integer_has_the_encoding_of_the_standard(value: int, encoded: str) -> None:
    assert encode_variable_byte_integer(value).hex() == encoded
    assert read_all(Reader.variable_byte_integer, bytes.fromhex(encoded)) == value


@pytest.mark.normative("MQTT-1.5.5-1")
@given(st.integers(0, MAX_VARIABLE_BYTE_INTEGER))
def test_variable_byte_integer_comes_back_and_is_minimal(value: int) -> None:
    encoded = encode_variable_byte_integer(value)
    assert read_all(Reader.variable_byte_integer, encoded) == value
    assert len(encoded) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize("value", [-1, 268_435_456, 1 << 40])
def test_variable_byte_integer_that_does_not_fit_is_not_written(value: int) -> None:
    with pytest.raises(LocalProtocolError, match="does not fit"):
        encode_variable_byte_integer(value)


@pytest.mark.normative("MQTT-1.5.5-1")
@pytest.mark.parametrize("encoded", ["8000", "808000", "80808000", "ff00", "ffff00", "81808000"])
def test_variable_byte_integer_longer_than_need_be_is_malformed(encoded: str) -> None:
    with pytest.raises(MalformedPacketError, match="longer than it need be"):
        Reader(bytes.fromhex(encoded)).variable_byte_integer()


@pytest.mark.parametrize("encoded", ["8080808001", "ffffffff7f", "ffffffffff", "8080808000"])
def test_variable_byte_integer_of_five_bytes_is_malformed(encoded: str) -> None:
    with pytest.raises(MalformedPacketError, match="more than four bytes"):
        Reader(bytes.fromhex(encoded)).variable_byte_integer()


@given(st.integers(0, 0xFFFF_FFFF))
def test_integers_are_big_endian(value: int) -> None:
    assert read_all(Reader.four_byte_integer, value.to_bytes(4, "big")) == value
    low = value & 0xFFFF
    assert read_all(Reader.two_byte_integer, low.to_bytes(2, "big")) == low
    assert read_all(Reader.byte, bytes((value & 0xFF,))) == value & 0xFF


@given(TEXT)
def test_strings_come_back(text: str) -> None:
    assert read_all(Reader.utf8, encode_utf8(text)) == text


@given(TEXT, TEXT)
def test_string_pairs_come_back(name: str, value: str) -> None:
    data = encode_utf8(name) + encode_utf8(value)
    assert read_all(Reader.utf8_pair, data) == (name, value)


@given(st.binary(max_size=300))
def test_binary_data_come_back(data: bytes) -> None:
    assert read_all(Reader.binary, encode_binary(data)) == data


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535])
def test_strings_and_binary_data_may_have_up_to_65535_bytes(size: int) -> None:
    assert read_all(Reader.utf8, encode_utf8("x" * size)) == "x" * size
    assert read_all(Reader.binary, encode_binary(b"x" * size)) == b"x" * size


@pytest.mark.normative_v311("MQTT-4.7.3-3")
@pytest.mark.normative("MQTT-4.7.3-3")
@pytest.mark.parametrize("text", ["x" * 65_536, "é" * 32_768, "x" * 65_533 + "€€"])
def test_strings_of_more_than_65535_bytes_are_not_written(text: str) -> None:
    assert len(text.encode()) > MAX_STRING
    with pytest.raises(LocalProtocolError, match="longer than 65535"):
        encode_utf8(text)


def test_binary_data_of_more_than_65535_bytes_are_not_written() -> None:
    with pytest.raises(LocalProtocolError, match="longer than 65535"):
        encode_binary(bytes(65_536))


@pytest.mark.parametrize(
    ("read", "whole"),
    [
        (Reader.byte, b"\x01"),
        (Reader.two_byte_integer, b"\x01\x02"),
        (Reader.four_byte_integer, b"\x01\x02\x03\x04"),
        (Reader.variable_byte_integer, b"\x80\x80\x80\x01"),
        (Reader.utf8, b"\x00\x03abc"),
        (Reader.binary, b"\x00\x03\xff\x00\xff"),
        (Reader.utf8_pair, b"\x00\x01a\x00\x02bc"),
        (Reader.packet_identifier, b"\x00\x01"),
    ],
    ids=["byte", "two", "four", "variable", "utf8", "binary", "pair", "identifier"],
)
def test_every_truncated_value_is_malformed(read: Callable[[Reader], object], whole: bytes) -> None:
    read_all(read, whole)
    for length in range(len(whole)):
        with pytest.raises(MalformedPacketError):
            read(Reader(whole[:length]))
        # The bytes after the packet's end are not its own, even where the buffer goes on.
        with pytest.raises(MalformedPacketError):
            read(Reader(whole, 0, length))


def test_bytes_after_the_last_field_are_malformed() -> None:
    reader = Reader(b"\x01\x02")
    reader.byte()
    with pytest.raises(MalformedPacketError, match="goes on after"):
        reader.expect_end()


@pytest.mark.normative("MQTT-1.5.4-1", "MQTT-3.1.3-11", "MQTT-3.1.3-12", "MQTT-3.8.3-1")
@pytest.mark.normative_v311("MQTT-1.4.0-1")
@pytest.mark.parametrize(
    "raw",
    [
        "eda080",  # U+D800
        "edbfbf",  # U+DFFF
        "eda080edb080",  # U+10000 as a pair of surrogates
        "c080",  # NUL, overlong
        "c1bf",  # U+007F, overlong
        "e08080",  # overlong in three bytes
        "e0809f",
        "f0808080",  # overlong in four bytes
        "c0af",  # "/", overlong
        "f4908080",  # above U+10FFFF
        "f8888080",  # five bytes
        "80",  # continuation alone
        "c3",  # cut off
        "e282",
        "ff",
        "fe",
        "61ff62",
    ],
)
def test_ill_formed_utf8_is_malformed(raw: str) -> None:
    with pytest.raises(MalformedPacketError, match="not valid UTF-8") as caught:
        decode_utf8(bytes.fromhex(raw))
    assert caught.value.reason_code == ReasonCode.MALFORMED_PACKET


@pytest.mark.normative("MQTT-1.5.4-2", "MQTT-4.7.3-2")
@pytest.mark.normative_v311("MQTT-1.4.0-2", "MQTT-4.7.3-2")
@pytest.mark.parametrize("raw", [b"\0", b"a\0", b"\0a", b"a\0b"])
def test_the_null_character_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedPacketError, match="null character"):
        decode_utf8(raw)
    with pytest.raises(LocalProtocolError, match="null character"):
        encode_utf8(raw.decode())


@pytest.mark.normative("MQTT-1.5.4-1")
@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\ud83d\ude00"])
def test_surrogates_are_not_written(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="UTF-8 cannot carry"):
        encode_utf8(text)


@pytest.mark.normative("MQTT-1.5.4-3", "MQTT-4.7.3-4")
@pytest.mark.normative_v311("MQTT-1.4.0-3")
@pytest.mark.parametrize("raw", [b"\xef\xbb\xbf", b"\xef\xbb\xbfa", b"a\xef\xbb\xbf"])
def test_a_byte_order_mark_is_a_character_like_any_other(raw: bytes) -> None:
    assert "\ufeff" in decode_utf8(raw)
    assert encode_utf8(decode_utf8(raw))[2:] == raw
    assert topic_name(len(raw).to_bytes(2, "big") + raw).encode() == raw


@pytest.mark.normative("MQTT-4.7.3-4")
@pytest.mark.parametrize("text", ["é", "e\u0301", "\ufb01", "\u2126", "\uffff", "\ufdd0", "\x01"])
def test_text_is_never_normalized(text: str) -> None:
    assert decode_utf8(text.encode()) == text
    assert topic_name(len(text.encode()).to_bytes(2, "big") + text.encode()) == text


@pytest.mark.normative("MQTT-1.5.7-1")
@pytest.mark.parametrize(
    "pair", [b"\0\1\xff\0\1a", b"\0\1a\0\1\xff", b"\0\1\0\0\1a", b"\0\1a\0\1\0"]
)
def test_both_strings_of_a_pair_are_checked(pair: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        Reader(pair).utf8_pair()


@pytest.mark.normative("MQTT-3.3.2-2", "MQTT-4.7.0-1")
@pytest.mark.parametrize("repeat", [1, 400])
@pytest.mark.parametrize("topic", ["+", "#", "a/+", "a/#", "a+b", "x#"])
def test_a_topic_name_with_a_wildcard_is_malformed(topic: str, repeat: int) -> None:
    raw = b"x" * (repeat - 1) + topic.encode()  # short ones are remembered, long ones are not
    for _ in range(2):
        with pytest.raises(MalformedPacketError, match="wildcard") as caught:
            topic_name(len(raw).to_bytes(2, "big") + raw)
        assert caught.value.reason_code == ReasonCode.MALFORMED_PACKET


def test_packet_identifier_zero_is_malformed() -> None:
    with pytest.raises(MalformedPacketError, match="identifier is zero"):
        Reader(b"\0\0").packet_identifier()


def test_topics_are_remembered_as_long_as_they_are_short_and_few() -> None:
    known_topics.clear()
    for length in (256, 257):
        topic_name(encode_utf8("t" * length))
    assert [*map(len, known_topics.values())] == [256]
    for number in range(1, 16_384):
        topic_name(encode_utf8(str(number)))
    assert len(known_topics) == 16_384
    assert topic_name(encode_utf8("one more")) == "one more"
    assert [*known_topics.values()] == ["one more"]
