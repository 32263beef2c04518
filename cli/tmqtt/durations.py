"""Durations as people write them: `500ms`, `3s`, `5m`, `1h`."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)", re.ASCII)


def parse_duration(text: str) -> float:
    """The seconds that `text` names, always more than none.

    Raises ValueError, whose text says what is wrong and shows a right one.
    """
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit (ms, s, m, h),"
            " for example 500ms or 3s."
        )
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds < 0.001:
        raise ValueError(f"{text!r} is too short: the shortest duration is 1ms.")
    return seconds
