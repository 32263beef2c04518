"""Figures are read as people write them, and written as people read them."""

from __future__ import annotations

import pytest
from tmqtt.terminal.figures import (
    asked_rate,
    counted,
    latency,
    parse_duration,
    parse_rate,
    parse_size,
    rate,
    size,
)


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


@pytest.mark.parametrize(
    ("text", "count"), [("100", 100), ("4KB", 4_000), ("4 kb", 4_000), ("4KiB", 4_096), ("0", 0)]
)
def test_a_size_is_a_number_of_bytes_or_has_a_unit(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "4XB", "4K", "-1", "1.5KB", "KB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="4KB"):
        parse_size(text)


def test_more_than_a_message_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="more than a message can hold"):
        parse_size("300MB")


@pytest.mark.parametrize(
    ("text", "per_second"), [("100/s", 100), ("100", 100), ("30/m", 0.5), ("6/h", 1 / 600)]
)
def test_a_rate_is_a_number_for_a_unit_of_time(text: str, per_second: float) -> None:
    assert parse_rate(text) == pytest.approx(per_second)


@pytest.mark.parametrize("text", ["", "0", "0/s", "fast", "6/d", "-1/s"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="6/h"):
        parse_rate(text)


def test_a_rate_is_written_as_it_can_be_asked_for() -> None:
    texts = ("2000/s", "1.5/s", "30/m", "6/h", "0.5/h")
    assert tuple(asked_rate(parse_rate(text)) for text in texts) == texts


def test_a_rate_has_a_bound_where_one_is_given() -> None:
    assert parse_rate("2000000/s") == 2_000_000
    with pytest.raises(ValueError, match="at most 1000000/s"):
        parse_rate("2000000/s", 1_000_000)


def test_one_thing_is_no_things() -> None:
    assert counted(1, "message") == "1 message"
    assert counted(0, "message") == "0 messages"
    assert counted(1_234, "message") == "1,234 messages"
    assert counted(2, "process", "processes") == "2 processes"


def test_sizes_read_as_people_write_them() -> None:
    sizes = (0, 1, 640, 999, 1_000, 4_096, 999_999, 1_000_000, 10_485_760, 200_000_000, 3.4e9)
    assert [size(count) for count in sizes] == [
        "0 B", "1 B", "640 B", "999 B", "1 KB", "4.1 KB", "1,000 KB", "1 MB", "10.5 MB", "200 MB",
        "3.4 GB",
    ]  # fmt: skip
    assert size(1e30) == "1.0e+18 TB"


def test_rates_are_short() -> None:
    assert [rate(value) for value in (0, 0.02, 0.5, 9.94, 10, 41_200)] == [
        "0", "0.02", "0.5", "9.9", "10", "41,200",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 µs"), (0.000999, "999 µs"), (0.0012, "1.2 ms"), (0.25, "250 ms"), (3.4, "3.4 s")],
)
def test_latencies_are_short(seconds: float, shown: str) -> None:
    assert latency(seconds) == shown
