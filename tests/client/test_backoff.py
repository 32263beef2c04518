"""Delays between attempts to connect."""

from __future__ import annotations

from trio_mqtt.client.backoff import Backoff


def test_delays_double_up_to_the_maximum_less_a_random_half() -> None:
    backoff = Backoff(minimum=0.1, maximum=30.0)
    for attempt in range(2_000):
        step = min(30.0, 0.1 * 2.0 ** min(attempt, 50))
        assert step / 2 <= backoff.next_delay() <= step
    assert backoff.attempt == 2_000


def test_delays_differ_between_clients() -> None:
    assert len({Backoff().next_delay() for _ in range(50)}) > 40


def test_only_a_connection_that_stood_begins_the_series_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next_delay()
    backoff.connection_ended(1.0)
    assert backoff.attempt == 5
    backoff.connection_ended(30.0)
    assert backoff.attempt == 0
