"""JSON for people: its tokens in colours, and what changed since the last time lit. Sans-IO."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from tmqtt.terminal.escaping import escape, escape_json
from tmqtt.terminal.looks import Line, Part

KEY = "blue"
TEXT = "green"
NUMBER = "cyan"
WORD = "magenta"  # true, false, null
MARK = "dim"
LIT = "reverse"
_INDENT = "  "


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Object(list[tuple[str, Any]]):
    """An object whose names may repeat, in the order in which they came."""

    __slots__ = ()


class _Nothing:
    """What was there where nothing was."""


NOTHING = _Nothing()
# Everything is new, and nothing of it is lit: the first message of a topic.
FIRST = _Nothing()


def parse(text: str) -> Any:  # noqa: ANN401 # any JSON
    """JSON with numbers as they are written. Raises ValueError."""
    try:
        return json.loads(
            text,
            object_pairs_hook=Object,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise ValueError("too deep") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def one_line(value: Any, before: Any = FIRST) -> Line:  # noqa: ANN401 # any JSON
    """The value in one line."""
    return list(_flat(value, before))


def lines(value: Any, before: Any = FIRST) -> list[Line]:  # noqa: ANN401 # any JSON
    """The value with a line for each field."""
    found: list[list[Part]] = [[]]
    _tall(value, before, 0, found)
    return list(found)


def _flat(value: Any, before: Any) -> Iterator[Part]:  # noqa: ANN401 # any JSON
    if isinstance(value, Object):
        yield "{", MARK
        for number, (name, inner) in enumerate(value):
            if number:
                yield ", ", MARK
            yield from _name(name, before)
            yield from _flat(inner, _before(before, name))
        yield "}", MARK
    elif isinstance(value, list):
        yield "[", MARK
        for number, inner in enumerate(value):
            if number:
                yield ", ", MARK
            yield from _flat(inner, _before(before, number))
        yield "]", MARK
    else:
        yield _leaf(value, before)


def _tall(value: Any, before: Any, depth: int, found: list[list[Part]]) -> None:  # noqa: ANN401
    if not (isinstance(value, list) and value):
        found[-1] += _flat(value, before)
        return
    is_object = isinstance(value, Object)
    found[-1].append(("{" if is_object else "[", MARK))
    for number, item in enumerate(value):
        found.append([(_INDENT * (depth + 1), "")])
        if is_object:
            name, inner = item
            found[-1] += _name(name, before)
            then = _before(before, name)
        else:
            inner, then = item, _before(before, number)
        _tall(inner, then, depth + 1, found)
        if number < len(value) - 1:
            found[-1].append((",", MARK))
    found.append([(_INDENT * depth, ""), ("}" if is_object else "]", MARK)])


def _name(name: str, before: Any) -> Iterator[Part]:  # noqa: ANN401 # any JSON
    is_new = before is not FIRST and _before(before, name) is NOTHING
    yield _quoted(name), f"{KEY} {LIT}" if is_new else KEY
    yield ": ", MARK


def _leaf(value: Any, before: Any) -> Part:  # noqa: ANN401 # any JSON
    if isinstance(value, Number):
        text, style = escape(value), NUMBER
    elif isinstance(value, str):
        text, style = _quoted(value), TEXT
    else:
        text, style = json.dumps(value), WORD
    same = before is FIRST or (type(before) is type(value) and before == value)
    return text, style if same else f"{style} {LIT}"


def _before(before: Any, step: str | int) -> Any:  # noqa: ANN401 # any JSON
    """What stood at `step` before."""
    if before is FIRST:
        return FIRST
    if isinstance(before, Object):
        for name, value in before:
            if name == step:
                return value
    elif isinstance(before, list) and isinstance(step, int) and step < len(before):
        return before[step]
    return NOTHING


def _quoted(text: str) -> str:
    return escape_json(json.dumps(text, ensure_ascii=False))
