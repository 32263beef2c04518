"""Whether the broker keeps up, and has memory left: looked at now and then, by a timer.

Beyond a bound, new clients are turned away. Where the broker is late, messages of QoS 0 go nowhere;
where its memory is nearly used up, long queues take no more, and nothing is retained anew: who
takes what comes for it has no part in that, and what nobody fetches keeps nobody out. It ends by
itself, some way below the bound.
"""

from __future__ import annotations

import ctypes
import logging
import math
import mmap
import sys
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.broker.timers import Timers

logger = logging.getLogger("trio_mqtt.broker")

_OFTEN = 0.25  # seconds between two looks at the memory, which can grow by 100 MB meanwhile
_SELDOM = 10.0  # seconds between two looks where nothing is bounded, as that may change
# Giving free memory back takes some 0.2 ms a MB, in which nobody is served: seconds until it is
# tried again, where it was of no use; each time twice as long.
_FIRST_AGAIN, _LAST_AGAIN = 5.0, 320.0
_RECOVERED_LAG, _RECOVERED_MEMORY = 0.5, 0.95  # parts of the bounds
# The part of the memory that what waits and what is retained may fill, which may stay for ever: the
# rest is for who connects.
_KEPT_MEMORY = 0.9
# The parts up to which it is told that little is left of that, and from which on there is enough:
# what grows by half of what is left at most comes near the end, and may never be beyond it.
_LITTLE_LEFT, _ENOUGH_LEFT = 0.05, 0.1
_PAGE = mmap.PAGESIZE
_MIB = 1024 * 1024

TOO_LATE = "the broker does not keep up: try again later"
NO_MEMORY = "the broker has no memory left: try again later"


class Load:
    """How one broker fares.

    `is_late` and `is_full` say that it does not keep up, and that it holds as much as it may;
    `is_sparing`, that there is little left of that; `room`, by how many bytes what it keeps for
    clients may grow. `changed` is called whenever that has been looked at.
    """

    __slots__ = ("_again", "_changed", "_due", "_give_back_at", "_held", "_limits", "_statistics",
                 "_timers", "is_full", "is_late", "is_sparing", "room")  # fmt: skip

    def __init__(
        self,
        limits: Limits,
        statistics: Statistics,
        timers: Timers,
        held: Callable[[], int],
        changed: Callable[[Load], None],
    ) -> None:
        """`held` gives the bytes that clients make the broker hold, as it counts them itself."""
        self._limits = limits
        self._statistics = statistics
        self._timers = timers
        self._held = held
        self._changed = changed
        self._due = 0.0
        self._give_back_at, self._again = -math.inf, _FIRST_AGAIN
        self.is_late = self.is_full = self.is_sparing = False
        self.room = math.inf

    def begin(self) -> None:
        """The broker begins: from now on it is looked at."""
        self._due = trio.current_time()
        self._look()

    @property
    def reason(self) -> str | None:
        """Why new clients are turned away, in words; None if they are not."""
        if self.is_late:
            return TOO_LATE
        return NO_MEMORY if self.is_full else None

    def _wait(self) -> None:
        limits = self._limits
        seconds = min(_SELDOM, limits.maximum_loop_lag / 4)
        if limits.maximum_memory < math.inf:
            seconds = min(seconds, _OFTEN)
        self._due = trio.current_time() + seconds
        self._timers.after(seconds, self._look)

    def _look(self) -> None:
        limits, statistics = self._limits, self._statistics
        # The timer is as late as everybody else who waits.
        statistics.loop_lag = lag = max(0.0, trio.current_time() - self._due)
        was_late, was_full, was_sparing = self.is_late, self.is_full, self.is_sparing
        self.is_late = lag > limits.maximum_loop_lag * (_RECOVERED_LAG if was_late else 1)
        statistics.memory = memory = self._memory()
        kept = limits.maximum_memory * _KEPT_MEMORY
        if memory > kept and self._give_back():
            statistics.memory = memory = self._memory()
        self.is_full = memory > limits.maximum_memory * (_RECOVERED_MEMORY if was_full else 1)
        self.room = max(0.0, kept - memory)
        if self.room:
            self._again = _FIRST_AGAIN
        left = _ENOUGH_LEFT if was_sparing else _LITTLE_LEFT
        self.is_sparing = self.room < limits.maximum_memory * left
        if self.is_sparing is not was_sparing:
            self._tell_sparing(memory)
        if self.is_late is not was_late:
            self._tell_late(lag)
        if self.is_full is not was_full:
            self._tell_full(memory)
        self._changed(self)
        self._wait()

    def _memory(self) -> int:
        resident = resident_memory()
        return self._held() if resident is None else resident

    def _give_back(self) -> bool:
        """Have the system get back what is free within the process; whether that was tried."""
        now = trio.current_time()
        if _trim is None or now < self._give_back_at:
            return False
        self._give_back_at = now + self._again
        self._again = min(2 * self._again, _LAST_AGAIN)
        _trim(0)
        return True

    def _tell_late(self, lag: float) -> None:
        if self.is_late:
            self._statistics.overloads += 1
            logger.warning(
                "The broker does not keep up: it is %.1f s late. New clients are turned away, and"
                " messages of QoS 0 dropped",
                lag,
            )
        else:
            logger.info("The broker keeps up again: it is %.1f s late", lag)

    def _tell_sparing(self, memory: int) -> None:
        if self.is_sparing:
            logger.warning(
                "The broker holds %d MiB of the %d that limits.maximum_memory allows: long queues"
                " grow hardly any longer and, from %.0f%% on, take no more, and nothing is retained"
                " anew",
                memory // _MIB,
                self._limits.maximum_memory // _MIB,
                100 * _KEPT_MEMORY,
            )
        else:
            logger.info("The broker holds %d MiB: what waits may grow again", memory // _MIB)

    def _tell_full(self, memory: int) -> None:
        if self.is_full:
            self._statistics.overloads += 1
            logger.warning(
                "The broker holds %d MiB, more than limits.maximum_memory. New clients are turned"
                " away, long queues take no more, and nothing is retained anew",
                memory // _MIB,
            )
        else:
            logger.info("The broker holds %d MiB: it has memory again", memory // _MIB)


def resident_memory() -> int | None:
    """Bytes of memory that the process occupies; None where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError):
        return None


def _find_trim() -> Callable[[int], int] | None:
    """The C library's own way to give back free memory, where it has one (glibc)."""
    if sys.platform != "linux":
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim


_trim = _find_trim()
