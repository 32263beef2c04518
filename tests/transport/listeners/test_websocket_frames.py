"""Frames of WebSocket clients, cut anywhere."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.dialing import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame
from trio_mqtt.transport.listeners.websocket_frames import FrameReader

SIZES = st.one_of(
    st.integers(0, 130), st.integers(2_040, 2_060), st.sampled_from([65_535, 65_536, 70_001])
)


@settings(deadline=None)  # on a busy machine an example takes as long as that lets it
@given(
    st.lists(st.tuples(SIZES, st.integers(1, 3)), max_size=6),
    st.lists(st.integers(1, 20) | st.integers(1, 70_000), min_size=1, max_size=10),
)
def test_the_payload_is_the_same_however_it_is_cut(
    messages: list[tuple[int, int]], cuts: list[int]
) -> None:
    sent, wire, pings = b"", b"", 0
    for size, fragments in messages:
        payload = os.urandom(size)
        sent += payload
        step = size // fragments
        for number in range(fragments):
            last = number == fragments - 1
            part = payload[number * step :] if last else payload[number * step :][:step]
            opcode = CONTINUATION if number else BINARY
            wire += frame(part, opcode, final=last, mask=os.urandom(4)) + frame(b"p", PING)
            pings += 1
    reader = FrameReader()
    got, answered, rest = b"", 0, wire
    for cut in itertools.cycle(cuts):
        if not rest:
            break
        cut = max(cut, len(wire) // 300)
        got += reader.feed(rest[:cut])
        rest = rest[cut:]
        answered += len(reader.pings)
        reader.pings.clear()
        assert reader.error is None
    assert (got, answered) == (sent, pings)


@given(st.binary(max_size=200), st.integers(1, 200))
def test_any_bytes_are_frames_or_an_error(data: bytes, size: int) -> None:
    reader = FrameReader()
    got = b""
    for start in range(0, len(data), size):
        got += reader.feed(data[start : start + size])
        if reader.error is not None or reader.close_code is not None:
            break
    assert len(got) <= len(data)


@pytest.mark.parametrize(
    ("last", "code"),
    [(frame(b"x", TEXT), 1003), (frame(b"x", 0xB), 1002), (b"\x82\x00", 1002), (b"\xf2\x80", 1002)],
)
def test_what_came_before_an_error_is_read(last: bytes, code: int) -> None:
    reader = FrameReader()
    assert reader.feed(frame(b"one") + frame(b"two") + last) == b"onetwo"
    assert reader.error is not None
    assert reader.error.code == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", 1005), (b"\x03\xe8", 1000), (b"\x03\xe9bye", 1001), (b"\x0f\xa0", 4000)],
)
def test_a_goodbye_has_a_code(payload: bytes, code: int) -> None:
    reader = FrameReader()
    assert reader.feed(frame(b"x") + frame(payload, CLOSE) + b"whatever follows") == b"x"
    assert reader.close_code == code


@pytest.mark.parametrize(
    "payload", [b"\x03", b"\x00\x00", b"\x03\xed", b"\x07\xd0", b"\x03\xe8\xff"]
)
def test_a_goodbye_that_breaks_the_rules_is_an_error(payload: bytes) -> None:
    reader = FrameReader()
    reader.feed(frame(payload, CLOSE))
    assert reader.error is not None
