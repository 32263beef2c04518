"""Payloads that are MessagePack, by the package msgpack. Sans-IO."""

from __future__ import annotations

from typing import Any

import msgpack

from tmqtt.messages.json_text import Pairs, json_text, read_json
from tmqtt.messages.structure import check_structure

# Of the first bytes from 0xC0 on: how many bytes follow that are the item's own.
_FIXED = {
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1,
    0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip
# How many bytes a length has, and what else comes before the bytes that it counts.
_COUNTED = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),
}  # fmt: skip
# How many bytes a count has, and how many items each of what it counts is.
_CONTAINERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def decode(payload: bytes) -> bytes:
    """The payload as JSON. Raises ValueError, whose text is the end of a sentence."""
    check_structure(payload, _head)
    try:
        value = msgpack.unpackb(
            payload, strict_map_key=False, timestamp=0, object_pairs_hook=Pairs, ext_hook=_extension
        )
        return json_text(value, _plain).encode()
    except Exception as error:
        # Bytes that are no UTF-8, times out of range: none of this is ours.
        raise ValueError(str(error) or type(error).__name__) from None


def encode(text: bytes) -> bytes:
    """JSON as MessagePack. Raises ValueError, whose text is the end of a sentence."""
    value = read_json(text)
    try:
        packed: bytes = msgpack.packb(value)
    except Exception as error:
        # A whole number of more than 64 bits, half of a surrogate pair.
        raise ValueError(str(error) or type(error).__name__) from None
    return packed


def _extension(code: int, data: bytes) -> Pairs:
    return Pairs([("type", code), ("data", data)])


def _plain(value: Any) -> Any:  # noqa: ANN401 # whatever MessagePack can carry
    if isinstance(value, msgpack.Timestamp):
        return value.to_datetime()
    return str(value)


def _head(payload: bytes, at: int) -> tuple[int, int]:
    first = payload[at]
    at += 1
    follow = 0
    if first < 0x80 or first >= 0xE0:
        pass
    elif first < 0x90:
        follow = 2 * (first & 15)
    elif first < 0xA0:
        follow = first & 15
    elif first < 0xC0:
        at += first & 31
    elif first in _FIXED:
        at += _FIXED[first]
    elif first in _COUNTED:
        size, more = _COUNTED[first]
        at += size + more + _number(payload, at, size)
    elif first in _CONTAINERS:
        size, each = _CONTAINERS[first]
        follow = each * _number(payload, at, size)
        at += size
    else:
        raise ValueError("it holds the byte c1, which is never used")
    if at > len(payload):
        raise ValueError("it ends too early")
    return at, follow


def _number(payload: bytes, at: int, size: int) -> int:
    if at + size > len(payload):
        raise ValueError("it ends too early")
    return int.from_bytes(payload[at : at + size])
