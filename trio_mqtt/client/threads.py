"""How threads wait for what an asynchronous client does in a thread of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    suppress,
)
from threading import RLock
from typing import Generic, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from trio_mqtt.errors import ConnectionLostError

T = TypeVar("T")


class Bridge:
    """The way from threads into the client's own, until that is closed.

    What was begun before the end comes to an end; what comes later is refused. Without that, a
    call that arrives as the other thread stops would wait for ever.
    """

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        # One that the same thread may take again: a handler of a signal may come between.
        self._beginning = RLock()
        self._closed = False
        # Of the tasks that hold blocks open for threads.
        self.held: set[anyio.CancelScope] = set()

    def begin(self, work: Callable[[], Awaitable[T]]) -> Future[T]:
        """Begin work there. Raises ConnectionLostError where the client is closed."""
        with self._beginning:
            if self._closed:
                raise ConnectionLostError("The client is closed.")
            return self._portal.start_task_soon(work)

    def close(self) -> None:
        """Begin nothing more."""
        with self._beginning:
            self._closed = True

    def leave_blocks(self) -> None:
        """Leave the blocks that threads are still in, once the client has ended."""
        self._portal.call(self._leave_blocks)

    def _leave_blocks(self) -> None:
        for scope in list(self.held):
            scope.cancel()


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
        self._entered: Future[T] = Future()
        self._over: Future[None]
        self._leaving: anyio.Event
        self._scope: anyio.CancelScope | None = None
        self._given_up = False

    def enter(self) -> T:
        """Enter the block; whatever ends the wait here takes the entering back there."""
        try:
            self._over = self._bridge.begin(self._run)
            return self._entered.result()
        except CancelledError:
            raise ConnectionLostError("The client is closed.") from None
        except BaseException:
            with suppress(ConnectionLostError):
                self._bridge.begin(self._give_up)
            raise

    def leave(self) -> None:
        """Leave it, and wait for that. Where the client has ended, it is being left already."""
        with suppress(ConnectionLostError):
            self._bridge.begin(self._leave)
        with suppress(CancelledError):
            self._over.result()

    async def _give_up(self) -> None:
        self._given_up = True
        if self._scope is not None:
            self._scope.cancel()

    async def _leave(self) -> None:
        self._leaving.set()

    async def _run(self) -> None:
        if self._given_up:
            return
        self._leaving = anyio.Event()
        with anyio.CancelScope() as scope:
            self._scope = scope
            self._bridge.held.add(scope)
            try:
                async with self._block() as value:
                    self._entered.set_result(value)
                    await self._leaving.wait()
            except Exception as error:
                if self._entered.done():
                    raise
                self._entered.set_exception(error)
            finally:
                self._entered.cancel()  # nothing else has come of it
                self._bridge.held.discard(scope)


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
