"""Answers as JSON, piece by piece: of ten thousand users nobody is to wait for the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from trio_mqtt.broker.access.dynamic.views import Views

_AT_ONCE = 32  # of a list: what a piece has


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
    """Whether no list in a value has more than one piece has."""
    if isinstance(value, Mapping):
        return all(map(_is_short, value.values()))
    if isinstance(value, list | tuple | Views):
        return len(value) <= _AT_ONCE and all(map(_is_short, value))
    return True


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), default=list)  # what is no list yet is Views
