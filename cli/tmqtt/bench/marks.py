"""What is in a payload of a measurement: whose it is, which one, and when it was due."""

from __future__ import annotations

import struct

# A word to know such payloads by, the publisher, the number of the message, and the time in
# nanoseconds of the monotonic clock, which all processes of one machine share.
_MARK = struct.Struct(">4sIIQ")
_WORD = b"tmqB"
MARK_SIZE = _MARK.size  # bytes: a payload that is smaller carries no mark


def filler(size: int) -> bytes:
    """What follows the mark in a payload of `size` bytes."""
    return bytes(max(size - MARK_SIZE, 0))


def mark(publisher: int, number: int, due: int) -> bytes:
    """The mark of one message."""
    return _MARK.pack(_WORD, publisher, number & 0xFFFFFFFF, due)


def read_mark(payload: bytes) -> tuple[int, int, int] | None:
    """The publisher, the number and the time in a payload, or None if it has no mark."""
    if len(payload) < MARK_SIZE:
        return None
    word, publisher, number, due = _MARK.unpack_from(payload)
    return (publisher, number, due) if word == _WORD else None
