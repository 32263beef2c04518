"""Delays between attempts to connect, and their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from trio_mqtt import Backoff
from trio_mqtt.client.connection.backoff import Delays


def test_delays_double_up_to_the_maximum_less_a_random_half() -> None:
    delays = Delays(Backoff(first=0.1, maximum=30.0))
    for attempt in range(2_000):
        step = min(30.0, 0.1 * 2.0 ** min(attempt, 50))
        delay = delays.next_delay(0.0)
        assert delay is not None
        assert step / 2 <= delay <= step
    assert delays.attempt == 2_000


def test_delays_differ_between_clients() -> None:
    assert len({Delays(Backoff()).next_delay(0.0) for _ in range(50)}) > 40


def test_only_a_connection_that_stood_begins_the_series_anew() -> None:
    delays = Delays(Backoff())
    for _ in range(5):
        delays.next_delay(0.0)
    delays.connection_ended(1.0)
    assert delays.attempt == 5
    delays.connection_ended(30.0)
    assert delays.attempt == 0


def test_attempts_end_when_there_were_enough() -> None:
    delays = Delays(Backoff(attempts=3))
    assert [delays.next_delay(0.0) is None for _ in range(5)] == [False] * 3 + [True] * 2
    delays.connection_ended(30.0)
    assert delays.next_delay(0.0) is not None


def test_attempts_end_when_the_time_is_up_and_the_last_is_made_then() -> None:
    delays = Delays(Backoff(first=4.0, maximum=4.0, seconds=10.0))
    assert delays.next_delay(100.0) is not None
    assert delays.next_delay(109.0) == 1.0
    assert delays.next_delay(110.0) is None


@pytest.mark.parametrize(
    "bounds",
    [{"first": 0}, {"first": 2, "maximum": 1}, {"attempts": 0}, {"seconds": 0}, {"seconds": -1}],
)
def test_bounds_that_make_no_sense_are_told(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is"):
        Backoff(**bounds)
