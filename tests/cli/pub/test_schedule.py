"""A schedule is absolute: lateness does not add up."""

from __future__ import annotations

import random

from tmqtt.pub.schedule import Schedule


def test_a_hundred_thousand_late_messages_do_not_drift() -> None:
    chance = random.Random(1)  # noqa: S311 # a test's dice
    schedule = Schedule(50.0, 0.3)
    now = 50.0
    for number in range(100_000):
        due = schedule.next_due(now)
        assert due == 50.0 + number * 0.3
        now = max(now, due) + chance.uniform(0.0, 0.29)


def test_the_first_message_is_due_at_once() -> None:
    assert Schedule(7.0, 3.0).next_due(7.0) == 7.0


def test_a_short_delay_is_made_up_for() -> None:
    schedule = Schedule(0.0, 0.25)
    schedule.next_due(0.0)
    assert [schedule.next_due(0.8) for _ in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_after_a_long_delay_what_was_missed_is_left_out() -> None:
    schedule = Schedule(0.0, 3.0)
    schedule.next_due(0.0)
    assert schedule.next_due(100.0) == 99.0  # due at once, and one message instead of 33
    assert schedule.next_due(100.0) == 102.0


def test_a_message_that_is_a_period_late_is_still_sent() -> None:
    schedule = Schedule(0.0, 3.0)
    schedule.next_due(0.0)
    assert schedule.next_due(5.9) == 3.0
    assert schedule.next_due(5.9) == 6.0
