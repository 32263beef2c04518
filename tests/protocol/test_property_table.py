"""Properties (MQTT 5.0 §2.2.2): the table against the standard, and coding against the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_mqtt.errors import LocalProtocolError, MalformedPacketError, RemoteProtocolError
from trio_mqtt.protocol.properties import (
    BY_IDENTIFIER,
    BY_NAME,
    NO_PROPERTIES,
    TABLE,
    Carrier,
    Properties,
    Property,
    WireType,
    decode_properties,
    encode_properties,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.wire import Reader, encode_variable_byte_integer

# Table 2-4 by hand: identifier, name, type, carriers. "all" is every packet with properties and
# the will; the letters: C CONNECT, K CONNACK, P PUBLISH, W will, S SUBSCRIBE, D DISCONNECT, X AUTH.
STANDARD = """
01 payload_format_indicator           BYTE                   PW
02 message_expiry_interval            FOUR_BYTE_INTEGER      PW
03 content_type                       UTF8                   PW
08 response_topic                     UTF8                   PW
09 correlation_data                   BINARY                 PW
0B subscription_identifier            VARIABLE_BYTE_INTEGER  PS
11 session_expiry_interval            FOUR_BYTE_INTEGER      CKD
12 assigned_client_identifier         UTF8                   K
13 server_keep_alive                  TWO_BYTE_INTEGER       K
15 authentication_method              UTF8                   CKX
16 authentication_data                BINARY                 CKX
17 request_problem_information        BYTE                   C
18 will_delay_interval                FOUR_BYTE_INTEGER      W
19 request_response_information       BYTE                   C
1A response_information               UTF8                   K
1C server_reference                   UTF8                   KD
1F reason_string                      UTF8                   acks
21 receive_maximum                    TWO_BYTE_INTEGER       CK
22 topic_alias_maximum                TWO_BYTE_INTEGER       CK
23 topic_alias                        TWO_BYTE_INTEGER       P
24 maximum_qos                        BYTE                   K
25 retain_available                   BYTE                   K
26 user_property                      UTF8_PAIR              all
27 maximum_packet_size                FOUR_BYTE_INTEGER      CK
28 wildcard_subscription_available    BYTE                   K
29 subscription_identifier_available  BYTE                   K
2A shared_subscription_available      BYTE                   K
"""
LETTERS = {
    "C": Carrier.CONNECT,
    "K": Carrier.CONNACK,
    "P": Carrier.PUBLISH,
    "W": Carrier.WILL,
    "S": Carrier.SUBSCRIBE,
    "D": Carrier.DISCONNECT,
    "X": Carrier.AUTH,
}
ACKS = {
    Carrier.CONNACK, Carrier.PUBACK, Carrier.PUBREC, Carrier.PUBREL, Carrier.PUBCOMP,
    Carrier.SUBACK, Carrier.UNSUBACK, Carrier.DISCONNECT, Carrier.AUTH,
}  # fmt: skip
# Properties whose value 0 is a protocol error.
NOT_ZERO = {"subscription_identifier", "receive_maximum", "topic_alias", "maximum_packet_size"}
LARGEST = {
    WireType.BYTE: 1,  # every property of one byte is 0 or 1
    WireType.TWO_BYTE_INTEGER: 0xFFFF,
    WireType.FOUR_BYTE_INTEGER: 0xFFFF_FFFF,
    WireType.VARIABLE_BYTE_INTEGER: 268_435_455,
}

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
PER_CARRIER = pytest.mark.parametrize("carrier", list(Carrier), ids=lambda c: c.name)


def decode(data: bytes, carrier: Carrier) -> Properties:
    reader = Reader(data)
    properties = decode_properties(reader, carrier)
    reader.expect_end()
    return properties


def wrap(body: bytes) -> bytes:
    return encode_variable_byte_integer(len(body)) + body


def values_of(row: Property) -> st.SearchStrategy[Any]:
    if row.type in LARGEST:
        return st.integers(int(row.name in NOT_ZERO), LARGEST[row.type])
    if row.type is WireType.BINARY:
        return st.binary(max_size=30)
    return st.tuples(TEXT, TEXT) if row.type is WireType.UTF8_PAIR else TEXT


@st.composite
def properties_of(draw: st.DrawFn, carrier: Carrier) -> Properties:
    """Any properties that the carrier may have, in any order."""
    rows = [row for row in TABLE if carrier in row.carriers]
    found: dict[str, object] = {}
    for row in draw(st.lists(st.sampled_from(rows), unique=True)):
        if row.repeats:
            largest = 1 if carrier in row.once_in else 4
            found[row.name] = draw(st.lists(values_of(row), min_size=1, max_size=largest))
        else:
            found[row.name] = draw(values_of(row))
    return cast(Properties, found)


def one_of_each(row: Property) -> bytes:
    """The property's identifier and a value that is right."""
    value = {
        WireType.BYTE: b"\x01",
        WireType.TWO_BYTE_INTEGER: b"\x00\x01",
        WireType.FOUR_BYTE_INTEGER: b"\x00\x00\x00\x01",
        WireType.VARIABLE_BYTE_INTEGER: b"\x80\x01",
        WireType.UTF8: b"\x00\x01t",
        WireType.BINARY: b"\x00\x01\xff",
        WireType.UTF8_PAIR: b"\x00\x01k\x00\x01v",
    }[row.type]
    return bytes((row.identifier,)) + value


