"""How long to wait before the next attempt to connect, and when to give up."""

from __future__ import annotations

from trio_mqtt.records import record


@record
class Backoff:
    """How a client that lost its connection tries again: `open_client(reconnect=Backoff(...))`.

    The delays double from `first` up to `maximum`, in seconds. Each is drawn between half and all
    of its step, so that many clients of a broker that restarts do not come back in one instant.
    After `attempts` attempts in a row that led to no lasting connection, or `seconds` after the
    first of them was due, the client gives up and raises the last error; None means never.

    Raises ValueError for bounds that make no sense.
    """

    first: float = 0.1
    maximum: float = 30.0
    attempts: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.maximum:
            raise ValueError("The first delay is above 0 and at most the maximum.")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError("The least number of attempts is 1: reconnect=False makes none.")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError("The time for reconnecting is above 0 s: reconnect=False takes none.")


class Delays:
    """A series of delays as a `Backoff` describes it."""

    __slots__ = ("_began", "attempt", "backoff")

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self.attempt = 0
        self._began = 0.0

    def next_delay(self, now: float) -> float | None:
        """The seconds to wait, None where it is time to give up.

        Each call counts as one more failed attempt. `now` is in seconds of any clock.
        """
        backoff = self.backoff
        if self.attempt == 0:
            self._began = now
        if backoff.attempts is not None and self.attempt >= backoff.attempts:
            return None
        import random  # a client that connects at once does without it

        delay = self._step() * (0.5 + 0.5 * random.random())  # noqa: S311 # spread, not secrecy
        if backoff.seconds is not None:
            left = self._began + backoff.seconds - now
            if left <= 0:
                return None
            delay = min(delay, left)
        self.attempt += 1
        return delay

    def connection_ended(self, stood_for: float) -> None:
        """A connection that stood for so many seconds has ended.

        Only one that outlived the longest delay, or ten times the present one, starts the series
        anew: a connection that the broker ends at once each time must not make a tight loop.
        """
        if stood_for >= min(self.backoff.maximum, 10 * self._step()):
            self.attempt = 0

    def _step(self) -> float:
        return min(self.backoff.maximum, self.backoff.first * 2.0 ** min(self.attempt, 32))
