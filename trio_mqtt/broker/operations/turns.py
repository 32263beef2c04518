"""Much that is gone through and sorted, with short turns; and parts of a list.

Each of these ends with the others' turn, so that what comes next begins with one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from trio_mqtt.broker.turns import ShortTurn

if TYPE_CHECKING:
    from trio_mqtt.broker.operations.forms.pages import PageQuery

T = TypeVar("T")
U = TypeVar("U")

# Between two looks at the clock: of what is only looked at, and of what something is made of.
_LOOKED_AT = 16
_MADE = 2
_SORTED_AT_ONCE = 128  # less than a third of a millisecond


async def chosen(items: Sequence[T], is_wanted: Callable[[T], bool]) -> list[T]:
    """Those of the items that are wanted."""
    found: list[T] = []
    turn = ShortTurn()
    for number, item in enumerate(items):
        if is_wanted(item):
            found.append(item)
        if not number % _LOOKED_AT and turn.is_over:
            await turn.give_way()
    await turn.give_way()
    return found


async def made(items: Sequence[T], make: Callable[[T], U]) -> tuple[U, ...]:
    """What is made of each of the items."""
    found: list[U] = []
    turn = ShortTurn()
    for number, item in enumerate(items):
        found.append(make(item))
        if not number % _MADE and turn.is_over:
            await turn.give_way()
    await turn.give_way()
    return tuple(found)


async def ordered(
    items: Sequence[T], key: Callable[[T], Any], query: PageQuery, *, descending: bool = False
) -> list[T]:
    """The part that is asked for of a list that is to be sorted by `key`.

    Sorting 10,000 at once would keep everybody waiting for 12 ms: so runs of them are sorted, and
    merged as far as the part goes.
    """
    turn = ShortTurn()
    runs: list[list[T]] = []
    for first in range(0, len(items), _SORTED_AT_ONCE):
        some = items[first : first + _SORTED_AT_ONCE]
        runs.append(sorted(some, key=key, reverse=descending))
        if turn.is_over:
            await turn.give_way()
    found: list[T] = []
    merged = merge(*runs, key=key, reverse=descending)
    end = min(query.offset + query.limit, len(items))
    for number, item in enumerate(islice(merged, end)):
        if number >= query.offset:
            found.append(item)
        if not number % _MADE and turn.is_over:
            await turn.give_way()
    await turn.give_way()
    return found


def page(items: Sequence[T], query: PageQuery) -> Sequence[T]:
    """The part of a list that is asked for."""
    return items[query.offset : query.offset + query.limit]
