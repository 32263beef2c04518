"""Payloads in formats: as others encode them, and as nobody should."""

from __future__ import annotations

import base64
import json
import re
import sys
import tracemalloc
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from hypothesis import given, settings
from hypothesis import strategies as st
from tmqtt.messages.payload_formats import LONGEST, DecodedMessage, PayloadFormat

from trio_mqtt import Message
from trio_mqtt.optional import PAYLOADS, payloads_are_missing

CBOR, PACK = PayloadFormat("cbor"), PayloadFormat("msgpack")


@pytest.mark.parametrize(
    ("encoded", "shown"),
    [
        # RFC 8949, appendix A.
        ("1b000000e8d4a51000", "1000000000000"),
        ("c249010000000000000000", "18446744073709551616"),
        ("c349010000000000000000", "-18446744073709551617"),
        ("3903e7", "-1000"),
        ("f93e00", "1.5"),
        ("fb3ff199999999999a", "1.1"),
        ("fa47c35000", "100000.0"),
        ("f97c00", '"Infinity"'),
        ("fbfff0000000000000", '"-Infinity"'),
        ("f97e00", '"NaN"'),
        ("83f4f5f6", "[false, true, null]"),
        ("f7", "null"),
        ("f0", '"simple(16)"'),
        ("f8ff", '"simple(255)"'),
        ("c074323031332d30332d32315432303a30343a30305a", '"2013-03-21T20:04:00+00:00"'),
        ("c11a514b67b0", '"2013-03-21T20:04:00+00:00"'),
        ("d74401020304", '"AQIDBA=="'),
        ("d818456449455446", '"ZElFVEY="'),
        ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", '"http://www.example.com"'),
        ("4401020304", '"AQIDBA=="'),
        ("62225c", r'"\"\\"'),
        ("63e6b0b4", '"\u6c34"'),
        ("8301820203820405", "[1, [2, 3], [4, 5]]"),
        ("a201020304", '{"1": 2, "3": 4}'),
        ("a26161016162820203", '{"a": 1, "b": [2, 3]}'),
        ("5f42010243030405ff", '"AQIDBAU="'),
        ("7f657374726561646d696e67ff", '"streaming"'),
        ("9fff", "[]"),
        ("9f018202039f0405ffff", "[1, [2, 3], [4, 5]]"),
        ("bf6346756ef563416d7421ff", '{"Fun": true, "Amt": -2}'),
        # Section 3.4.4 and 3.4.6.
        ("c48221196ab3", "273.15"),
        ("d9d9f7a0", "{}"),
    ],
)
def test_cbor_as_its_standard_has_it(encoded: str, shown: str) -> None:
    assert CBOR.decode(bytes.fromhex(encoded)).decode() == shown


@pytest.mark.parametrize(
    ("encoded", "shown"),
    [
        # The example of msgpack.org, then forms of its specification.
        ("82a7636f6d70616374c3a6736368656d6100", '{"compact": true, "schema": 0}'),
        ("93c0c2e0", "[null, false, -32]"),
        ("cb3ff199999999999a", "1.1"),
        ("cfffffffffffffffff", "18446744073709551615"),
        ("d1ff00", "-256"),
        ("c4020102", '"AQI="'),
        ("d904c3bcc3bc", '"\u00fc\u00fc"'),
        ("dc000101", "[1]"),
        ("de0001ca3fc0000001", '{"1.5": 1}'),
        ("8190c0", '{"[]": null}'),
        ("d6ff514b67b0", '"2013-03-21T20:04:00+00:00"'),
        ("d40510", '{"type": 5, "data": "EA=="}'),
        ("c7030501ff02", '{"type": 5, "data": "Af8C"}'),
    ],
)
def test_message_pack_as_its_specification_has_it(encoded: str, shown: str) -> None:
    assert PACK.decode(bytes.fromhex(encoded)).decode() == shown


