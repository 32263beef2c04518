"""What a command prints: queued, and written by a thread.

A terminal or pipe that takes nothing (Ctrl-S, a pager, a slow network) then holds up neither the
broker's clients nor the connection of `pub` and `sub`.
"""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from tmqtt.terminal.escaping import escape_json
from tmqtt.terminal.sequences import CLEAR_LINE
from tmqtt.terminal.streams import encoded

LIMIT = 1024 * 1024  # bytes that wait to be written, beyond which `room` waits
_FAREWELL = 1.0  # seconds that the last lines get to be written
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)  # nobody reads any more
_TRY_AGAIN = 1.0  # seconds until what could not be written is tried again


class Keeper(Protocol):
    """Goes on without a stream that cannot be written, and is told how things stand."""

    def failed(self, error: OSError) -> None:
        """Nothing can be written for now; it is tried again each second."""

    def back(self, error: OSError) -> None:
        """What waited is written: `error` is over."""

    def gone(self) -> None:
        """Nobody will ever read it again."""


class Output:
    """One of the process's output streams. `open_output` makes one."""

    def __init__(self, descriptor: int, when_closed: Callable[[], None]) -> None:
        self.is_terminal = os.isatty(descriptor)
        # Whether nobody reads any more: a closed pipe, a terminal that hung up.
        self.closed = False
        # What else went wrong in writing, such as a full disk.
        self.error: OSError | None = None
        # The same for a stream that has a keeper, for as long as it lasts.
        self.trouble: OSError | None = None
        self._keeper: Keeper | None = None
        self._stays_empty = False
        self._descriptor = descriptor
        self._when_closed = when_closed
        self._waiting: list[bytes] = []
        self._size = 0
        self._more = trio.Event()
        self._written = trio.Event()
        # Who is told to stop still has what waits written: that ends only with the output.
        self._writing = trio.CancelScope(shield=True)

    @property
    def full(self) -> bool:
        """Whether so much waits that `room` would wait."""
        return self._size > LIMIT

    @property
    def size(self) -> int:
        """The bytes that wait to be written."""
        return self._size

    @property
    def idle(self) -> bool:
        """Whether all has been written."""
        return not self._size

    def put(self, data: bytes) -> None:
        """Print `data` as soon as it can be."""
        if data and not self.closed:
            self._waiting.append(data)
            self._size += len(data)
            self._more.set()

    def line(self, text: str) -> None:
        """Print a line of text. What the stream's encoding lacks is shown as an escape."""
        self.put(encoded(text + "\n"))

    def json(self, value: object) -> None:
        """Print a line of JSON. A terminal is shown as escapes what it might obey."""
        written = json.dumps(value, ensure_ascii=False)
        self.line(escape_json(written) if self.is_terminal else written)

    def redraw(self, line: str, above: bytes = b"") -> None:
        """Draw the terminal's last line anew in its place; `above` it, whole lines scroll by."""
        self.put(CLEAR_LINE.encode() + above + encoded(line))

    def outlive(self, keeper: Keeper) -> None:
        """Go on where the stream cannot be written: try again, and tell `keeper`.

        What could not be written waits meanwhile, so that no line is torn: see that not too much
        is put.
        """
        self._keeper = keeper

    def stay_empty(self) -> None:
        """Nothing is put: that its reader has gone is no reason to end, and not noticed."""
        self._stays_empty = True

    async def room(self) -> None:
        """Wait while too much is waiting."""
        while self.full:
            await self._written.wait()

    async def flush(self) -> None:
        """Wait until all is written."""
        while self._size:
            await self._written.wait()

    async def _write(self) -> None:
        with self._writing:
            await self._write_on()

    async def _write_on(self) -> None:
        while True:
            await self._more.wait()
            data = b"".join(self._waiting)
            self._waiting.clear()
            while True:
                written, error = await trio.to_thread.run_sync(
                    _write_all, self._descriptor, data, abandon_on_cancel=True
                )
                if error is None:
                    break
                if self._keeper is None or self._is_final(error):
                    self._end(None if error.errno in _GONE else error)
                    return
                data = data[written:]
                self._size -= written
                if self.trouble is None:
                    self.trouble = error
                    self._keeper.failed(error)
                await trio.sleep(_TRY_AGAIN)
            if self._keeper is not None and self.trouble is not None:
                trouble, self.trouble = self.trouble, None
                self._keeper.back(trouble)
            self._size -= len(data)
            self._written.set()
            self._written = trio.Event()
            if not self._waiting:
                self._more = trio.Event()

    async def _watch_for_the_end(self) -> None:
        """Notice at once that the reader of a pipe has gone, not only with the next line."""
        if not hasattr(select, "epoll") or not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
            return
        with select.epoll() as poll:
            poll.register(self._descriptor, 0)  # an error is always reported: the end is one
            await trio.lowlevel.wait_readable(poll.fileno())
        self._end(None)

    def _is_final(self, error: OSError) -> bool:
        """Whether the stream can never be written again."""
        # EIO of a terminal: it was closed. Of a disk: some are better after a while.
        return error.errno in _GONE and (error.errno != errno.EIO or self.is_terminal)

    def _end(self, error: OSError | None) -> None:
        if self.closed or self._stays_empty:
            return
        self.closed = True
        self.trouble = None
        self.error = self.error or error
        self._waiting.clear()
        self._size = 0
        self._written.set()
        self._written = trio.Event()
        if self._keeper is None:
            self._when_closed()
        else:
            self._keeper.gone()


@asynccontextmanager
async def open_output(
    descriptor: int, when_closed: Callable[[], None] = lambda: None
) -> AsyncIterator[Output]:
    """An output stream; `when_closed` is called once nobody reads it any more, or it is full.

    At the end, what waits is written if that takes no longer than a second.
    """
    output = Output(descriptor, when_closed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output._write)  # noqa: SLF001 # its other half
        nursery.start_soon(output._watch_for_the_end)  # noqa: SLF001
        try:
            yield output
        finally:
            with trio.move_on_after(_FAREWELL) as scope:
                scope.shield = True
                if output.trouble is None:
                    await output.flush()
            output._writing.cancel()  # noqa: SLF001
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_outputs(
    output: int, messages: int, when_closed: Callable[[], None]
) -> AsyncIterator[tuple[Output, Output]]:
    """The outputs of what is printed and of what is said beside; `when_closed` is of the first.

    Where both are the same terminal they are one output, with one thread that writes: of two, the
    one could write a line behind what the other is just about to take away or to end.
    """
    if _same_terminal(output, messages):
        async with open_output(output, when_closed) as both:
            yield both, both
        return
    async with open_output(messages) as beside, open_output(output, when_closed) as first:
        yield first, beside


def _same_terminal(one: int, other: int) -> bool:
    """Whether both are one terminal, be it that one is by its own name and one by /dev/tty."""
    if not (os.isatty(one) and os.isatty(other)):
        return False
    if sys.platform == "win32":
        return True  # a process has one console
    if os.fstat(one).st_rdev == os.fstat(other).st_rdev:
        return True
    return _controls(one) and _controls(other)


def _controls(terminal: int) -> bool:
    """Whether it is the one terminal that controls this process."""
    if sys.platform == "win32":
        return False
    try:
        return os.tcgetpgrp(terminal) > 0
    except OSError:  # it is another
        return False


def _write_all(descriptor: int, data: bytes) -> tuple[int, OSError | None]:
    """Write `data`; how many bytes of it were written, and what kept back the others."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            select.select([], [descriptor], [])  # somebody else made the stream non-blocking
        except OSError as error:
            return len(data) - len(left), error
    return len(data), None
