"""How threads wait for what an asynchronous client does in a thread of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    suppress,
)
from contextvars import Context
from functools import partial
from threading import Lock, RLock, Thread, get_ident, main_thread
from types import TracebackType
from typing import Any, Generic, TypeVar

import anyio

from trio_mqtt.errors import ConnectionLostError

T = TypeVar("T")

# Has an event loop call something soon, from any thread, at any moment.
Soon = Callable[[Callable[[], object]], object]

# Seconds after which a thread that may be interrupted looks whether it was, each time twice as long
# up to the second: a signal that comes in the moment before it begins to wait does not wake it, and
# on Windows none does.
_FIRST_LOOK = 0.01
_LOOK = 0.5


class Outcome(Generic[T]):
    """What becomes of something, for one thread that waits for it.

    `concurrent.futures.Future` waits by a condition, which is Python too: Ctrl-C may come between
    any two steps of it, has then "cannot release un-acquired lock" raised instead of
    KeyboardInterrupt, or leaves a lock taken for which the other thread waits. This is one lock,
    which nobody holds that could be interrupted.
    """

    def __init__(self) -> None:
        self._open = Lock()
        self._open.acquire()
        self._values: list[T] = []
        self._error: BaseException | None = None
        self.known = False

    def set(self, value: T) -> None:
        """It has become this; so with the two others, only what comes first counts."""
        if not self.known:
            self._values.append(value)
            self._tell()

    def fail(self, error: BaseException) -> None:
        """It has failed."""
        if not self.known:
            self._error = error
            self._tell()

    def give_up(self) -> None:
        """It was cancelled."""
        if not self.known:
            self._tell()

    def _tell(self) -> None:
        self.known = True
        self._open.release()

    def result(self) -> T:
        """Wait for it; to be asked once. Raises CancelledError where it was given up."""
        look = _FIRST_LOOK if get_ident() == main_thread().ident else -1
        while not self._open.acquire(timeout=look):
            look = min(2 * look, _LOOK)
        if self._values:
            return self._values.pop()
        error, self._error = self._error, None
        try:
            raise CancelledError if error is None else error
        finally:
            del error  # whose traceback has this frame


class Call(Generic[T]):
    """Work for the other thread, of which this one waits for the outcome."""

    def __init__(self) -> None:
        self._scope: anyio.CancelScope | None = None
        self._cancelled = False
        self.outcome = Outcome[T]()

    async def run(self, work: Callable[[], Awaitable[T]]) -> None:
        """Do it, unless it was cancelled before."""
        try:
            with anyio.CancelScope() as self._scope:
                if not self._cancelled:
                    self.outcome.set(await work())
        except Exception as error:
            self.outcome.fail(error)
        finally:
            self._scope = None
            self.outcome.give_up()  # nothing else has come of it

    def cancel(self) -> None:
        """End it, also where it has not begun; to be called in its own thread."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()


