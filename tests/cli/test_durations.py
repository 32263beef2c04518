"""Durations read as people write them."""

from __future__ import annotations

import pytest
from tmqtt.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("3s", 3.0), ("5m", 300.0), ("1h", 3600.0), ("1.5s", 1.5), ("0.25h", 900.0)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "3", "s", "3 s", "3S", "-3s", "1e3s", "3sec", "٣s", "3s\n"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="500ms or 3s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0ms", "0.0001s"])
def test_no_time_at_all_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too short"):
        parse_duration(text)
