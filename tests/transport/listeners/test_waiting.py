"""Real sockets, waited for where Trio's loop would wait: all else goes on as if that did so."""

from __future__ import annotations

import os
import queue
import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import outcome
import pytest
import trio
import trio.testing

from trio_mqtt.transport.listeners import waiting
from trio_mqtt.transport.listeners.readiness import Readiness
from trio_mqtt.transport.listeners.waiting import open_readiness

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll")

_MANY = 200


class _Ball:
    """A byte that two sockets throw to each other, each time that it is read, `times` times."""

    def __init__(self, readiness: Readiness, times: float) -> None:
        self.times = times
        self.thrown = 0
        self._is_over = trio.Event()
        self.fails_at = -1.0
        self._readiness = readiness
        self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)

    def throw(self) -> None:
        self.thrown += 1
        self._ends[0].send(b"o")

    def _catch(self, end: socket.socket) -> bool:
        end.recv(1)
        if self.thrown == self.fails_at:
            raise SystemExit("a defect")
        if self.thrown < self.times:
            self.thrown += 1
            end.send(b"o")
        else:
            self._is_over.set()
        return True

    async def is_over(self) -> None:
        with trio.fail_after(60):
            await self._is_over.wait()

    async def play(self) -> None:
        async with trio.open_nursery() as nursery:
            for end in self._ends:
                nursery.start_soon(
                    self._readiness.while_readable, end.fileno(), partial(self._catch, end)
                )

    def close(self) -> None:
        for end in self._ends:
            self._readiness.forget(end.fileno())
            end.close()


@asynccontextmanager
async def _ball(times: float = _MANY) -> AsyncIterator[_Ball]:
    async with open_readiness() as readiness, trio.open_nursery() as nursery:
        assert readiness is not None
        ball = _Ball(readiness, times)
        nursery.start_soon(ball.play)
        await trio.testing.wait_all_tasks_blocked()
        try:
            yield ball
        finally:
            nursery.cancel_scope.cancel()
            ball.close()


class _Passes(trio.abc.Instrument):
    count = 0

    def after_io_wait(self, timeout: float) -> None:
        self.count += 1


async def _in_thread(wait: Callable[[], None]) -> None:
    await trio.to_thread.run_sync(wait)


async def _wait_readable(end: socket.socket) -> None:
    with trio.fail_after(60):
        await trio.lowlevel.wait_readable(end)


async def test_what_wakes_no_task_is_read_without_a_pass_of_the_loop() -> None:
    async with _ball() as ball:
        passes = _Passes()
        trio.lowlevel.add_instrument(passes)
        ball.throw()
        await ball.is_over()
        trio.lowlevel.remove_instrument(passes)
        assert passes.count < 10


async def test_deadlines_threads_and_other_sockets_have_their_turn_in_a_flood() -> None:
    ours, theirs = socket.socketpair()
    async with _ball(times=float("inf")) as ball:
        ball.throw()
        before = ball.thrown
        with trio.fail_after(60):
            await trio.sleep(0.01)
            assert await trio.to_thread.run_sync(lambda: "done") == "done"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_wait_readable, ours)
                await trio.sleep(0.01)
                theirs.send(b"x")
        assert ball.thrown > before
    ours.close()
    theirs.close()


async def test_what_others_wait_for_wakes_the_loop_while_nothing_is_to_be_read() -> None:
    ours, theirs = socket.socketpair()
    done: queue.SimpleQueue[None] = queue.SimpleQueue()
    async with _ball(), trio.open_nursery() as nursery:
        nursery.start_soon(_wait_readable, ours)
        nursery.start_soon(_in_thread, done.get)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(60):
            await trio.to_thread.run_sync(theirs.send, b"x")
            await trio.to_thread.run_sync(done.put, None)
            await trio.sleep(0.01)
    ours.close()
    theirs.close()


async def test_a_task_that_is_woken_by_what_is_read_goes_on_at_once() -> None:
    theirs, ours = socket.socketpair()
    read = trio.Event()

    def receive() -> bool:
        ours.recv(1)
        read.set()
        return True

    async with open_readiness() as readiness, trio.open_nursery() as nursery:
        assert readiness is not None
        nursery.start_soon(readiness.while_readable, ours.fileno(), receive)
        with trio.fail_after(60):
            await trio.to_thread.run_sync(theirs.send, b"x")
            await read.wait()
        nursery.cancel_scope.cancel()
        readiness.forget(ours.fileno())
    theirs.close()
    ours.close()


