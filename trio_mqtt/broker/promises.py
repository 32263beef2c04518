"""Who waits for what clients are promised: the ways to them, and tasks of the program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import trio

_RELEASED_AT_ONCE = 64  # outlets, which takes about a millisecond


class Held(Protocol):
    """The way to a client, on which nothing leaves before a group is kept."""

    def release(self, group: int) -> None:
        """All groups up to this one are kept."""


class Follower(Protocol):
    """Who waits until something has been done."""

    def go_on(self) -> None:
        """It has been, or never will be."""


class Awaited:
    """Something that is promised and that others are to do, such as the nodes of a cluster."""

    __slots__ = ("_followers", "is_over")

    def __init__(self) -> None:
        self.is_over = False
        self._followers: dict[Follower, None] = {}

    def follow(self, follower: Follower) -> None:
        """Have `follower` told when it is done; it is not yet."""
        self._followers[follower] = None

    def forget(self, follower: Follower) -> None:
        """One waits no more."""
        self._followers.pop(follower, None)

    async def wait(self) -> None:
        """Wait until it is done."""
        if not self.is_over:
            waiting = Waiting()
            self.follow(waiting)
            try:
                await waiting.is_over.wait()
            finally:
                self.forget(waiting)

    def end(self) -> None:
        """It is done, or is waited for no longer."""
        self.is_over = True
        followers, self._followers = self._followers, {}
        for follower in followers:
            follower.go_on()


class _All(Awaited):
    """Is over when several others are."""

    __slots__ = ("_left",)

    def __init__(self, others: Sequence[Awaited]) -> None:
        super().__init__()
        self._left = len(others)
        for one in others:
            one.follow(self)

    def go_on(self) -> None:
        """One of them is over."""
        self._left -= 1
        if not self._left:
            self.end()


def all_of(awaited: Iterable[Awaited | None]) -> Awaited | None:
    """What is over when all of these are; None if there is nothing to wait for."""
    left = [one for one in awaited if one is not None and not one.is_over]
    if len(left) > 1:
        return _All(left)
    return left[0] if left else None


class Waiting:
    """A task that waits for a group, or for something that others do."""

    def __init__(self) -> None:
        self.is_over = trio.Event()

    def release(self, group: int) -> None:
        self.is_over.set()

    def go_on(self) -> None:
        self.is_over.set()


class Promises:
    """Those who wait for the group that is gathered, and for the one that is being kept."""

    def __init__(self) -> None:
        self._gathered: dict[Held, None] = {}
        self._keeping: dict[Held, None] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits for the group that is gathered."""
        return bool(self._gathered)

    def wait(self, held: Held) -> None:
        """Wait for the group that is gathered."""
        self._gathered[held] = None

    def wait_for_keeping(self, held: Held) -> None:
        """Wait for the group that is being kept."""
        self._keeping[held] = None

    def forget(self, held: Held) -> None:
        """One waits no more."""
        self._gathered.pop(held, None)
        self._keeping.pop(held, None)

    def keep(self) -> None:
        """The group that was gathered is being kept from now on."""
        self._keeping, self._gathered = self._gathered, {}

    async def fulfil(self, group: int) -> None:
        """The group is kept: let go of who waits for it."""
        for count, held in enumerate(tuple(self._keeping), 1):
            if held in self._keeping:  # it may have gone meanwhile
                del self._keeping[held]
                held.release(group)
            if not count % _RELEASED_AT_ONCE:
                await trio.lowlevel.checkpoint()

    def end(self, group: int) -> None:
        """No more groups are kept than up to this one: who waits for another waits in vain."""
        for held in (*self._keeping, *self._gathered):
            held.release(group)
