"""What a measurement counts, and the figures that follow from it."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmqtt.bench import words
from tmqtt.bench.clients import Bench
from tmqtt.bench.comparing import compare
from tmqtt.bench.counters import Counters
from tmqtt.bench.marks import MARK_SIZE, filler, mark, read_mark
from tmqtt.bench.pacing import Pace
from tmqtt.bench.plan import Job, Plan, shares
from tmqtt.bench.tally import Histogram, Tally
from tmqtt.bench.tracking import MAX_GAPS, Latencies, Track

from trio_mqtt import ConnectionLostError


def plan(kind: str = "pair", publishers: int = 1, subscribers: int = 1, processes: int = 1) -> Plan:
    return Plan(
        kind=kind,
        publishers=publishers,
        subscribers=subscribers,
        topic="t",
        processes=processes,
    )


# Following messages.


@given(st.lists(st.integers(0, 40)))
def test_a_track_knows_what_came_once_twice_late_and_never(numbers: list[int]) -> None:
    track = Track()
    for number in numbers:
        track.take(number)
    first_times = [n for at, n in enumerate(numbers) if n not in numbers[:at]]
    late = [n for at, n in enumerate(first_times) if any(m > n for m in first_times[:at])]
    assert track.unique == len(first_times)
    assert track.repeated == len(numbers) - len(first_times)
    assert track.reordered == len(late)
    assert track.missing == len(set(range(max(numbers, default=-1) + 1)) - set(numbers))


def test_a_track_begins_where_it_is_told_to() -> None:
    track = Track(1_000)
    track.take(1_000)
    track.take(1_002)
    assert (track.unique, track.missing) == (2, 1)


def test_a_track_of_endless_gaps_stays_bounded_and_counts_them_all() -> None:
    track = Track()
    for number in range(0, 4 * MAX_GAPS, 2):
        track.take(number)
    assert track.missing == 2 * MAX_GAPS - 1
    track.take(1)  # its gap was forgotten
    assert track.repeated == 1
    track.take(4 * MAX_GAPS - 3)
    assert track.reordered == 1
    assert track.missing == 2 * MAX_GAPS - 2


def test_a_mark_is_read_as_it_was_written_and_nothing_else_is_one() -> None:
    payload = mark(0x0001_0002, 7, 123_456_789_012_345) + filler(64)
    assert len(payload) == 64
    assert read_mark(payload) == (0x0001_0002, 7, 123_456_789_012_345)
    assert read_mark(payload[: MARK_SIZE - 1]) is None
    assert read_mark(b"x" * 64) is None


# Latency.


def test_latencies_are_as_exact_as_the_histogram_they_go_into() -> None:
    values = [n * n * 7_919 % 10_000_000 + 1 for n in range(2_000)]
    gathered, direct = Histogram(), Histogram()
    latencies = Latencies()
    for value in values:
        latencies.add(value * 1_000 + 999)
        direct.add({str(value): 1})
    gathered.add({str(value): count for value, count in latencies.take().items()})
    assert latencies.take() == {}
    for percentile in (0, 50, 90, 99, 99.9, 100):
        assert gathered.at(percentile) == direct.at(percentile)
    summary = gathered.summary()
    assert summary is not None
    assert summary["count"] == 2_000
    assert summary["max"] == pytest.approx(max(values), rel=0.001)
    assert summary["mean"] == pytest.approx(sum(values) / 2_000, rel=0.001)


def test_a_histogram_of_nothing_has_no_figures() -> None:
    assert Histogram().summary() is None


def test_a_message_that_the_broker_held_up_counts_from_when_it_was_due() -> None:
    pace = Pace(0, 1_000)  # each millisecond
    assert pace.due == 0
    pace.woke(50_000)  # the timer was 50 µs late: that is not the broker's
    assert pace.take() == 50_000
    # The broker takes nothing for 3 ms: the next three have been due meanwhile.
    assert [pace.take() for _ in range(3)] == [1_000_000, 2_000_000, 3_000_000]
    pace.woke(4_100_000)
    assert pace.take() == 4_100_000


@pytest.mark.slow
def test_a_pace_does_not_drift() -> None:
    pace = Pace(5, 3)
    for _ in range(3_000_000):
        pace.take()
    assert pace.due == 5 + 1_000_000 * 1_000_000_000


# Sharing out and adding up.


@pytest.mark.parametrize("processes", [1, 2, 3, 7, 100])
def test_every_client_is_in_exactly_one_process_and_none_has_nothing_to_do(processes: int) -> None:
    parts = shares(plan("fan-in", 10, 3, processes=processes))
    assert sorted(p for publishers, _ in parts for p in publishers) == list(range(10))
    assert sorted(s for _, subscribers in parts for s in subscribers) == list(range(3))
    assert len(parts) <= processes
    assert all(publishers or subscribers for publishers, subscribers in parts)


def test_the_ends_of_a_pair_are_in_different_processes() -> None:
    parts = shares(plan("pair", 1, 1, processes=8))
    assert parts == [((0,), ()), ((), (0,))]


@pytest.mark.parametrize(
    ("kind", "publishers", "subscribers", "copies"),
    [("pair", 5, 5, 1), ("fan-in", 5, 2, 2), ("fan-out", 2, 5, 5)],
)
def test_each_pair_of_ends_has_a_slot_of_its_own(
    kind: str, publishers: int, subscribers: int, copies: int
) -> None:
    whole = plan(kind, publishers, subscribers)
    assert whole.copies() == copies
    slots = [slot for p in range(publishers) for slot in range(*whole.slots_of(p))]
    assert slots == list(range(whole.slots()))
    for p in range(publishers):
        receivers = [p] if kind == "pair" else range(subscribers)
        assert [whole.slot(p, s) for s in receivers] == list(range(*whole.slots_of(p)))


def report(totals: Counters, **more: object) -> dict[str, object]:
    latencies: dict[str, dict[str, int]] = {
        "delivery": {"100": 1}, "acknowledgement": {}, "connection": {},
    }  # fmt: skip
    return {
        "totals": totals.as_dict(), "latencies": latencies, "last_received": 0, "last_sent": 0,
        "cpu": 0.0, "wall": 0.0, "problem": "", **more,
    }  # fmt: skip


def test_workers_add_up_and_the_latest_report_of_each_counts() -> None:
    tally = Tally(plan(), 2)
    tally.start, tally.loading = 1_000_000_000, True
    tally.take(0, report(Counters(sent=5, expected=5), cpu=0.1, wall=1.0))
    tally.take(0, report(Counters(sent=9, expected=9), last_sent=3_000_000_000, cpu=0.9, wall=1.0))
    tally.take(
        1, report(Counters(received=8, received_bytes=80, repeated=1), last_received=5_000_000_000)
    )
    assert tally.lost() == 2
    assert tally.busiest() == pytest.approx(0.5)
    summary = tally.summary()
    assert summary["messages"]["sent"] == 9
    assert summary["messages"]["lost"] == 2
    assert summary["rates"]["sent_per_second"] == 4.5
    assert summary["rates"]["received_per_second"] == 2.0
    assert summary["latency_us"]["delivery"]["count"] == 3
    assert summary["latency_us"]["connection"] is None


def test_what_is_under_way_when_it_is_ended_early_is_not_lost() -> None:
    tally = Tally(plan(), 1)
    tally.start = 1
    tally.take(0, report(Counters(sent=100, expected=100, received=91, repeated=1, missing=2)))
    assert (tally.lost(), tally.in_flight(), tally.outstanding()) == (10, 0, 10)
    tally.ended_early = True
    assert (tally.lost(), tally.in_flight(), tally.outstanding()) == (2, 8, 10)
    rows = dict(words.rows(tally.plan, tally.summary() | {"broker": None}))
    assert rows["lost"] == "2  (2.00%)"
    assert rows["in flight"] == "8 when it was ended"


def test_of_a_subscriber_alone_gaps_are_losses() -> None:
    tally = Tally(plan("sub", 0, 1), 1)
    tally.take(0, report(Counters(received=10, missing=3)))
    assert tally.lost() == 3


# Comparing and telling.


def figures(rate: float, p50: float | None) -> dict[str, object]:
    return {
        "rates": {"received_per_second": rate},
        "latency_us": {"delivery": None if p50 is None else {"p50": p50, "p99": p50}},
        "broker": None,
    }


def test_ratios_are_those_of_rounds_side_by_side() -> None:
    compared = compare(
        [figures(100, 10), figures(300, 20), figures(800, None)],
        [figures(50, 20), figures(100, 10), figures(200, 10)],
    )
    rate = compared["received /s"]
    assert (rate["first"], rate["second"]) == (300, 100)
    assert (rate["ratio"], rate["ratio_min"], rate["ratio_max"]) == (3, 2, 4)
    assert compared["latency p50"]["ratio"] == pytest.approx(1.25)
    assert "CPU µs a message" not in compared
    assert compare([], []) == {}


def test_what_is_zero_has_no_ratio() -> None:
    one: dict[str, object] = {"messages": {"lost": 0}}
    assert compare([one], [{"messages": {"lost": 5}}])["lost"]["ratio"] is None


def test_a_connection_that_is_lost_between_being_ready_and_the_start_counts() -> None:
    bench = Bench(cast(Job, None), None)
    bench.is_ready()
    bench.fail(ConnectionLostError("It has gone."))
    bench.fail(ConnectionLostError("So has this."))
    assert bench.measured.totals.lost_connections == 0
    bench.start()
    assert (bench.measured.totals.lost_connections, bench.measured.problem) == (2, "It has gone.")
    bench.fail(ConnectionLostError("Later."))
    assert bench.measured.totals.lost_connections == 3
