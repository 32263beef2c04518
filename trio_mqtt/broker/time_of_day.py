"""What the broker's own clock says, as a time of day, which is all that the next broker has."""

from __future__ import annotations

import time

import trio

_SET = 1.0  # seconds by which the time of day must have been set to be followed


class TimeOfDay:
    """`epoch` is what to add to the broker's clock, which begins anywhere."""

    __slots__ = ("epoch",)

    def __init__(self) -> None:
        self.epoch = _epoch()

    @property
    def was_set(self) -> bool:
        """Whether somebody has set it since, or the machine has slept."""
        return abs(_epoch() - self.epoch) > _SET

    def follow(self) -> float:
        """Go by the time of day as it is now; the seconds by which it was set."""
        epoch = _epoch()
        seconds, self.epoch = epoch - self.epoch, epoch
        return seconds


def _epoch() -> float:
    return time.time() - trio.current_time()
