"""Listening at a path of the file system, and leaving nothing behind there: not on Windows."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from contextlib import suppress

from trio_mqtt.errors import ListenError

_BACKLOG = 4_096
_UNIX: int | None = getattr(socket, "AF_UNIX", None)  # Windows has none


class UnixSocket:
    """A listening socket and its file, which is removed only if it is still this one's."""

    def __init__(self, listening: socket.socket, path: str) -> None:
        self.socket = listening
        self._path = path
        self._identity: tuple[int, int] | None = _identity(path)

    def remove(self) -> None:
        """Remove the file, unless somebody else has put another one there meanwhile."""
        identity, self._identity = self._identity, None
        if identity is not None and _identity(self._path) == identity:
            with suppress(OSError):
                os.unlink(self._path)


async def open_unix_socket(path: str, mode: int | None, group: str | int | None) -> UnixSocket:
    """Listen at `path`. A socket file at which nobody listens any more is replaced.

    Raises ListenError, whose text says what is wrong and what to do.
    """
    if _UNIX is None:
        raise ListenError(f"This machine has no Unix sockets: unix://{path} cannot be.")
    gid = _group_id(path, group)
    listening = socket.socket(_UNIX, socket.SOCK_STREAM)
    try:
        _make_room(path, _UNIX)
        # Nobody may connect before the permissions are as they are to be.
        before = os.umask(0o177 if mode is not None or gid is not None else 0o002)
        try:
            listening.bind(path)
        finally:
            os.umask(before)
        made = UnixSocket(listening, path)
        try:
            if gid is not None and sys.platform != "win32":
                os.chown(path, -1, gid)
            # Writing is what connecting takes; by default this user and its group may.
            os.chmod(path, 0o660 if mode is None else mode)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except BaseException:
            made.remove()
            raise
    except OSError as error:
        listening.close()
        raise ListenError(_sentence(path, error, group)) from error
    except BaseException:
        listening.close()
        raise
    return made


def process_of(connected: socket.socket) -> str | None:
    """The process and the user at the other end of a Unix socket, where the system tells."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    try:
        credentials = connected.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    except OSError:
        return None
    process, user, _group = struct.unpack("3i", credentials)
    return f"{process} of user {user}"


def _group_id(path: str, group: str | int | None) -> int | None:
    if group is None or isinstance(group, int):
        return group
    if group.isascii() and group.isdecimal():
        return int(group)
    if sys.platform != "win32":
        import grp

        with suppress(KeyError):
            return grp.getgrnam(group).gr_gid
    raise ListenError(
        f"There is no group {group!r} for the socket {path}. Create it, or name another."
    )


def _make_room(path: str, family: int) -> None:
    """Remove a socket file that was left behind. Raises ListenError for anything else there."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ListenError(
            f"{path} exists and is no socket: it is left as it is. Choose another path."
        )
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its queue is full, so somebody does listen
    raise ListenError(
        f"Somebody listens at {path}: another broker may be running."
        " Stop it, or choose another path."
    )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sentence(path: str, error: OSError, group: str | int | None) -> str:
    if error.errno == errno.ENOENT:
        return f"The folder of the socket {path} does not exist. Create it, or choose another path."
    if error.errno == errno.EPERM and group is not None:
        return (
            f"This user may not give the socket {path} to the group {group}."
            " Name a group that it is in."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"This user may not create the socket {path}. Choose a folder that it may write to."
    if "path too long" in str(error):
        return f"The path {path} is too long for a socket. Choose a shorter one."
    return f"Listening at {path} failed: {error.strerror or error}."