def test_the_table_is_that_of_the_standard() -> None:
    expected = {}
    for line in STANDARD.strip().split("\n"):
        identifier, name, kind, where = line.split()
        carriers = {"all": set(Carrier), "acks": ACKS}.get(where) or {LETTERS[x] for x in where}
        expected[int(identifier, 16)] = (name, WireType[kind], carriers)
    assert {r.identifier: (r.name, r.type, set(r.carriers)) for r in TABLE} == expected
    assert {r.name for r in TABLE if r.repeats} == {"subscription_identifier", "user_property"}
    assert {r.name for r in TABLE} == set(Properties.__annotations__)
    assert len(BY_IDENTIFIER) == len(BY_NAME) == len(TABLE)


@PER_CARRIER
def test_no_properties_are_a_length_of_zero(carrier: Carrier) -> None:
    assert encode_properties({}, carrier) == b"\0"
    assert decode(b"\0", carrier) == {}
    assert NO_PROPERTIES == {}


@pytest.mark.normative("MQTT-3.3.2-13", "MQTT-3.3.2-18", "MQTT-3.3.2-19", "MQTT-3.1.3-10")
@PER_CARRIER
@settings(max_examples=60)
@given(data=st.data())
def test_properties_come_back_in_their_order(carrier: Carrier, data: st.DataObject) -> None:
    properties = data.draw(properties_of(carrier))
    encoded = encode_properties(properties, carrier)
    decoded = decode(encoded, carrier)
    assert decoded == properties
    assert list(decoded) == list(properties)
    assert encode_properties(decoded, carrier) == encoded


@PER_CARRIER
@settings(max_examples=20)
@given(data=st.data())
def test_properties_cut_off_are_malformed(carrier: Carrier, data: st.DataObject) -> None:
    encoded = encode_properties(data.draw(properties_of(carrier)), carrier)
    for length in range(len(encoded)):
        with pytest.raises(MalformedPacketError):
            decode(encoded[:length], carrier)


@PER_CARRIER
def test_each_property_cut_off_inside_a_right_length_is_malformed(carrier: Carrier) -> None:
    for row in TABLE:
        if carrier in row.carriers:
            whole = one_of_each(row)
            assert list(decode(wrap(whole), carrier)) == [row.name]
            for length in range(1, len(whole)):
                # What follows the properties must not be read as part of them.
                with pytest.raises(MalformedPacketError):
                    decode_properties(Reader(wrap(whole[:length]) + bytes(9)), carrier)


@pytest.mark.normative("MQTT-3.14.2-2")
@PER_CARRIER
def test_a_property_in_a_wrong_carrier_is_a_protocol_error(carrier: Carrier) -> None:
    for row in TABLE:
        if carrier in row.carriers:
            continue
        with pytest.raises(RemoteProtocolError, match="must not carry") as caught:
            decode(wrap(one_of_each(row)), carrier)
        assert caught.value.reason_code == ReasonCode.PROTOCOL_ERROR
        with pytest.raises(LocalProtocolError, match="must not carry"):
            encode_properties(cast(Properties, {row.name: [1] if row.repeats else 1}), carrier)


@PER_CARRIER
def test_a_repeated_property_is_a_protocol_error_unless_it_may_repeat(carrier: Carrier) -> None:
    for row in TABLE:
        if carrier not in row.carriers:
            continue
        twice = wrap(one_of_each(row) * 2)
        may_repeat = row.name == "user_property" or (
            row.name == "subscription_identifier" and carrier is Carrier.PUBLISH
        )
        if may_repeat:
            values: Any = decode(twice, carrier)[row.name]  # type: ignore[literal-required]
            assert len(values) == 2
            continue
        with pytest.raises(RemoteProtocolError, match="twice") as caught:
            decode(twice, carrier)
        assert caught.value.reason_code == ReasonCode.PROTOCOL_ERROR


def test_a_second_subscription_identifier_is_not_written_in_subscribe() -> None:
    with pytest.raises(LocalProtocolError, match="only once"):
        encode_properties({"subscription_identifier": [1, 2]}, Carrier.SUBSCRIBE)