@pytest.mark.parametrize(
    ("made_by", "text", "encoded"),
    [
        (CBOR, b'{"a": 1, "b": [2, 3]}', "a26161016162820203"),
        (CBOR, b"18446744073709551616", "c249010000000000000000"),
        (PACK, b'{"compact": true, "schema": 0}', "82a7636f6d70616374c3a6736368656d6100"),
        (PayloadFormat("base64"), b"AQI\nDBA==\n", "01020304"),
        (PayloadFormat("hex"), b"01 02 03\n04", "01020304"),
    ],
)
def test_payloads_are_made_of_text(made_by: PayloadFormat, text: bytes, encoded: str) -> None:
    assert made_by.encode(text).hex() == encoded


def test_bytes_are_written_out() -> None:
    assert PayloadFormat("base64").decode(b"\x01\xff") == b"Af8="
    assert PayloadFormat("hex").decode(b"\x01\xff") == b"01ff"


@pytest.mark.parametrize(
    ("made_by", "text", "wrong"),
    [
        (CBOR, b"{a}", r"CBOR cannot be made of the message: it is not JSON \(Expecting .*column"),
        (CBOR, b"NaN", "it is not JSON, which has no NaN"),
        (CBOR, b"\xff", "it is not UTF-8"),
        (CBOR, b"1e400", "it holds a number that is too large: 1e400"),
        (CBOR, b'"\\ud800"', "surrogates not allowed"),
        (CBOR, b"[" * 100_000, "it is nested too deep"),
        (PACK, b"18446744073709551616", "MessagePack cannot be made of the message: "),
        (PayloadFormat("base64"), b"a", "it is not Base64"),
        (PayloadFormat("hex"), b"a", "it is not pairs of hexadecimal digits"),
    ],
)
def test_text_of_which_no_payload_can_be_made(
    made_by: PayloadFormat, text: bytes, wrong: str
) -> None:
    with pytest.raises(ValueError, match=wrong):
        made_by.encode(text)


_DEEP, _EARLY = "it is nested deeper than 100 levels", "it ends too early"


@pytest.mark.parametrize(
    ("read_by", "payload", "wrong"),
    [
        (CBOR, b"\x81" * 200_000, _DEEP),
        (CBOR, b"\x9f" * 200_000, _DEEP),
        (CBOR, b"\xc6" * 200_000, _DEEP),
        (CBOR, b"\x9b" + b"\x7f" * 8, _EARLY),
        (CBOR, b"\xbb" + b"\xff" * 8, _EARLY),
        (CBOR, b"\x5b" + b"\x7f" * 8, _EARLY),
        (CBOR, b"\x9a\x00\x03\x00\x00" * 50_000, _EARLY),
        (CBOR, b"\x9f" + b"\x80" * 200_000 + b"\xff", "it has more than 100,000 items"),
        (CBOR, b"\x00\x00", r"bytes follow its end \(1\)"),
        (CBOR, b"\xff", "a break stands where nothing is to end"),
        (CBOR, b"\x81\xff", "a break stands where nothing is to end"),
        (CBOR, b"\x1c", "a length is not one"),
        (CBOR, b"\x1f", "a length is missing"),
        (CBOR, b"\x61\xff", "decod"),
        # What a few bytes would have stand for millions.
        (CBOR, b"\xd8\x1c\x81\xd8\x1d\x00", r"it holds references \(tag 29\), which are not"),
        (CBOR, b"\xd9\x01\x00\x82\x63abc\xd8\x19\x00", r"it holds references \(tag 25\)"),
        (CBOR, b"\xd8\x23\x63a*b", "it holds regular expressions"),
        (CBOR, b"\xc2\x59\x08\x00" + b"\xff" * 2048, "it holds a number of thousands of digits"),
        (CBOR, b"\xc2\x5f\x41\x00\xff", "a long number is none"),
        (PACK, b"\x91" * 200_000, _DEEP),
        (PACK, b"\x81\x00" * 100_000, _DEEP),
        (PACK, b"\xdd" + b"\x7f" * 4, _EARLY),
        (PACK, b"\xdf" + b"\xff" * 4, _EARLY),
        (PACK, b"\xc6" + b"\xff" * 4, _EARLY),
        (PACK, b"\xdd\x00\x03\x00\x00" * 50_000, _EARLY),
        (PACK, b"\xdd\x00\x03\x00\x00" + b"\x90" * 0x30000, "it has more than 100,000 items"),
        (PACK, b"\xc1", "it holds the byte c1, which is never used"),
        (PACK, b"\xa1\xff", "utf-8"),
        (PACK, b"\xd7\xff" + b"\xff" * 8, "."),
        (CBOR, bytes(LONGEST + 1), "it is longer than 256 KiB"),
    ],
)
def test_payloads_that_nobody_should_decode(
    read_by: PayloadFormat, payload: bytes, wrong: str
) -> None:
    with pytest.raises(ValueError, match=wrong):
        read_by.decode(payload)


