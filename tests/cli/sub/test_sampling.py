"""A terminal shows so many messages; the rest is counted, and said."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from tmqtt.sub.sampling import Sample


def test_a_burst_is_shown_whole_and_then_so_many_each_second() -> None:
    sample = Sample(0.0, burst=10, per_second=2)

    def offer(count: int, now: float) -> int:
        before = sample.shown
        for _ in range(count):
            if sample.admits(now):
                sample.take()
            else:
                sample.miss()
        return sample.shown - before

    assert offer(10, 0.0) == 10
    assert sample.report(5.0) is None
    assert offer(50, 0.0) == 0
    assert offer(50, 1.0) == 2
    assert sample.report(1.0) is None  # at most once a second
    assert sample.report(2.0) == "… 2 shown of 100"
    assert sample.report(9.0, last=True) is None
    assert offer(50, 1_000.0) == 10
    assert sample.report(1_000.0, last=True) == "… 10 shown of 50"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 2)), max_size=30))
def test_shown_and_left_out_add_up(bursts: list[tuple[int, float]]) -> None:
    sample = Sample(0.0, burst=20, per_second=5)
    now, said, shown_between = 0.0, 0, 0
    for count, pause in bursts:
        now += pause
        for left in range(count, 0, -1):
            if not sample.admits(now):
                sample.miss(left)
                break
            sample.take()
            shown_between += 1
        report = sample.report(now, last=not count % 2)
        if report:
            shown, seen = map(int, re.findall(r"\d+", report.replace(",", "")))
            assert shown <= seen
            said += seen
    said += sum(
        map(int, re.findall(r"of (\d+)", (sample.report(now, last=True) or "").replace(",", "")))
    )
    assert said <= sample.seen == sum(count for count, _ in bursts)
