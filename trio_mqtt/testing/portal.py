"""From any thread, and any event loop, to the Trio that runs in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio
import trio

T = TypeVar("T")


class Portal:
    """What is asked for is done in tasks of a nursery, one for each call."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self._token = trio.lowlevel.current_trio_token()
        self._pending: dict[Future[object], None] = {}
        self._is_over = False

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have something done, and wait for it in this thread."""
        __tracebackhide__ = True
        future, cancel = self._begin(work)
        try:
            return _result_of(future)
        except BaseException:
            cancel()  # Ctrl-C, while nobody else waits for it
            raise

    async def acall(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have something done, and wait for it in this task, on Trio or asyncio."""
        __tracebackhide__ = True
        future, cancel = self._begin(work)
        done = anyio.Event()
        future.add_done_callback(partial(_wake, _setting(done)))
        try:
            await done.wait()
        except BaseException:
            cancel()
            raise
        return _result_of(future)

    def end(self) -> None:
        """Nothing is done any more: whoever waits still is told so."""
        self._is_over = True
        for future in list(self._pending):
            if not future.done():
                future.set_exception(_over())

    def _begin(self, work: Callable[[], Awaitable[T]]) -> tuple[Future[T], Callable[[], None]]:
        future: Future[T] = Future()
        scope = trio.CancelScope()

        async def run() -> None:
            self._pending[future] = None  # type: ignore[index]  # of whatever type
            error: Exception = _over()  # where it is cancelled
            try:
                with scope:
                    result = await work()
                    if not future.done():
                        future.set_result(result)
            except Exception as raised:
                error = raised
            finally:
                del self._pending[future]  # type: ignore[arg-type]
                if not future.done():
                    future.set_exception(error)

        def begin() -> None:
            if self._is_over:
                future.set_exception(_over())
            else:
                self.nursery.start_soon(run)

        try:
            self._token.run_sync_soon(begin)
        except trio.RunFinishedError:
            raise _over() from None

        def cancel() -> None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(scope.cancel)

        return future, cancel


def _result_of(future: Future[T]) -> T:
    __tracebackhide__ = True
    try:
        return future.result()
    except AssertionError as error:
        # How a test is told is the broker's thread's business, of no use to who reads it.
        raise AssertionError(*error.args) from None


def _over() -> RuntimeError:
    return RuntimeError("The broker of the test has ended.")


def _setting(event: anyio.Event) -> Callable[[], object]:
    """What sets an event of this event loop from another thread."""
    if trio.lowlevel.in_trio_run():
        return partial(trio.lowlevel.current_trio_token().run_sync_soon, event.set)
    return partial(asyncio.get_running_loop().call_soon_threadsafe, event.set)


def _wake(set_event: Callable[[], object], _: object) -> None:
    with suppress(trio.RunFinishedError, RuntimeError):  # whoever waited is gone with its loop
        set_event()
