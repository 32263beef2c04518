"""A TCP port of this machine that stays the test's, whether or not anybody listens there."""

from __future__ import annotations

import socket
from typing import Any, TypeVar
from weakref import WeakSet

S = TypeVar("S", bound=socket.socket)

_BACKLOG = 128


class Port:
    """An address with a free port, or one that is asked for, kept for as long as the test lasts.

    While nobody listens there, whoever connects is refused, and nobody else gets it.
    """

    def __init__(self, host: str, port: int) -> None:
        """Raises OSError where this machine does not let it be taken."""
        family, _, _, _, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self._family = family
        # It never listens. Others may listen beside it, as both say that addresses may be reused.
        self._holder: socket.socket | None = self._bound(target)
        self._target = self._holder.getsockname()

    @property
    def number(self) -> int:
        """The port."""
        return int(self._target[1])

    def listen(self, kind: type[S]) -> S:
        """Listen there, by a socket of this kind. Raises OSError where that cannot be."""
        listening = kind(self._family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(self._target)
            except OSError:
                if self._holder is None:
                    raise
                # A system on which two sockets never have one port.
                self._holder.close()
                self._holder = None
                listening.bind(self._target)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening

    def close(self) -> None:
        """Others may have it."""
        if self._holder is not None:
            self._holder.close()

    def _bound(self, target: tuple[Any, ...]) -> socket.socket:
        holder = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(target)
        except OSError:
            holder.close()
            raise
        return holder


class ListeningSocket(socket.socket):
    """It remembers whom it accepted."""

    def __init__(self, family: int, kind: int) -> None:
        super().__init__(family, kind)
        self._accepted: WeakSet[socket.socket] = WeakSet()
        self._is_severed = False

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        if self._is_severed:
            raise BlockingIOError  # there is nobody who would
        connected, peer = super().accept()
        self._accepted.add(connected)
        return connected, peer

    def sever(self) -> None:
        """End all connections without a word, as the system does when a process is killed."""
        self._is_severed = True
        for connected in list(self._accepted):
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has ended
                continue
