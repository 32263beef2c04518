"""How much a payload asks of whoever decodes it, looked at before that is done. Sans-IO.

A few bytes can declare an array of billions of entries, or arrays within arrays a million deep; a
decoder that believes them runs out of time, memory or stack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

DEEPEST = 100  # arrays and the like within each other
MOST_ITEMS = 100_000
# What the head of an item may be followed by, instead of so many items.
UNTIL_BREAK: Final = -1
BREAK: Final = -2

# The head of the item at an offset: where what follows it begins, and how many items belong to it.
Head = Callable[[bytes, int], tuple[int, int]]


def check_structure(payload: bytes, head: Head) -> None:
    """Raise ValueError, whose text is the end of a sentence, for what is not to be decoded."""
    at = items = 0
    owed = 1  # items that have been announced, and did not come yet
    levels = [1]
    try:
        while levels:
            if not levels[-1]:
                levels.pop()
                continue
            at, follow = head(payload, at)
            items += 1
            if follow == BREAK:
                if levels.pop() != UNTIL_BREAK:
                    raise ValueError("a break stands where nothing is to end")
                continue
            if levels[-1] > 0:
                levels[-1] -= 1
                owed -= 1
            if follow:
                levels.append(follow)
                owed += max(follow, 0)
            if owed > len(payload) - at:
                raise ValueError("it ends too early")
            if len(levels) > DEEPEST:
                raise ValueError(f"it is nested deeper than {DEEPEST} levels")
            if items > MOST_ITEMS:
                raise ValueError(f"it has more than {MOST_ITEMS:,} items")
    except IndexError:
        raise ValueError("it ends too early") from None
    if at < len(payload):
        raise ValueError(f"bytes follow its end ({len(payload) - at:,})")