@pytest.mark.parametrize("cushion", [0.0, 0.01])
async def test_that_nothing_happens_is_noticed(cushion: float) -> None:
    async with _ball() as ball:
        with trio.fail_after(60):
            await trio.testing.wait_all_tasks_blocked(cushion)
            assert ball.thrown == 0
            ball.throw()
            await trio.testing.wait_all_tasks_blocked(cushion)
            assert ball.thrown == _MANY


@pytest.mark.parametrize("threshold", [0.0, 0.01])
def test_a_clock_that_jumps_does_so_once_all_is_read(threshold: float) -> None:
    async def main() -> None:
        async with _ball() as ball:
            ball.throw()
            await trio.sleep(10_000)
            assert ball.thrown == _MANY

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=threshold))


async def test_a_defect_ends_what_waits_instead_of_leaving_all_unheard() -> None:
    async def play() -> None:
        async with _ball() as ball:
            ball.fails_at = 10
            ball.throw()
            await ball.is_over()

    with pytest.raises(BaseExceptionGroup) as raised:
        await play()
    assert raised.group_contains(SystemExit, match="a defect")


async def test_who_is_cancelled_while_it_begins_ends() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_readiness():
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_who_takes_time_to_end_is_heard_until_then() -> None:
    with trio.CancelScope() as scope:
        async with _ball() as ball:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ball.play)
                    await trio.testing.wait_all_tasks_blocked()
                    ball.throw()
                    await ball.is_over()
                    nursery.cancel_scope.cancel()
    assert ball.thrown == _MANY


@pytest.mark.posix
async def test_a_listener_that_ends_leaves_the_others_heard_and_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with _ball() as first:
        async with _ball() as second:
            for ball in (first, second):
                ball.throw()
                await ball.is_over()
        first.thrown = 0
        first.throw()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert first.thrown == _MANY
    assert len(os.listdir("/proc/self/fd")) == before
    async with _ball() as again:
        again.throw()
        await again.is_over()


def test_in_guest_mode_a_task_waits_as_the_loop_does_so_elsewhere() -> None:
    async def main() -> int:
        async with _ball() as ball:
            assert waiting._of_run.get(None) is None
            ball.throw()
            await ball.is_over()
            return ball.thrown

    calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
    outcomes: list[outcome.Outcome[int]] = []

    def done(result: outcome.Outcome[int]) -> None:
        outcomes.append(result)
        calls.put(None)

    trio.lowlevel.start_guest_run(main, run_sync_soon_threadsafe=calls.put, done_callback=done)
    while (call := calls.get(timeout=60)) is not None:
        call()
    assert [result.unwrap() for result in outcomes] == [_MANY]


@pytest.mark.parametrize("missing", ["eventfd", "listdir"])
async def test_where_the_system_lacks_what_that_needs_a_task_waits(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("there is no such thing here")

    monkeypatch.setattr(os, missing, fail)
    async with _ball() as ball:
        assert waiting._of_run.get(None) is None
        ball.throw()
        await ball.is_over()


class _Waits(trio.abc.Instrument):
    def __init__(self, happened: list[str]) -> None:
        self._happened = happened

    def after_io_wait(self, timeout: float) -> None:
        self._happened.append("waited")


async def test_no_wait_is_done_twice_where_a_read_puts_off_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[str] = []
    ring = waiting._Bell.ring

    def heard(bell: waiting._Bell) -> None:
        happened.append("rung")
        ring(bell)

    monkeypatch.setattr(waiting._Bell, "ring", heard)
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        async with open_readiness() as readiness, trio.open_nursery() as nursery:
            assert readiness is not None
            scope = trio.CancelScope()

            def read() -> bool:
                other.recv(1)
                happened.append("read")
                scope.deadline += 0.3
                return True

            nursery.start_soon(readiness.while_readable, other.fileno(), read)
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.add_instrument(_Waits(happened))
            one.send(b"o")
            with scope:
                scope.deadline = trio.current_time() + 0.3
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()
    at = happened.index("read")
    assert happened[at : at + 3] == ["read", "rung", "waited"]
