"""What only Linux has, by functions that are there on every system: elsewhere they raise OSError.

epoll(7) waits for many sockets that are registered once, eventfd(2) is a bell to wait for.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from typing import Protocol

if sys.platform == "linux":
    READABLE, AT_EDGES_ONLY = select.EPOLLIN, select.EPOLLET
else:  # nobody gets as far as to use them
    READABLE = AT_EDGES_ONLY = 0


class Epoll(Protocol):
    """What is used of `select.epoll`."""

    def fileno(self) -> int: ...
    def register(self, fd: int, eventmask: int) -> None: ...
    def modify(self, fd: int, eventmask: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def poll(self, timeout: float, maxevents: int) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


def open_epoll() -> Epoll:
    """Raises OSError where the system has none, or no more of them."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only Linux has epoll")
    return select.epoll()


def open_bell() -> int:
    """A descriptor that can be read from once it was rung. Raises OSError."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only Linux has eventfd")
    return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def ring(bell: int) -> None:
    """Have the bell be readable, from any thread."""
    if sys.platform == "linux":
        os.eventfd_write(bell, 1)


def silence(bell: int) -> None:
    """Have it be so no more. Raises BlockingIOError where nobody has rung."""
    if sys.platform == "linux":
        os.eventfd_read(bell)