@pytest.mark.parametrize(
    ("read_by", "payload"),
    [
        (CBOR, b"\x9a\x00\x03\x00\x00" * 50),
        (CBOR, b"\x9b\x00\x00\x00\x01" * 50),
        (CBOR, b"\x5b\x00\x00\x00\x01" * 50),
        (PACK, b"\xdd\x00\x03\x00\x00" * 50),
        (PACK, b"\xdf\x7f\xff\xff\xff" * 50),
    ],
)
def test_what_is_only_declared_takes_no_memory(read_by: PayloadFormat, payload: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=_EARLY):
            read_by.decode(payload)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=64))
@settings(max_examples=300)
def test_whatever_comes_is_json_or_told(payload: bytes) -> None:
    for one in (CBOR, PACK):
        shown = DecodedMessage(Message("a", payload, 0, False, False, {}), one)
        if payload and not shown.wrong:
            json.loads(shown.payload)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_JSON)
@settings(max_examples=40)
def test_what_was_made_of_json_is_shown_as_it(value: object) -> None:
    for one in (CBOR, PACK):
        assert json.loads(one.decode(one.encode(json.dumps(value).encode()))) == value


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """The messages of the documentation of Protocol Buffers' encoding, and one with a time."""
    test = FileDescriptorProto(name="test.proto", package="t", syntax="proto3")
    test.dependency.append("google/protobuf/timestamp.proto")
    kinds = {"Test1": [("a", 5, "")], "Test2": [("b", 9, "")], "Test3": [("c", 11, ".t.Test1")]}
    kinds["Timed"] = [("at_time", 11, ".google.protobuf.Timestamp"), ("raw", 12, "")]
    for name, fields in kinds.items():
        kind = test.message_type.add(name=name)
        for field, type_number, type_name in fields:
            # Test3 of the documentation has its message as number 3, as Test2 its text as 2.
            number = 1 if name in ("Test1", "Timed") else int(name[-1])
            added = kind.field.add(name=field, number=number + (field == "raw"), label=1)
            added.type = type_number  # type: ignore[assignment,unused-ignore] # by its number
            if type_name:
                added.type_name = type_name
    file = tmp_path / "test.pb"
    file.write_bytes(FileDescriptorSet(file=[test]).SerializeToString())
    return file


@pytest.mark.parametrize(
    ("name", "encoded", "shown"),
    [
        ("t.Test1", "089601", '{"a": 150}'),
        ("t.Test2", "120774657374696e67", '{"b": "testing"}'),
        ("t.Test3", "1a03089601", '{"c": {"a": 150}}'),
        ("t.Timed", "0a0608b0cfad8a05", '{"at_time": "2013-03-21T20:04:00Z"}'),
        ("t.Timed", "120201ff", '{"raw": "Af8="}'),
    ],
)
def test_protocol_buffers_as_their_documentation_has_them(
    described: Path, name: str, encoded: str, shown: str
) -> None:
    protobuf = PayloadFormat("protobuf", str(described), name)
    assert protobuf.decode(bytes.fromhex(encoded)).decode() == shown
    assert protobuf.encode(shown.encode()).hex() == encoded


def test_the_only_message_of_a_file_needs_no_name(described: Path) -> None:
    files = FileDescriptorSet.FromString(described.read_bytes())
    only = files.file.add(name="only.proto", syntax="proto3", dependency=["test.proto"])
    only.message_type.add(name="Only").nested_type.add(name="Inner")
    described.write_bytes(files.SerializeToString())
    assert PayloadFormat("protobuf", str(described)).decode(b"\x0a\x00") == b"{}"


