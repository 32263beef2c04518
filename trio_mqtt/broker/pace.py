"""How fast one client may be: a rate of messages and one of bytes, kept by waiting.

Whoever has taken more than its rate allows is in debt until the time has passed that it would have
taken; a client that was slower before may be faster for a second.
"""

from __future__ import annotations

import math

import trio

_BURST = 1.0  # seconds' worth that may come at once
_TOLD_AGAIN = 60.0  # seconds until the log may have the same client again


class Pace:
    """The rates of one client, in one direction."""

    __slots__ = (
        "_byte_time",
        "_bytes_paid_at",
        "_may_tell_at",
        "_message_time",
        "_messages_paid_at",
        "_turn",
    )  # fmt: skip

    def __init__(self, messages: float, size: float) -> None:
        """`messages` and bytes (`size`) a second."""
        self._message_time = 1 / messages  # seconds that each takes
        self._byte_time = 1 / size
        # When all that was taken so far is paid for, on Trio's clock.
        self._messages_paid_at = self._bytes_paid_at = -math.inf
        self._may_tell_at = -math.inf
        self._turn = trio.Lock()  # first come, first served, where several tasks send to one client

    def take(self, messages: int, size: int) -> None:
        """So many messages and bytes go now, whether they are paid for or not."""
        earliest = trio.current_time() - _BURST
        self._messages_paid_at = (
            max(self._messages_paid_at, earliest) + messages * self._message_time
        )
        self._bytes_paid_at = max(self._bytes_paid_at, earliest) + size * self._byte_time

    @property
    def is_in_debt(self) -> bool:
        """Whether whoever takes more has to wait before."""
        return max(self._messages_paid_at, self._bytes_paid_at) > trio.current_time()

    async def paid(self) -> None:
        """Wait until all that was taken is paid for."""
        async with self._turn:
            # Only who has the turn takes more: nothing is added meanwhile.
            await trio.sleep_until(max(self._messages_paid_at, self._bytes_paid_at))

    def may_tell(self) -> bool:
        """Whether the log is to have it that this client waits: now and then, not each time."""
        now = trio.current_time()
        if now < self._may_tell_at:
            return False
        self._may_tell_at = now + _TOLD_AGAIN
        return True


def pace_of(messages: float, size: float) -> Pace | None:
    """The pace of a client that may have so many messages and bytes a second; None: any number."""
    return None if messages == size == math.inf else Pace(messages, size)
