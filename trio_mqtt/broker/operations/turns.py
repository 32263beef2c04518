"""Much that is gone through, with turns of a millisecond; and parts of a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from trio_mqtt.broker.turns import Turn

if TYPE_CHECKING:
    from trio_mqtt.broker.operations.forms.pages import PageQuery

T = TypeVar("T")
U = TypeVar("U")

_AT_ONCE = 16  # between two looks at the clock


async def chosen(items: Sequence[T], is_wanted: Callable[[T], bool]) -> list[T]:
    """Those of the items that are wanted."""
    found: list[T] = []
    turn = Turn()
    for number, item in enumerate(items):
        if is_wanted(item):
            found.append(item)
        if not number % _AT_ONCE and turn.is_over:
            await turn.give_way()
    return found


async def made(items: Sequence[T], make: Callable[[T], U]) -> tuple[U, ...]:
    """What is made of each of the items."""
    found: list[U] = []
    turn = Turn()
    for number, item in enumerate(items):
        found.append(make(item))
        if not number % _AT_ONCE and turn.is_over:
            await turn.give_way()
    return tuple(found)


def page(items: Sequence[T], query: PageQuery) -> Sequence[T]:
    """The part of a list that is asked for."""
    return items[query.offset : query.offset + query.limit]
