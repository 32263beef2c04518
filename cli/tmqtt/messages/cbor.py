"""Payloads that are CBOR (RFC 8949), by the package cbor2. Sans-IO."""

from __future__ import annotations

from typing import Any

import cbor2

from tmqtt.messages.json_text import json_text, read_json
from tmqtt.messages.structure import BREAK, UNTIL_BREAK, check_structure

_BIGNUMS = (2, 3)
_LONGEST_BIGNUM = 1024  # bytes: to write a number out takes the square of its length
# What has a few bytes stand for much: references to strings (25) and to values (29), which may even
# go round in a circle, regular expressions (35) and messages of MIME (36).
_REFUSED = {25: "references", 29: "references", 35: "regular expressions", 36: "MIME"}
_LENGTHS = {24: 1, 25: 2, 26: 4, 27: 8}


def decode(payload: bytes) -> bytes:
    """The payload as JSON. Raises ValueError, whose text is the end of a sentence."""
    check_structure(payload, _head)
    try:
        return json_text(cbor2.loads(payload), _plain).encode()
    except Exception as error:
        # A decoder for so many kinds of values fails in as many ways, none of which is ours.
        raise ValueError(str(error) or type(error).__name__) from None


def encode(text: bytes) -> bytes:
    """JSON as CBOR. Raises ValueError, whose text is the end of a sentence."""
    value = read_json(text)
    try:
        return cbor2.dumps(value)
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from None


def _plain(value: Any) -> Any:  # noqa: ANN401 # whatever CBOR can carry
    if isinstance(value, cbor2.CBORTag):
        return value.value
    if isinstance(value, cbor2.CBORSimpleValue):
        return f"simple({value.value})"
    return None if value is cbor2.undefined else str(value)


def _head(payload: bytes, at: int) -> tuple[int, int]:
    major, info = payload[at] >> 5, payload[at] & 31
    at += 1
    if info == 31:
        if major == 7:
            return at, BREAK
        if major in (0, 1, 6):
            raise ValueError("a length is missing")
        return at, UNTIL_BREAK
    size = _LENGTHS.get(info, 0)
    if info > 27 or at + size > len(payload):
        raise ValueError("it ends too early" if info <= 27 else "a length is not one")
    value = int.from_bytes(payload[at : at + size]) if size else info
    at += size
    match major:
        case 2 | 3:
            if value > len(payload) - at:
                raise ValueError("it ends too early")
            return at + value, 0
        case 4:
            return at, value
        case 5:
            return at, 2 * value
        case 6:
            _check_tag(value, payload, at)
            return at, 1
    return at, 0


def _check_tag(tag: int, payload: bytes, at: int) -> None:
    if tag in _REFUSED:
        raise ValueError(f"it holds {_REFUSED[tag]} (tag {tag}), which are not shown")
    if tag not in _BIGNUMS:
        return
    if payload[at] >> 5 != 2 or payload[at] & 31 == 31:
        raise ValueError("a long number is none")
    if _head(payload, at)[0] - at > _LONGEST_BIGNUM:
        raise ValueError("it holds a number of thousands of digits")