def test_protocol_buffers_that_are_none(described: Path) -> None:
    protobuf = PayloadFormat("protobuf", str(described), "t.Test3")
    with pytest.raises(ValueError, match="pars"):
        protobuf.decode(bytes.fromhex("1a0308"))
    for text in (b'{"d": 1}', b'{"c": {"a": "x"}}', b"[", b"\xff"):
        with pytest.raises(
            ValueError, match=r"Protocol Buffers cannot be made of the message: ."
        ) as no:
            protobuf.encode(text)
        assert re.search(r"[^.]\.\Z", str(no.value))  # one sentence, in one line
        assert "\n" not in str(no.value)


def test_a_reason_that_a_package_gives_has_an_end(tmp_path: Path) -> None:
    holds = FileDescriptorProto(name="h.proto", dependency=["google/protobuf/any.proto"])
    field = holds.message_type.add(name="Holds").field.add(name="any", number=1, label=1, type=11)
    field.type_name = ".google.protobuf.Any"
    file = tmp_path / "h.pb"
    file.write_bytes(FileDescriptorSet(file=[holds]).SerializeToString())
    url = b"type.googleapis.com/" + b"x" * 10_000
    payload = b"\x0a\xa7\x4e\x0a\xa4\x4e" + url  # an Any, and its type_url
    message = DecodedMessage(
        Message("a", payload, 0, False, False, {}), PayloadFormat("protobuf", str(file))
    )
    assert message.payload == payload
    assert message.wrong.startswith("not Protocol Buffers: Can not find message descriptor")
    assert len(message.wrong) < 400


def test_a_file_of_descriptors_is_told_what_is_wrong_with_it(described: Path) -> None:
    with pytest.raises(ValueError, match=r"say which: t\.Test1, t\.Test2, t\.Test3, t\.Timed\."):
        PayloadFormat("protobuf", str(described))
    with pytest.raises(ValueError, match=r"describes no message 'Test1': there are t\.Test1, "):
        PayloadFormat("protobuf", str(described), "Test1")
    missing = described.with_name("missing")
    with pytest.raises(ValueError, match="missing cannot be read: No such file"):
        PayloadFormat("protobuf", str(missing), "t")
    with pytest.raises(ValueError, match="need --descriptors FILE"):
        PayloadFormat("protobuf")
    described.write_bytes(b"")
    with pytest.raises(ValueError, match=r"describes no message\."):
        PayloadFormat("protobuf", str(described))
    described.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is not what protoc -o writes"):
        PayloadFormat("protobuf", str(described), "t")
    lonely = FileDescriptorProto(name="a.proto", dependency=["b.proto"])
    described.write_bytes(FileDescriptorSet(file=[lonely]).SerializeToString())
    with pytest.raises(ValueError, match=r"lacks b\.proto, which it needs: .*--include_imports"):
        PayloadFormat("protobuf", str(described), "t")


def test_a_message_that_cannot_be_decoded_is_what_came() -> None:
    broken = DecodedMessage(Message("a", b"\x81", 1, True, False, {}), CBOR)
    assert (broken.topic, broken.payload, broken.qos, broken.retain) == ("a", b"\x81", 1, True)
    assert broken.wrong == "not CBOR: it ends too early"
    empty = DecodedMessage(Message("a", b"", 1, True, False, {}), CBOR)
    assert (empty.payload, empty.wrong) == (b"", "")


@pytest.mark.parametrize(("name", "package"), [("cbor", "cbor2"), ("msgpack", "msgpack")])
def test_a_package_that_is_missing_is_told(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for module in ("cbor", "message_pack"):
        monkeypatch.delitem(sys.modules, f"tmqtt.messages.{module}", raising=False)
    with pytest.raises(ValueError, match=f"needs the package {package}") as raised:
        PayloadFormat(name)
    assert str(raised.value) == payloads_are_missing(
        {"cbor": "CBOR", "msgpack": "MessagePack"}[name], package
    )
    assert str(raised.value).endswith(f"install '{PAYLOADS[package]}'")


def test_base64_is_as_long_as_it_takes() -> None:
    assert PayloadFormat("base64").decode(bytes(LONGEST)) == base64.b64encode(bytes(LONGEST))
