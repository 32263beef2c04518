"""Answers as JSON, piece by piece: of ten thousand users nobody is to wait for the whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from trio_mqtt.broker.access.dynamic.views import Views

_AT_ONCE = 32  # of a list: what a piece has at most
_MOST = 256  # values in all
_LONG = 256  # characters of a text that count as one more


def pieces(value: object) -> Iterator[str]:
    """The texts that, one after the other, are a value as JSON; each is made when it is taken."""
    if _is_short(value):
        yield _text(value)
    elif isinstance(value, Mapping):
        before = "{"
        for key, one in value.items():
            yield f"{before}{_text(key)}:"
            yield from pieces(one)
            before = ","
        yield "}"
    elif isinstance(value, list | tuple | Views):
        before = "["
        for first in range(0, len(value), _AT_ONCE):
            some = value[first : first + _AT_ONCE]
            if _is_short(some):
                yield before + _text(some)[1:-1]
                before = ","
                continue
            for one in some:
                yield before
                yield from pieces(one)
                before = ","
        yield "]"


def _is_short(value: object) -> bool:
    """Whether a value is little enough for one piece, with all that is in it."""
    return _left(value, _MOST) >= 0


def _left(value: object, most: int) -> int:
    """How many more values there may be beside one and those in it; below 0, it has too many."""
    if isinstance(value, str):
        return most - len(value) // _LONG
    if isinstance(value, Mapping):
        inner: Iterable[object] = value.values()
    elif isinstance(value, list | tuple | Views):
        inner = value
    else:
        return most
    most -= len(value)
    if most >= 0:
        for one in inner:
            most = _left(one, most)
            if most < 0:
                break
    return most


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), default=list)  # what is no list yet is Views
