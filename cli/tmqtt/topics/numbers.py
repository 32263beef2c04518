"""Numbers in payloads: the payload itself, or a field of its JSON. Sans-IO."""

from __future__ import annotations

import json
import math
import re

_STEP = re.compile(r"\.([^.\[\]\"]+)|\[(\d{1,9})\]|\.?\[?\"((?:[^\"\\]|\\.)*)\"\]?")
_PLAIN = re.compile(r"[^.\[\]\"]+")
_LONGEST = 100_000  # bytes of JSON that a number is looked for in
_LONGEST_NUMBER = 40
_PATHS = 50  # numbers of one payload that somebody chooses from

Path = tuple[str | int, ...]


def parse_path(text: str) -> Path:
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


def written(path: Path) -> str:
    """The way to a field as `parse_path` reads it."""
    steps = [
        f"[{step}]"
        if isinstance(step, int)
        else (f".{step}" if _PLAIN.fullmatch(step) else f".{json.dumps(step, ensure_ascii=False)}")
        for step in path
    ]
    return "".join(steps)


def paths_in(payload: bytes) -> list[Path]:
    """The ways to the first numbers in a payload: none, itself, or those in its JSON."""
    if number_in(payload) is not None:
        return [()]
    if len(payload) > _LONGEST or payload.lstrip()[:1] not in (b"{", b"["):
        return []
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return []
    found: list[Path] = []
    waiting: list[tuple[Path, object]] = [((), value)]
    while waiting and len(found) < _PATHS:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, name), inner) for name, inner in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [((*path, at), value[at]) for at in reversed(range(min(len(value), _PATHS)))]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(path)
    return found


def number_in(payload: bytes, path: Path = ()) -> float | None:
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
