"""Blocks that are entered by `async with` or `with`, and that say so where that was forgotten."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Generic, NoReturn, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


def _refuse(block: _Advice, *_arguments: object) -> NoReturn:
    block.refuse()


class _Advice:
    """What was not entered says what to write, whatever was done with it instead."""

    _written: str  # how the block is to be written
    _used = False

    def _sentence(self) -> str:
        return f"It is a block, write `{self._written}`."

    def refuse(self) -> NoReturn:
        """Raise what says how the block is to be written."""
        self._used = True  # an error says more than a warning would
        raise TypeError(self._sentence())

    # Type checkers are to see that none of this can be done.
    if not TYPE_CHECKING:
        __await__ = __iter__ = __aiter__ = __next__ = __anext__ = _refuse

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            self._used = True
            raise AttributeError(f"There is no {name!r} before it is entered. {self._sentence()}")

    def __del__(self) -> None:
        if not self._used:
            # The line that let go of it is where it was made, as a rule.
            warnings.warn(
                f"Nothing has been done. {self._sentence()}", RuntimeWarning, stacklevel=2
            )


class AsyncBlock(_Advice, AbstractAsyncContextManager[T], Generic[T]):
    """What `async with` enters."""

    def __init__(self, block: AbstractAsyncContextManager[T, bool | None], written: str) -> None:
        self._block = block
        self._written = written

    async def __aenter__(self) -> T:
        self._used = True
        return await self._block.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._block.__aexit__(kind, error, traceback)

    if not TYPE_CHECKING:
        __enter__ = _refuse

        def __exit__(self, *_arguments: object) -> None:
            """`with` looks for it first."""


class PlainBlock(_Advice, AbstractContextManager[T], Generic[T]):
    """What `with` enters."""

    def __init__(self, block: AbstractContextManager[T, bool | None], written: str) -> None:
        self._block = block
        self._written = written

    def __enter__(self) -> T:
        self._used = True
        return self._block.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._block.__exit__(kind, error, traceback)

    if not TYPE_CHECKING:
        __aenter__ = _refuse

        async def __aexit__(self, *_arguments: object) -> None:
            """`async with` looks for it first."""


def async_block(
    written: str,
) -> Callable[[Callable[P, AsyncIterator[T]]], Callable[P, AsyncBlock[T]]]:
    """Like `asynccontextmanager`, for a block that is to be written so."""

    def decorate(function: Callable[P, AsyncIterator[T]]) -> Callable[P, AsyncBlock[T]]:
        opened = asynccontextmanager(function)

        @wraps(function)
        def block(*args: P.args, **kwargs: P.kwargs) -> AsyncBlock[T]:
            return AsyncBlock(opened(*args, **kwargs), written)

        return block

    return decorate


def plain_block(written: str) -> Callable[[Callable[P, Iterator[T]]], Callable[P, PlainBlock[T]]]:
    """Like `contextmanager`, for a block that is to be written so."""

    def decorate(function: Callable[P, Iterator[T]]) -> Callable[P, PlainBlock[T]]:
        opened = contextmanager(function)

        @wraps(function)
        def block(*args: P.args, **kwargs: P.kwargs) -> PlainBlock[T]:
            return PlainBlock(opened(*args, **kwargs), written)

        return block

    return decorate
