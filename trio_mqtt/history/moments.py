"""Moments as people name them: how long ago, a date and a time, or seconds since 1970. Sans-IO."""

from __future__ import annotations

import math
from datetime import datetime, tzinfo

from trio_mqtt.quantities import parse_duration


def parse_moment(text: str, now: float, zone: tzinfo | None = None) -> float:
    """The moment that `text` names, in seconds since 1970: `2h` ago, `2026-11-29T12:00`, a number.

    A time without a zone is one of `zone`; of this machine's, if there is none. Raises ValueError,
    whose text says what is wrong.
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(moment) and abs(moment) < 1e12:
            return moment
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo is not None else when.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no moment: write how long ago (2h), a time (2026-11-29T12:00), or seconds"
            " since 1970."
        ) from None
