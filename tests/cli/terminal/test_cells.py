"""Text fits the cells of a terminal, whatever its characters take."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tmqtt.terminal import looks
from tmqtt.terminal.cells import cut, fit, length, wrap

TEXTS = st.text(alphabet="aä漢☀ ", max_size=200)


@settings(deadline=None)
@given(TEXTS, st.integers(2, 30))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    pieces = list(wrap([(text, "")], width))
    assert "".join(looks.plain(piece) for piece in pieces) == text
    assert all(length(piece) <= width for piece in pieces)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=3), st.integers(2, 30))
def test_what_is_cut_fits_and_says_that_something_is_missing(parts: list[str], width: int) -> None:
    line = [(part, "") for part in parts]
    shown = looks.plain(cut(line, width))
    assert length([(shown, "")]) <= width
    assert shown == "".join(parts) or shown.endswith("…")


@settings(deadline=None)
@given(TEXTS, st.integers(2, 30))
def test_what_is_fitted_takes_the_width(text: str, width: int) -> None:
    assert length([(fit(text, width), "")]) == width
