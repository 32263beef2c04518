"""Whether a group of changes waits a moment for acknowledgements, which may spare it the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trio_mqtt.storage.gathered import Gathered

_SHORTEST, _LONGEST = 0.001, 0.003  # seconds without an acknowledgement until it waits no more
_IN_ALL = 0.02  # seconds
_ENOUGH = 3  # times as many as are left must have been acknowledged, for the next to wait too
_PASSES = 15  # groups that do not wait, at most, after one that waited for nothing


class Settling:
    """Waits while clients acknowledge what is on its way to them.

    What they have is not written. Waiting takes no longer than being written would, as long as
    acknowledgements come; where it is not worth it, the next groups do not wait: one, three, seven
    and so on.
    """

    def __init__(self) -> None:
        self._over: trio.Event | None = None  # of the wait that is under way
        self._passes = 0  # groups that do not wait
        self._last_passes = 0
        self._patience = _SHORTEST

    def kept_in(self, seconds: float) -> None:
        """The storage has taken so long for a group."""
        self._patience += (min(max(seconds, _SHORTEST), _LONGEST) - self._patience) / 8

    def end(self) -> None:
        """What is gathered waits no more: nothing is left of it, or something that is urgent."""
        if self._over is not None:
            self._over.set()

    async def wait(self, changes: Gathered) -> None:
        """Wait until nothing is left of the changes, or it is not worth it any more."""
        if self._passes:
            self._passes -= 1
            return
        self._over = over = trio.Event()
        count = changes.taken_count
        with trio.move_on_after(_IN_ALL):
            while not over.is_set():
                with trio.move_on_after(self._patience):
                    await over.wait()
                if changes.taken_count == count:
                    break
                count = changes.taken_count
        self._over = None
        if changes.is_urgent:
            return  # which says nothing of the clients
        if changes.left * _ENOUGH <= changes.taken_count:
            self._last_passes = 0
        else:
            self._last_passes = self._passes = min(2 * self._last_passes + 1, _PASSES)
