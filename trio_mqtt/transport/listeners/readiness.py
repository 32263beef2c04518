"""Which of many sockets can be read: each is registered once, for as long as it is connected.

Trio registers a socket anew each time that somebody waits for it, and resumes a task for each that
can be read: a third of what a lone message costs. Here one task waits for all sockets of a listener
and calls what reads from each of them; a connection's own task is resumed only where reading is to
stop, for whatever reason.
"""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress

import trio

from trio_mqtt.nurseries import tasks_beside

# Sockets that are read before all others who have something to do get their turn.
_AT_ONCE = 256


class _Watched:
    """One socket: who reads it, and the task that waits meanwhile; None while nobody reads."""

    __slots__ = ("failure", "is_silent", "read", "task")

    def __init__(self) -> None:
        self.read: Callable[[], bool] | None = None
        self.task: trio.lowlevel.Task | None = None
        self.failure: Exception | None = None
        self.is_silent = False  # it is registered for nothing

    async def until_stopped(self, read: Callable[[], bool]) -> None:
        self.read = read
        self.task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._cancelled)
        failure, self.failure = self.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # else it and this frame, which it has come through, keep each other

    def _cancelled(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self.read = self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def stop(self, failure: Exception | None = None) -> None:
        """Nobody reads any more: whoever has waited for that goes on, if it was not cancelled."""
        task = self.task
        if task is not None:
            self.read = self.task = None
            self.failure = failure
            trio.lowlevel.reschedule(task)


class Readiness:
    """The sockets of one listener; `run` is the task that waits for them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, _Watched] = {}

    async def while_readable(self, fd: int, read: Callable[[], bool]) -> None:
        """Call `read` whenever there is something to receive, until it returns False.

        Raises what `read` raises.
        """
        one = self._watched.get(fd)
        if one is None:
            one = self._watched[fd] = _Watched()
            self._epoll.register(fd, select.EPOLLIN)
        elif one.is_silent:
            one.is_silent = False
            self._epoll.modify(fd, select.EPOLLIN)
        await one.until_stopped(read)

    def forget(self, fd: int) -> None:
        """A socket is about to be closed; nobody reads it any more."""
        if self._watched.pop(fd, None) is not None:
            with suppress(OSError):  # somebody else has closed it
                self._epoll.unregister(fd)

    async def run(self) -> None:
        """Have the sockets read, for as long as this runs."""
        own = self._epoll.fileno()
        while True:
            await trio.lowlevel.wait_readable(own)
            self._read_all()

    def close(self) -> None:
        """No socket is read any more."""
        self._epoll.close()

    def _read_all(self) -> None:
        watched = self._watched
        for fd, _ in self._epoll.poll(0, _AT_ONCE):
            one = watched.get(fd)
            if one is None:
                continue  # it was closed for what another has said
            read = one.read
            if read is None:
                # Its own task has something else to do, and asks again when that is done.
                # That a connection was reset is told anyway, but once, unless it is modified again.
                if not one.is_silent:
                    one.is_silent = True
                    self._epoll.modify(fd, select.EPOLLET)
                continue
            try:
                if read():
                    continue
            except Exception as error:
                one.stop(error)
            else:
                one.stop()


@asynccontextmanager
async def open_readiness() -> AsyncIterator[Readiness | None]:
    """What waits for the sockets of one listener; None where each is to be waited for alone."""
    try:
        readiness = Readiness()
    except (AttributeError, OSError):  # the system has no epoll, or no more of them
        yield None
        return
    with closing(readiness):
        async with tasks_beside() as nursery:
            nursery.start_soon(readiness.run)
            yield readiness