@pytest.mark.normative("MQTT-3.3.2-7", "MQTT-3.3.2-8")
@pytest.mark.parametrize("row", [r for r in TABLE if r.type in LARGEST], ids=lambda r: r.name)
def test_numbers_are_within_their_range(row: Property) -> None:
    carrier = min(row.carriers)
    smallest = int(row.name in NOT_ZERO)
    largest = LARGEST[row.type]
    for value in (smallest, largest):
        properties = cast(Properties, {row.name: [value] if row.repeats else value})
        assert decode(encode_properties(properties, carrier), carrier) == properties
    for value in (smallest - 1, largest + 1):
        with pytest.raises(LocalProtocolError, match="must not be"):
            encode_properties(
                cast(Properties, {row.name: [value] if row.repeats else value}), carrier
            )


@pytest.mark.normative("MQTT-3.3.2-7")
@pytest.mark.parametrize("row", [r for r in TABLE if r.name in NOT_ZERO], ids=lambda r: r.name)
def test_zero_is_a_protocol_error_where_it_makes_no_sense(row: Property) -> None:
    size = {WireType.TWO_BYTE_INTEGER: 2, WireType.FOUR_BYTE_INTEGER: 4}.get(row.type, 1)
    with pytest.raises(RemoteProtocolError, match="must not be 0") as caught:
        decode(wrap(bytes((row.identifier,)) + bytes(size)), min(row.carriers))
    alias = row.name == "topic_alias"
    expected = ReasonCode.TOPIC_ALIAS_INVALID if alias else ReasonCode.PROTOCOL_ERROR
    assert caught.value.reason_code == expected


@pytest.mark.parametrize("value", [2, 3, 128, 255])
@pytest.mark.parametrize("row", [r for r in TABLE if r.type is WireType.BYTE], ids=lambda r: r.name)
def test_a_byte_other_than_0_and_1_is_a_protocol_error(row: Property, value: int) -> None:
    with pytest.raises(RemoteProtocolError, match="must not be") as caught:
        decode(wrap(bytes((row.identifier, value))), min(row.carriers))
    assert caught.value.reason_code == ReasonCode.PROTOCOL_ERROR


@PER_CARRIER
def test_an_unknown_property_is_malformed(carrier: Carrier) -> None:
    for identifier in [i for i in range(300) if i not in BY_IDENTIFIER]:
        with pytest.raises(MalformedPacketError, match="no property"):
            decode(wrap(encode_variable_byte_integer(identifier) + bytes(8)), carrier)
    with pytest.raises(LocalProtocolError, match="no property"):
        encode_properties(cast(Properties, {"colour": 1}), carrier)


@pytest.mark.normative("MQTT-1.5.5-1")
@pytest.mark.parametrize(
    "data",
    ["8000", "80808000", "8080808001", "8700010101", "058b8000"],
    ids=["length", "length of four", "length of five", "short", "identifier"],
)
def test_lengths_and_identifiers_must_be_right_variable_byte_integers(data: str) -> None:
    with pytest.raises(MalformedPacketError):
        decode(bytes.fromhex(data), Carrier.PUBLISH)


def test_properties_longer_than_their_packet_are_malformed() -> None:
    with pytest.raises(MalformedPacketError, match="longer than their packet"):
        decode(b"\xff\xff\xff\x7f\x01\x01", Carrier.PUBLISH)


def test_twenty_thousand_user_properties_are_refused_after_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CVE-2021-41039: time was quadratic. Here it ends at the bound, whatever follows."""
    maximum = 1_000
    takes = 0
    take: Callable[[Reader, int], bytes] = Reader.take

    def counted(reader: Reader, count: int) -> bytes:
        nonlocal takes
        takes += 1
        return take(reader, count)

    data = wrap(b"\x26\x00\x01k\x00\x01v" * 20_000)
    monkeypatch.setattr(Reader, "take", counted)
    with pytest.raises(RemoteProtocolError, match="more than 1,000 times") as caught:
        decode_properties(Reader(data, 0, None, maximum), Carrier.CONNECT)
    assert caught.value.reason_code == ReasonCode.QUOTA_EXCEEDED
    assert takes < 6 * maximum + 20


@pytest.mark.normative("MQTT-3.3.2-17", "MQTT-3.3.2-18")
def test_as_many_user_properties_as_the_bound_keep_their_order() -> None:
    pairs = [(f"k{i % 7}", str(i)) for i in range(1_000)]
    encoded = encode_properties({"user_property": pairs}, Carrier.PUBLISH)
    reader = Reader(encoded, 0, None, len(pairs))
    assert decode_properties(reader, Carrier.PUBLISH) == {"user_property": pairs}


def test_who_takes_no_user_properties_takes_a_subscription_identifier() -> None:
    encoded = encode_properties({"subscription_identifier": [7]}, Carrier.SUBSCRIBE)
    assert decode_properties(Reader(encoded, 0, None, 0), Carrier.SUBSCRIBE) == {
        "subscription_identifier": [7]
    }
    encoded = encode_properties({"user_property": [("a", "b")]}, Carrier.SUBSCRIBE)
    with pytest.raises(RemoteProtocolError, match="user_property more than 0 times"):
        decode_properties(Reader(encoded, 0, None, 0), Carrier.SUBSCRIBE)
