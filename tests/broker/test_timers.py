"""What is to happen later happens at its time, once, and nothing stays of what was cancelled."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_mqtt.broker.timers import Timers


async def test_timers_run_at_their_time_and_not_when_cancelled(nursery: trio.Nursery) -> None:
    timers = Timers()
    nursery.start_soon(timers.run)
    start = trio.current_time()
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, round(trio.current_time() - start, 3)))

    timers.after(5, lambda: note("late"))
    cancelled = timers.after(3, lambda: note("never"))
    timers.after(1, lambda: note("soon"))
    timers.after(1, lambda: note("then"))
    await trio.sleep(2)
    timers.after(0.5, lambda: note("between"))
    cancelled.cancel()
    cancelled.cancel()
    await trio.sleep(10)
    assert seen == [("soon", 1), ("then", 1), ("between", 2.5), ("late", 5)]
    assert (timers._heap, timers._cancelled) == ([], 0)
    nursery.cancel_scope.cancel()


async def test_cancelled_timers_do_not_pile_up() -> None:
    timers = Timers()
    kept = [timers.after(10_000, lambda: None) for _ in range(10)]
    for _ in range(100_000):
        timers.after(5_000, lambda: None).cancel()
        assert len(timers._heap) < 1_100
    assert {id(timer) for timer in kept} <= {id(entry[2]) for entry in timers._heap}


async def test_a_timer_that_fails_stops_no_other(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    timers = Timers()
    nursery.start_soon(timers.run)
    done = trio.Event()
    timers.after(1, lambda: 1 // 0)  # type: ignore[arg-type]  # it never returns
    timers.after(2, done.set)
    await done.wait()
    assert "ZeroDivisionError" in caplog.text
    nursery.cancel_scope.cancel()
