"""Who waits for sockets: an instrument of Trio's loop where it can, so that no read takes a pass.

A pass of Trio's loop, with the task that it resumes and the call that registers for the next one,
costs as much as half of what the broker does about a lone message. So all sockets of all listeners
are waited for together with what Trio waits for, right before it would do so, and what can be read
is read at once: as long as no task is to go on, no pass is needed.

Elsewhere a task of each listener waits: in guest mode, where the loop waits in another thread, and
where the system has no epoll, or does not tell which is Trio's.
"""

from __future__ import annotations

import contextvars
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from types import FrameType

import trio

from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.transport.listeners import linux
from trio_mqtt.transport.listeners.readiness import Readiness

_DESCRIPTORS = "/proc/self/fdinfo"  # proc_pid_fdinfo(5)

# Seconds. Who waits until all tasks are blocked has Trio wait for less, and is told by that time.
_LONG = 1.0

_clock = time.perf_counter


@asynccontextmanager
async def open_readiness() -> AsyncIterator[Readiness | None]:
    """What waits for the sockets of one listener; None where each is to be waited for alone."""
    async with _open_waiter() as waiter:
        if waiter is not None:
            yield waiter.readiness
            return
        try:
            readiness = Readiness()
        except OSError:  # the system has no epoll, or no more of them
            yield None
            return
        with closing(readiness):
            async with tasks_beside() as nursery:
                nursery.start_soon(_read, readiness)
                yield readiness


async def _read(readiness: Readiness) -> None:
    """Have sockets read, for as long as this runs."""
    own = readiness.fileno()
    while True:
        await trio.lowlevel.wait_readable(own)
        readiness.read_all(0)


@asynccontextmanager
async def _open_waiter() -> AsyncIterator[_Waiter | None]:
    """Who waits in this call of `trio.run`; None where nobody can."""
    try:
        bell = _Bell() if _is_plain_run() else None
    except OSError:  # the system has no such thing, or no more of them
        bell = None
    if bell is None:
        yield None
        return
    with closing(bell):
        async with tasks_beside() as nursery:
            waiter = None
            try:
                nursery.start_soon(bell.answer)
                await bell.answers.wait()
                waiter = _Waiter.of_this_run(bell)
                yield waiter
            finally:
                if waiter is not None:
                    waiter.lose(bell)
                bell.answering.cancel()


class _Bell:
    """Has Trio's loop go on, whatever it waits for: somebody waits for it until it is not used."""

    def __init__(self) -> None:
        self.fd = linux.open_bell()
        # Who uses it may be cancelled long before the connections of its listener have ended.
        self.answering = trio.CancelScope(shield=True)
        # Happens when somebody waits for it.
        self.answers = trio.Event()
        # A defect of who rings.
        self.failure: BaseException | None = None

    def ring(self) -> None:
        linux.ring(self.fd)

    async def answer(self) -> None:
        """Wait for it, again and again; raises the defect."""
        with self.answering:
            self.answers.set()
            while self.failure is None:
                await trio.lowlevel.wait_readable(self.fd)
                with suppress(BlockingIOError):
                    linux.silence(self.fd)
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        os.close(self.fd)


class _Waiter(trio.abc.Instrument):
    """Waits where Trio's loop would, for what it waits for and for all sockets of its listeners."""

    def __init__(self, trios_epoll: int) -> None:
        self.readiness = Readiness()
        self.readiness.watch(trios_epoll, self._trio_is_wanted)
        # Each listener has one; any of them will do.
        self._bells: list[_Bell] = []
        # What is read may start tasks: as those of whoever opened the listener.
        self._context = contextvars.copy_context()
        # Whether it is the loop's turn.
        self._is_over = False
        self.failed = False

    @classmethod
    def of_this_run(cls, bell: _Bell) -> _Waiter | None:
        """The one of this call of `trio.run`, which may ring the bell; None if there can be none.

        A task must be waiting for the bell.
        """
        waiter = _of_run.get(None)
        if waiter is None or waiter.failed:
            trios_epoll = _epoll_that_watches(bell.fd)
            if trios_epoll is None:
                return None
            try:
                waiter = cls(trios_epoll)
            except OSError:
                return None
            _of_run.set(waiter)
            trio.lowlevel.add_instrument(waiter)
        waiter._bells.append(bell)
        return waiter

    def lose(self, bell: _Bell) -> None:
        """A listener has ended."""
        self._bells.remove(bell)
        if not self._bells:
            if _of_run.get(None) is self:
                _of_run.set(None)
            trio.lowlevel.remove_instrument(self)
            self.readiness.close()

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self._is_over = True

    def _trio_is_wanted(self) -> bool:
        self._is_over = True
        return True

    @trio.lowlevel.enable_ki_protection
    def before_io_wait(self, timeout: float) -> None:
        if self.failed:
            return
        try:
            self._context.run(self._wait, timeout)
        except BaseException as error:  # Trio would let go of it, and nobody be heard any more
            self.failed = True
            for bell in self._bells:
                bell.failure = error
                bell.ring()

    def _wait(self, timeout: float) -> None:
        read_all = self.readiness.read_all
        if not timeout:
            # Whoever waits until nothing happens is to know that something does.
            if read_all(0):
                self._bells[-1].ring()
            return
        self._is_over = False
        until = _clock() + timeout
        left = timeout
        has_read = False
        while (count := read_all(left)) and not self._is_over:
            has_read = True
            left = until - _clock()
            if left <= 0:
                break
        # What was read may have put a deadline off: Trio would wait for the one before once more.
        if count or has_read or timeout >= _LONG or _a_deadline_is_due():
            self._bells[-1].ring()


_of_run: trio.lowlevel.RunVar[_Waiter | None] = trio.lowlevel.RunVar("trio_mqtt_waiter")


def _a_deadline_is_due() -> bool:
    return trio.lowlevel.current_statistics().seconds_to_next_deadline <= 0


def _is_plain_run() -> bool:
    """Whether the loop waits in this thread: within `trio.run`, and not in guest mode."""
    run = getattr(trio.run, "__code__", None)
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 # there is no other way to know
    while frame is not None:
        if frame.f_code is run:
            return True
        frame = frame.f_back
    return False


def _epoll_that_watches(fd: int) -> int | None:
    """The descriptor of this process' epoll that watches another; None if that is not known."""
    try:
        for name in os.listdir(_DESCRIPTORS):
            with (
                suppress(FileNotFoundError),
                open(f"{_DESCRIPTORS}/{name}", encoding="ascii") as file,
            ):
                for line in file:
                    kind, *values = line.split()
                    if kind == "tfd:" and int(values[0]) == fd:
                        return int(name)
    except (OSError, ValueError):
        pass
    return None