class Bridge:
    """A thread with an event loop, and the way there from other threads, until it is closed.

    What was begun before the end comes to an end; what comes later is refused. Without that, a
    call that arrives as the other thread stops would wait for ever. At the end of the block all
    that was begun is waited for, or cancelled where an exception leaves it.
    """

    def __init__(self, backend: str, way_in: Callable[[], Soon]) -> None:
        self._backend = backend
        self._way_in = way_in  # asked in the other thread
        self._thread = Thread(target=self._run, name=f"trio-mqtt-{backend}", daemon=True)
        self._ready = Outcome[None]()
        # One that the same thread may take again: a handler of a signal may come between.
        self._beginning = RLock()
        self._begun = deque[tuple[Call[Any], Callable[[], Awaitable[Any]]]]()
        self._closed = False
        self._ending = False
        # Of the other thread, where they are made.
        self._soon: Soon
        self._wake: anyio.Event
        self._tasks: anyio.CancelScope
        # Those that hold blocks open for threads.
        self.held: set[Call[None]] = set()

    def __enter__(self) -> Bridge:
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        self._there(self._end if kind is None else self._tasks.cancel)
        self._thread.join()

    def begin(self, call: Call[T], work: Callable[[], Awaitable[T]]) -> None:
        """Begin work there. Raises ConnectionLostError where the client is closed."""
        if get_ident() == self._thread.ident:
            raise RuntimeError("The client's own thread cannot wait for what is done in it.")
        with self._beginning:
            if self._closed:
                raise ConnectionLostError("The client is closed.")
            self._begun.append((call, work))
            self._there(self._look)

    def cancel(self, call: Call[T]) -> None:
        """End what has begun, or will begin."""
        if not call.outcome.known:
            self._there(call.cancel)

    def tell(self, event: anyio.Event) -> None:
        """Set an event of the other thread."""
        self._there(event.set)

    def close(self) -> None:
        """Begin nothing more."""
        with self._beginning:
            self._closed = True

    def leave_blocks(self) -> None:
        """Leave the blocks that threads are still in, once the client has ended."""
        self._there(self._leave_blocks)

    def _leave_blocks(self) -> None:
        for call in self.held:
            call.cancel()

    def _there(self, step: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and all that ran there
            self._soon(step)

    def _look(self) -> None:
        self._wake.set()

    def _end(self) -> None:
        self._ending = True
        self._wake.set()

    def _run(self) -> None:
        try:
            # A context of its own: that of who opened it may say which other loop runs there.
            Context().run(partial(anyio.run, self._serve, backend=self._backend))
        except BaseException as error:
            if self._ready.known:
                raise
            self._ready.fail(error)

    async def _serve(self) -> None:
        """Begin what other threads ask for, each in a task of its own."""
        self._soon = self._way_in()
        self._wake = anyio.Event()
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks.cancel_scope
                self._ready.set(None)
                while self._begun or not self._ending:
                    if not self._begun:
                        await self._wake.wait()
                        self._wake = anyio.Event()
                    while self._begun:
                        call, work = self._begun.popleft()
                        tasks.start_soon(call.run, work)
                        del call, work
        finally:
            while self._begun:
                self._begun.popleft()[0].outcome.give_up()


async def called(function: Callable[[], T]) -> T:
    """What a function returns that does not wait, called there."""
    return function()


@asynccontextmanager
async def entered(block: Callable[[], AbstractContextManager[T]]) -> AsyncIterator[T]:
    """A plain block as an asynchronous one, which the other thread can hold open."""
    with block() as value:
        yield value


class Block(Generic[T]):
    """An asynchronous block that a thread is in: one task of the other thread holds it open."""

    def __init__(self, bridge: Bridge, block: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._bridge = bridge
        self._block = block
        self._entered = Outcome[T]()
        self._holding = Call[None]()
        self._leaving: anyio.Event

    def enter(self) -> T:
        """Enter the block; whatever ends the wait here takes the entering back there."""
        try:
            self._bridge.begin(self._holding, self._hold)
            return self._entered.result()
        except CancelledError:
            raise ConnectionLostError("The client is closed.") from None
        except BaseException:
            self._bridge.cancel(self._holding)
            raise

    def leave(self) -> None:
        """Leave it, and wait for that. Where the client has ended, it is being left already."""
        self._bridge.tell(self._leaving)
        with suppress(CancelledError):
            self._holding.outcome.result()

    async def _hold(self) -> None:
        self._leaving = anyio.Event()
        self._bridge.held.add(self._holding)
        try:
            async with self._block() as value:
                self._entered.set(value)
                await self._leaving.wait()
        except Exception as error:
            if self._entered.known:
                raise
            self._entered.fail(error)
        finally:
            self._entered.give_up()  # nothing else has come of it
            self._bridge.held.discard(self._holding)


class Inlet(Generic[T]):
    """Things that come in the other thread, for threads that take them one by one.

    They are fetched by one task at a time, and only when none is here: who waits for its turn to
    fetch looks first whether the fetch before it has brought enough. So nobody waits while
    something is here, also where the thread that it was fetched for has gone away.
    """

    def __init__(
        self,
        call: Callable[[Callable[[], Awaitable[bool]], float | None], bool],
        take: Callable[[], Awaitable[list[T]]],
    ) -> None:
        self._call = call  # wait for work in the other thread, for so many seconds
        self._take = take  # at least one; StopAsyncIteration: no more will come
        self._here: deque[T] = deque()
        self._fetching: anyio.Lock | None = None

    def __len__(self) -> int:
        """How many are here."""
        return len(self._here)

    def next(self, timeout: float | None) -> T:
        """The next one. Raises TimeoutError, and StopIteration where no more will come."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return self._here.popleft()
            except IndexError:
                pass
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._call(self._fetch, left):
                raise StopIteration

    async def _fetch(self) -> bool:
        """Have something here, for any thread to take; False where no more will come."""
        if self._fetching is None:
            self._fetching = anyio.Lock()
        fetching = self._fetching
        try:
            fetching.acquire_nowait()  # what is to be had at once is had without any time
        except anyio.WouldBlock:
            await fetching.acquire()
        try:
            if not self._here:
                # Put where they are to be taken from: a caller who is gone loses none.
                self._here.extend(await self._take())
        except StopAsyncIteration:
            return False
        finally:
            fetching.release()
        return True
