"""Nothing from elsewhere steers the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmqtt.terminal.escaping import escape, escape_payload


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    assert escape(text).isprintable()


@given(st.binary())
def test_a_payload_is_shown_in_one_printable_line(payload: bytes) -> None:
    assert escape_payload(payload, 20).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("temperature 21 °C ☀", "temperature 21 °C ☀"),
        ("[red]markup[/]", "[red]markup[/]"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\x9b31m", "\\x9b31m"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_text_stays_as_it_is_and_controls_are_written_out(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_bytes_that_are_not_utf_8_are_written_out() -> None:
    assert escape_payload(b"ok \xff\x00", 100) == "ok \\xff\\x00"


def test_a_large_payload_is_cut_and_what_is_left_out_is_counted() -> None:
    assert escape_payload(b"x" * 1_000_000, 10) == "xxxxxxxxxx… (999,990 more bytes)"
    assert escape_payload("ä".encode() * 12, 10) == "ä" * 10 + "… (4 more bytes)"


@given(st.text(alphabet="aä☀", max_size=60), st.integers(1, 30))
def test_shown_and_left_out_bytes_add_up(text: str, limit: int) -> None:
    payload = text.encode()
    shown, _, rest = escape_payload(payload, limit).partition("… (")
    left_out = int(rest.split()[0]) if rest else 0
    assert len(shown.encode()) + left_out == len(payload)
    assert shown == text[:limit]
