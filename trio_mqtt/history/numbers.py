"""Numbers in payloads: the payload itself, or a field of its JSON. Sans-IO."""

from __future__ import annotations

import json
import math
import re

_STEP = re.compile(r"\.([^.\[\]\"]+)|\[(\d{1,9})\]|\.?\[?\"((?:[^\"\\]|\\.)*)\"\]?")
_LONGEST = 100_000  # bytes of JSON that a number is looked for in
_LONGEST_NUMBER = 40

NumberPath = tuple[str | int, ...]


def parse_path(text: str) -> NumberPath:
    """The way to a field of JSON: `.temperature`, `.rooms[0].t`, `."with space"`.

    Raises ValueError, whose text says what is wrong.
    """
    steps: list[str | int] = []
    at = 0
    source = text if text.startswith((".", "[")) else f".{text}"
    while at < len(source) and source != ".":
        found = _STEP.match(source, at)
        if not found:
            raise ValueError(
                f'{text!r} is not the way to a field: write .temperature, .rooms[0].t or ."a b".'
            )
        name, index, quoted = found.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(name if name is not None else json.loads(f'"{quoted}"'))
        at = found.end()
    return tuple(steps)


def number_in(payload: bytes, path: NumberPath = ()) -> float | None:
    """The number that the payload is, or that stands at `path` in its JSON."""
    if not path:
        if not 0 < len(payload) <= _LONGEST_NUMBER:
            return None
        try:
            number = float(payload)
        except ValueError:
            return None
        return number if math.isfinite(number) else None
    if len(payload) > _LONGEST:
        return None
    try:
        value = json.loads(payload)
        for step in path:
            if isinstance(value, dict) != isinstance(step, str):
                return None
            value = value[step]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
