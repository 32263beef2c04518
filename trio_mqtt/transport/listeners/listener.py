"""The broker's listeners: sockets at an address, and the clients that they accept."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import trio

from trio_mqtt.errors import ConfigurationError, ListenError
from trio_mqtt.transport.listeners.handshakes import Handshakes
from trio_mqtt.transport.listeners.options import Endpoint
from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.readiness import Readiness
from trio_mqtt.transport.listeners.streams import ByteStream
from trio_mqtt.transport.listeners.unix_sockets import UnixSocket, process_of
from trio_mqtt.transport.listeners.unix_sockets import open_unix_socket as open_unix_socket
from trio_mqtt.transport.listeners.waiting import open_readiness
from trio_mqtt.transport.urls import Address, parse_url

logger = logging.getLogger("trio_mqtt.listeners")

E = TypeVar("E", bound=Endpoint)

_BACKLOG = 4_096
# The process or the machine has no file descriptor or memory left for another client.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_AT_ONCE = 64  # clients accepted before others get their turn
# This machine has no such address, or no such kind of addresses.
_MISSING = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_ATTEMPTS = 10  # to find a port that is free at all addresses of a name
_RETRY = 0.1  # seconds until accepting is tried again then


class Listener:
    """What listens at one URL: a socket for each address that its host has."""

    def __init__(
        self,
        endpoint: Endpoint,
        handshakes: Handshakes,
        sockets: list[socket.socket],
        file: UnixSocket | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._handshakes = handshakes
        self._sockets = sockets
        self._file = file
        # What waits for the clients that have come by this listener, while it serves.
        self._readiness: Readiness | None = None

    @property
    def url(self) -> str:
        """The address, with the port that it got."""
        return self.endpoint.url

    async def serve(self, handle: Callable[[ByteStream], Awaitable[None]]) -> None:
        """Accept clients for ever, each handled in a task of its own."""
        async with open_readiness() as self._readiness, trio.open_nursery() as nursery:
            for listening in self._sockets:
                nursery.start_soon(self._accept, listening, handle, nursery)

    async def prepare(self, endpoint: Endpoint) -> Callable[[], None]:
        """Read anew what `endpoint`, at the same address, needs; what is returned puts it in force.

        Raises ConfigurationError, also for what cannot change while it listens.
        """
        url, file = self.endpoint.url, self._file
        if file is not None and (endpoint.mode, endpoint.group) != (
            self.endpoint.mode,
            self.endpoint.group,
        ):
            raise ConfigurationError(
                f"The mode and the group of {url} are set when it begins to listen:"
                " they change at the next start."
            )
        address = parse_url(endpoint.url, listening=True)
        if address.scheme != "unix":
            address = replace(address, port=parse_url(url, listening=True).port)
        handshakes = await trio.to_thread.run_sync(
            Handshakes, endpoint, address, abandon_on_cancel=True
        )

        def put_in_force() -> None:
            self.endpoint = replace(endpoint, url=address.url)
            self._handshakes = handshakes

        return put_in_force

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return bool(self._sockets)

    def close(self) -> None:
        """Stop listening."""
        if self._file is not None:
            self._file.remove()
        for listening in self._sockets:
            trio.lowlevel.notify_closing(listening)
            listening.close()
        self._sockets = []

    async def _accept(
        self,
        listening: socket.socket,
        handle: Callable[[ByteStream], Awaitable[None]],
        nursery: trio.Nursery,
    ) -> None:
        exhausted = False
        at_once = 0
        name = f"client of {self.url}"  # one for all: Trio would make one for each
        while listening.fileno() >= 0:  # it may have been closed while this task was not waiting
            try:
                if at_once == 0:
                    await trio.lowlevel.wait_readable(listening)
                    at_once = _AT_ONCE
                at_once -= 1
                connected, peer = listening.accept()
                stream = self._stream(connected, peer)
            except BlockingIOError:
                at_once = 0  # that was all for now
                continue
            except ConnectionError:
                continue  # the client was gone before it was accepted
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if listening.fileno() < 0:
                    return
                if error.errno not in _EXHAUSTED:
                    logger.info("A client could not be accepted: %s", error)
                    continue
                if not exhausted:
                    logger.warning("No more clients can be accepted for now: %s", error)
                exhausted = True
                await trio.sleep(_RETRY)
                continue
            exhausted = False
            nursery.start_soon(handle, stream, name=name)
            del stream, connected  # they are not this task's, which may wait for long

    def _stream(self, connected: socket.socket, peer: object) -> ByteStream:
        try:
            return self._handshakes.receive(
                connected, Origin(self.endpoint, peer_of(connected, peer)), self._readiness
            )
        except OSError:
            connected.close()
            raise


def check_endpoint(endpoint: Endpoint) -> None:
    """Look at what a listener is told and read its files, without listening.

    Raises InvalidUrlError and ConfigurationError as `open_listener` does.
    """
    Handshakes(endpoint, parse_url(endpoint.url, listening=True))


async def open_listener(endpoint: Endpoint) -> Listener:
    """Listen at an address; port 0 takes a free one.

    Raises InvalidUrlError, ConfigurationError for what the listener was told, and ListenError where
    this machine does not let it listen; the text says what is wrong and what to do.
    """
    endpoint = named_by_socket(endpoint)
    address = parse_url(endpoint.url, listening=True)
    handshakes = Handshakes(endpoint, address)
    if endpoint.socket is not None:
        return _inherited(endpoint, address, handshakes, endpoint.socket)
    if address.scheme == "unix":
        file = await open_unix_socket(address.path, endpoint.mode, endpoint.group)
        return Listener(replace(endpoint, url=address.url), handshakes, [file.socket], file)
    try:
        found = await trio.socket.getaddrinfo(
            address.to_look_up, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise ListenError(
            f"There is no address for the host {address.host!r} of {address.url}."
            " Give a name or an address of this machine, or 0.0.0.0 for all of them."
        ) from error
    if endpoint.reuse_port and not hasattr(socket, "SO_REUSEPORT"):
        raise ListenError(f"Processes cannot share {address.url} on this system: no reuse_port.")
    targets = [(family, kind, protocol, target) for family, kind, protocol, _, target in found]
    attempts = 1 if address.port else _ATTEMPTS
    for attempt in range(attempts):
        try:
            sockets = _listen(
                list(dict.fromkeys(targets)), address.port, shared=endpoint.reuse_port
            )
        except OSError as error:
            # A free port of one address may be taken at another: then another one is.
            if error.errno == errno.EADDRINUSE and attempt + 1 < attempts:
                continue
            raise ListenError(_sentence(address, error)) from error
        break
    port = sockets[0].getsockname()[1]
    return Listener(replace(endpoint, url=replace(address, port=port).url), handshakes, sockets)


def _inherited(
    endpoint: Endpoint, address: Address, handshakes: Handshakes, listening: socket.socket
) -> Listener:
    """Take over a socket that somebody else has opened."""
    listening.setblocking(False)
    return Listener(replace(endpoint, url=address.url), handshakes, [listening])


def named_by_socket(endpoint: E) -> E:
    """The same, at the address of its socket where it brings one.

    Raises ListenError for a socket at which nobody can listen.
    """
    listening = endpoint.socket
    if listening is None:
        return endpoint
    address = parse_url(endpoint.url, listening=True)
    try:
        accepts = listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        is_stream = listening.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        where = listening.getsockname()
    except OSError as error:
        raise ListenError(f"The socket given for {address.url} is none: {error}.") from error
    if not accepts or not is_stream:
        raise ListenError(f"The socket given for {address.url} does not listen for streams.")
    if isinstance(where, tuple) != (address.scheme != "unix"):
        raise ListenError(f"The socket given for {address.url} is of another kind.")
    if isinstance(where, tuple):
        address = replace(address, host=where[0], port=where[1])
    elif isinstance(where, str) and where:
        address = replace(address, path=where)
    return replace(endpoint, url=address.url)


def _listen(
    targets: list[tuple[int, int, int, tuple[Any, ...]]], port: int, *, shared: bool
) -> list[socket.socket]:
    """A listening socket for each address that this machine has; one port on all of them."""
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, kind, protocol, target in targets:
            try:
                address = (target[0], port, *target[2:])
                listening = _bind(family, kind, protocol, address, shared=shared)
            except OSError as error:
                if error.errno not in _MISSING:
                    raise
                # "localhost" has an IPv6 address in many places that have no IPv6.
                missing = error
                continue
            sockets.append(listening)
            port = listening.getsockname()[1]
        if not sockets and missing is not None:
            raise missing
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets


def _bind(
    family: int, kind: int, protocol: int, target: tuple[Any, ...], *, shared: bool
) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # Else a broker that was just stopped would keep its port busy for minutes.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared and hasattr(socket, "SO_REUSEPORT"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # [::] is for IPv6, as 0.0.0.0 is for IPv4: both can be listened at together.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(target)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _sentence(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {address.port} of {address.host} is in use: another broker may be running."
            f" Stop it, or choose another port, for example"
            f" {replace(address, port=address.port + 1 & 0xFFFF).url}."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"Listening at {address.url} is not allowed to this user."
            " Choose a port above 1023, such as 1883."
        )
    if error.errno in _MISSING:
        return (
            f"This machine has no address {address.host}."
            " Listen at one that it has, or at 0.0.0.0 for all of them."
        )
    return f"Listening at {address.url} failed: {os.strerror(error.errno or 0)}."


def peer_of(connected: socket.socket, peer: object) -> str:
    """Who is at the other end, for people: HOST:PORT, or a process of this machine."""
    if isinstance(peer, tuple):
        host, port = peer[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    credentials = process_of(connected)
    return "a process of this machine" if credentials is None else f"process {credentials}"
