"""A sparkline shows the course of numbers, whatever they are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmqtt.terminal.sparkline import ASCII_BARS, BARS, chart, sparkline


def test_bars_go_from_the_least_to_the_greatest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == BARS
    assert sparkline([7, 0], 8) == "█▁"
    assert sparkline([0, 7], 8, bars=ASCII_BARS) == "_#"


def test_only_the_newest_are_shown_and_set_the_scale() -> None:
    assert sparkline([1_000, 0, 7], 2) == "▁█"
    assert sparkline([1, 2, 3], 0) == ""
    assert sparkline([], 5) == ""


def test_a_scale_may_be_given() -> None:
    assert sparkline([0, 5, 10, 20], 4, low=0, high=10) == "▁▅██"
    assert sparkline([-5], 4, low=0, high=10) == "▁"


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e308])
def test_what_does_not_change_is_flat(value: float) -> None:
    assert sparkline([value] * 3, 3) == "▁▁▁"


def test_gaps_are_spaces() -> None:
    assert sparkline([0, None, math.nan, 1, math.inf], 5) == "▁  █ "
    assert sparkline([None, None], 5) == "  "


@given(st.lists(st.none() | st.floats()), st.integers(0, 50))
def test_any_numbers_make_a_line_of_bars(values: list[float | None], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= {*BARS, " "}


def test_a_chart_has_lines_for_its_bars() -> None:
    assert chart(range(16), 16, height=2) == ["        ▁▂▃▄▅▆▇█", "▁▂▃▄▅▆▇█████████"]
    assert chart([1, None, 1], 3, height=2) == ["", "▁ ▁"]
    assert chart([0, 9], 2, height=3, bars=ASCII_BARS) == [" #", " #", "_#"]
    assert chart([], 2, height=2) == ["", ""]
