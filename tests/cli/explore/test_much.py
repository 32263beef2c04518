"""With 20,000 topics no key and no look does much: counted in lines of Python that run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from tmqtt.explore.explorer import Explorer
from tmqtt.terminal import keys
from tmqtt.terminal.sparkline import BARS

from trio_mqtt import Message

MANY = 20_000
# Lines for a key with its frame, or for a look: about ten milliseconds.
MOST = 150_000


def steps_of(do: Callable[[], object]) -> int:
    """How many lines of Python run."""
    count = 0

    def local(_frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 # as it is
        nonlocal count
        count += event == "line"
        return local

    before = sys.gettrace()
    sys.settrace(local)
    try:
        do()
    finally:
        sys.settrace(before)
    return count


def topics(shape: str) -> list[Message]:
    names = {
        "flat": [f"device-{number:05}" for number in range(MANY)],
        "wide": [f"home/room-{number % 200}/{number}" for number in range(MANY)],
        "deep": [
            f"a/{number % 10}/{number % 100}/{number % 1000}/{number}/t" for number in range(MANY)
        ],
    }[shape]
    return [Message(name, b'{"t": 21}', 0, False, False, {}) for name in names]


@pytest.mark.parametrize("shape", ["flat", "wide", "deep"])
def test_nothing_stutters_with_20_000_topics(shape: str) -> None:
    explorer = Explorer("# at here", 0.0, None, BARS)
    explorer.add_all(topics(shape), 0.0)
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        explorer.look(1.0)
        explorer.frame(1.0, 120, 40)

    def press(key: str) -> None:
        explorer.press(key)
        explorer.frame(1.0, 120, 40)

    def catch_up() -> None:
        while explorer.is_behind:
            assert steps_of(look) < MOST

    catch_up()  # what has come is taken in parts
    assert 1 < looks < 100
    typed = (
        "e", keys.END, keys.PAGE_UP, keys.HOME, keys.PAGE_DOWN, keys.PAGE_DOWN, keys.LEFT,
        keys.RIGHT, "c", keys.ENTER, keys.DOWN, keys.ENTER, keys.DOWN, keys.ENTER, "/", "1", "9",
        keys.BACKSPACE, keys.BACKSPACE, "/", "t", keys.ENTER, keys.END, keys.PAGE_UP, keys.ESCAPE,
    )  # fmt: skip
    for key in typed:
        assert steps_of(partial(press, key)) < MOST, key
        explorer.add_all(topics(shape)[:3_000], 2.0)  # while messages come
        assert steps_of(look) < MOST, key
    press("/")
    press("9")
    before = looks
    catch_up()
    assert looks - before < 100
    press(keys.END)
    shown = "\n".join("".join(text for text, _ in line) for line in explorer.frame(1.0, 80, 40))
    assert "9" in shown
