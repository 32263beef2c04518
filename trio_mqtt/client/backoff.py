"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Exponential backoff with jitter: seconds that double from `minimum` up to `maximum`.

    Each delay is drawn between half and all of its step, so that many clients of a broker that
    restarts do not come back in one instant.
    """

    minimum: float = 0.1
    maximum: float = 30.0
    attempt: int = 0

    def next_delay(self) -> float:
        """The seconds to wait now; each call counts as one more failed attempt."""
        step = min(self.maximum, self.minimum * 2.0 ** min(self.attempt, 32))
        self.attempt += 1
        return step * (0.5 + 0.5 * random.random())  # noqa: S311 # spread, not secrecy

    def connection_ended(self, stood_for: float) -> None:
        """A connection that stood for so many seconds has ended.

        Only one that outlived the longest delay, or ten times the present one, starts the series
        anew: a connection that the broker ends at once each time must not make a tight loop.
        """
        step = self.minimum * 2.0 ** min(self.attempt, 32)
        if stood_for >= min(self.maximum, 10 * step):
            self.attempt = 0
