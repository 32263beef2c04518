"""Serving under systemd: sockets that it hands over, and what it wants to be told.

As sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3) describe it. Without systemd all of
this does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import trio

import trio_mqtt

_FIRST_DESCRIPTOR = 3
_UNIX: int | None = getattr(socket, "AF_UNIX", None)  # Windows has none, and no systemd
_SCHEMES = ("mqtts", "mqtt", "wss", "ws", "any")
# How often the watchdog hears from us in the time that it grants.
_BEATS = 2.0
# Seconds for what is said once, and must not get lost: without READY=1, systemd ends the service.
_UNTIL_READ = 1.0
# Seconds that restoring may go on without getting further, before systemd gives it up.
_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket that listens already, and the name that its unit gives it."""

    name: str
    socket: socket.socket


def take_sockets(environment: MutableMapping[str, str]) -> list[Inherited]:
    """The sockets that systemd has handed to this process; children do not see them again."""
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    taken = []
    for number in range(int(count)):
        descriptor = _FIRST_DESCRIPTOR + number
        os.set_inheritable(descriptor, False)
        name = names[number] if number < len(names) else ""
        taken.append(Inherited(name, socket.socket(fileno=descriptor)))
    return taken


def listeners_for(
    wanted: Sequence[trio_mqtt.Listen],
    inherited: Sequence[Inherited],
    defaults: Mapping[str, str | Sequence[str]],
) -> list[trio_mqtt.Listen]:
    """What to listen at: what is wanted, and the sockets that were inherited.

    A listener uses the inherited socket that has its port or path. The others are served by their
    name: what it begins with says what is spoken (`mqtts`, `ws-inside`); MQTT at a Unix socket, and
    everything on one port elsewhere. `defaults` are options of these, as in a URL.
    """
    left = list(inherited)
    listeners = []
    for listen in wanted:
        fitting = next((one for one in left if _fits(listen.url, one.socket)), None)
        if fitting is not None:
            left.remove(fitting)
            listen = replace(listen, socket=fitting.socket)
        listeners.append(listen)
    for one in left:
        if one.socket.family == _UNIX:
            where = one.socket.getsockname() or "/"
            listen = trio_mqtt.parse_listen(f"unix://{where}", defaults)
        else:
            scheme = next((name for name in _SCHEMES if _begins(one.name, name)), "any")
            listen = trio_mqtt.parse_listen(f"{scheme}://localhost", defaults)
        listeners.append(replace(listen, socket=one.socket))
    return listeners


def _begins(name: str, scheme: str) -> bool:
    rest = name[len(scheme) :]
    return name.startswith(scheme) and not rest[:1].isalpha()


def _fits(url: str, listening: socket.socket) -> bool:
    where = listening.getsockname()
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return bool(where == parts.path)
    return isinstance(where, tuple) and parts.port is not None and bool(where[1] == parts.port)


class Notifier:
    """Tells systemd how the service is doing, if it wants to know."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # in the abstract namespace
            self._address = "\0" + self._address[1:]
        pid = environment.get("WATCHDOG_PID", "")
        interval = environment.get("WATCHDOG_USEC", "")
        ours = pid in ("", str(os.getpid())) and interval.isdecimal()
        self._interval = int(interval) / 1_000_000 if ours else 0.0
        self._has_waited = False

    def restoring(self, done: float) -> None:
        """What is kept is restored so far, from 0 to 1: the start may take a while longer."""
        self.waiting(f"Restoring what is kept: {done:.0%}")

    def waiting(self, sentence: str) -> None:
        """The start waits for something, as the sentence says: it may take a while longer."""
        self._has_waited = True
        self.status(sentence)
        self._tell(f"EXTEND_TIMEOUT_USEC={_PATIENCE * 1_000_000}")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Clients are welcome, for as long as the context lasts."""
        self._tell("READY=1", _UNTIL_READ)
        if self._has_waited:
            self.status("")
        try:
            yield
        finally:
            self._tell("STOPPING=1", _UNTIL_READ)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Settings are read again, for as long as the context lasts."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}", _UNTIL_READ)
        try:
            yield
        finally:
            self._tell("READY=1", _UNTIL_READ)

    def status(self, sentence: str) -> None:
        """Say how things stand, for `systemctl status` to show."""
        self._tell(f"STATUS={sentence}")

    async def keep_watchdog_quiet(self) -> None:
        """Say regularly that the event loop turns; ends at once where nobody wants to know."""
        while self._address and self._interval > 0:
            self._tell("WATCHDOG=1")
            await trio.sleep(self._interval / _BEATS)

    def _tell(self, state: str, patience: float = 0.0) -> None:
        """Send it; where so much waits to be read that it does not fit, wait so many seconds."""
        if not self._address or _UNIX is None:
            return
        try:
            with socket.socket(_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(patience)
                sender.sendto(state.encode(), self._address)
        except OSError:
            return  # whoever started us is gone, or busy: no reason to stop serving
