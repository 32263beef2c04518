"""Durations as people write them: `500ms`, `3s`, `5m`, `1h`, `2d`."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)


def parse_duration(text: str) -> float:
    """The seconds that `text` names, always more than none.

    Raises ValueError, whose text says what is wrong and shows a right one.
    """
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit (ms, s, m, h, d),"
            " for example 500ms or 3s."
        )
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds < 0.001:
        raise ValueError(f"{text!r} is too short: the shortest duration is 1ms.")
    return seconds


def parse_seconds(text: str, maximum: int) -> int:
    """Whole seconds, as MQTT counts them; a number without a unit is seconds too.

    Raises ValueError where there are more than `maximum`.
    """
    seconds = int(text) if _SECONDS.fullmatch(text) else round(parse_duration(text) + 0.499)
    if seconds > maximum:
        raise ValueError(f"{text!r} is too long: at most {maximum} seconds are possible.")
    return seconds
