"""Which of many sockets can be read: each is registered once, for as long as it is connected.

Trio registers a socket anew each time that somebody waits for it, and resumes a task for each that
can be read: a third of what a lone message costs. Here one waits for all sockets, and calls what
reads from each of them; a connection's own task is resumed only where reading is to stop, for
whatever reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from trio_mqtt.transport.listeners.linux import AT_EDGES_ONLY, READABLE, open_epoll

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
    """Sockets, of one listener or of all; whoever waits for them calls `read_all`."""

    def __init__(self) -> None:
        """Raises OSError where the system has no epoll, or no more of them."""
        self._epoll = open_epoll()
        self._watched: dict[int, _Watched] = {}

    def fileno(self) -> int:
        """What can be read while any of the sockets can be."""
        return self._epoll.fileno()

    def while_readable(self, fd: int, read: Callable[[], bool]) -> Awaitable[None]:
        """Call `read` whenever there is something to receive, until it returns False.

        Waiting raises what `read` raises. Nothing else waits here: ten thousand connections do.
        """
        one = self._watched.get(fd)
        if one is None:
            one = self._watched[fd] = _Watched()
            self._epoll.register(fd, READABLE)
        elif one.is_silent:
            one.is_silent = False
            self._epoll.modify(fd, READABLE)
        return one.until_stopped(read)

    def forget(self, fd: int) -> None:
        """A socket is about to be closed; nobody reads it any more."""
        if self._watched.pop(fd, None) is not None:
            with suppress(OSError):  # somebody else has closed it
                self._epoll.unregister(fd)

    def watch(self, fd: int, read: Callable[[], bool]) -> None:
        """Call `read` whenever there is something to receive, for as long as this is open."""
        one = self._watched[fd] = _Watched()
        one.read = read
        self._epoll.register(fd, READABLE)

    def close(self) -> None:
        """No socket is read any more."""
        self._epoll.close()
        self._watched.clear()

    def read_all(self, timeout: float) -> int:
        """Have all be read that can be, waiting up to `timeout` seconds for that; how many."""
        watched = self._watched
        ready = self._epoll.poll(timeout, _AT_ONCE)
        for fd, _ in ready:
            one = watched.get(fd)
            if one is None:
                continue  # it was closed for what another has said
            read = one.read
            if read is None:
                # Its own task has something else to do, and asks again when that is done.
                # That a connection was reset is told anyway, but once, unless it is modified again.
                if not one.is_silent:
                    one.is_silent = True
                    self._epoll.modify(fd, AT_EDGES_ONLY)
                continue
            try:
                if read():
                    continue
            except Exception as error:
                one.stop(error)
            else:
                one.stop()
        return len(ready)
