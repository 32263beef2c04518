"""Numbers in payloads, as people choose among them: the library finds them. Sans-IO."""

from __future__ import annotations

import json
import re
from typing import TypeAlias

from trio_mqtt.history import NumberPath
from trio_mqtt.history import number_in as number_in
from trio_mqtt.history import parse_path as parse_path

Path: TypeAlias = NumberPath

_PLAIN = re.compile(r"[^.\[\]\"]+")
_LONGEST = 100_000  # bytes of JSON that a number is looked for in
_PATHS = 50  # numbers of one payload that somebody chooses from


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
