"""How long messages took, where they carry the time when they were sent. Sans-IO."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

from tmqtt.messages.message import ShownMessage
from tmqtt.topics.numbers import parse_path

_PROPERTY = "property:"
_LONGEST = 100_000  # bytes of JSON that a time is looked for in
_TAIL = 64  # bytes at the end of a payload that a time is looked for in
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,9})?", re.ASCII)
# What a number counts since 1970, by how large it is: that tells from 2001 to 2286.
_UNITS = ((1e9, 1e10, 1e3), (1e12, 1e13, 1.0), (1e15, 1e16, 1e-3), (1e18, 1e19, 1e-6))

# Where a message has its time, as text or a number; None where it has none.
_Find = Callable[[ShownMessage], object]


class Latency:
    """Finds the time in messages: in the last word of the payload (`payload`), at the way to a
    field of its JSON (`.sent`), or in a user property (`property:sent`).

    The time is seconds, milliseconds, microseconds or nanoseconds since 1970, or ISO 8601. Raises
    ValueError, whose text says what is wrong with `where`.
    """

    def __init__(self, where: str) -> None:
        self._find = _find(where)

    def of(self, message: ShownMessage, moment: int) -> float | None:
        """Milliseconds from when it was sent until `moment`, in nanoseconds since 1970.

        Below 0 where the clock of its sender is ahead; None where it has no time.
        """
        sent = _milliseconds(self._find(message))
        return None if sent is None else moment / 1e6 - sent


def _find(where: str) -> _Find:
    if where == "payload":
        return _last_word
    if where.startswith(_PROPERTY) and where != _PROPERTY:
        name = where.removeprefix(_PROPERTY)
        return lambda message: next(
            (value for key, value in message.properties.get("user_property", ()) if key == name),
            None,
        )
    if not where.startswith((".", "[")):
        raise ValueError(
            f"{where!r} is nowhere in a message: write payload, .FIELD or {_PROPERTY}NAME."
        )
    path = parse_path(where)

    def field(message: ShownMessage) -> object:
        if len(message.payload) > _LONGEST:
            return None
        try:
            value = json.loads(message.payload)
            for step in path:
                if isinstance(value, dict) != isinstance(step, str):
                    return None
                value = value[step]
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        return value

    return field


def _last_word(message: ShownMessage) -> object:
    words = message.payload[-_TAIL:].split()
    return words[-1].decode(errors="replace") if words else None


def _milliseconds(value: object) -> float | None:
    """The time that a value stands for, in milliseconds since 1970."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return _from_iso(value)
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for low, high, unit in _UNITS:
        if low <= value < high:
            return value * unit
    return None


def _from_iso(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds * 1e3 if math.isfinite(seconds) else None


def column(milliseconds: float | None) -> str:
    """The latency, as wide as the usual ones; blanks where there is none."""
    return f"{f'{milliseconds:,.1f} ms' if milliseconds is not None else '':>11} "
