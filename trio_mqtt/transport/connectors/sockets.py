"""Connected sockets for the client: TCP and Unix."""

from __future__ import annotations

import errno
import os
import socket

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from trio_mqtt.transport.connectors.socket_failures import (
    HEAD_START,
    RETRY,
    bind,
    no_unix_socket,
    no_unix_sockets,
    no_way_from,
    unknown_host,
    unknown_origin,
    unreachable,
)
from trio_mqtt.transport.connectors.socket_stream import SocketStream
from trio_mqtt.transport.urls import Address


async def connect_tcp(address: Address, bind_address: str | None = None) -> SocketStream:
    """A TCP connection to `address`, without Nagle's delay; from `bind_address`, if it is given.

    A host with several addresses is tried at each of them, and the first that answers is taken.
    Raises ConnectionFailedError. There is no time limit: the caller sets one.
    """
    try:
        targets = await anyio.getaddrinfo(
            address.host, address.port, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise unknown_host(address, error) from error
    origins: dict[int, tuple[str, int]] = {}
    if bind_address is not None:
        origins = await _origins(address, bind_address)
        targets = [target for target in targets if target[0] in origins]
        if not targets:
            none = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
            raise no_way_from(address, bind_address) from none
    winners: list[socket.socket] = []
    failures: list[OSError] = []
    try:
        async with anyio.create_task_group() as attempts:
            for family, kind, protocol, _name, target in targets:
                ended = anyio.Event()
                attempts.start_soon(
                    _attempt,
                    (int(family), int(kind), protocol, target),
                    origins.get(family),
                    winners,
                    failures,
                    attempts.cancel_scope,
                    ended,
                )
                with anyio.move_on_after(HEAD_START):
                    await ended.wait()
    except BaseException:
        for sock in winners:
            sock.close()
        raise
    for sock in winners[1:]:
        sock.close()
    if not winners:
        raise unreachable(address, failures)
    winners[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketStream(winners[0])


async def connect_unix(address: Address) -> SocketStream:
    """A connection to the Unix socket of `address`. Raises ConnectionFailedError."""
    if not hasattr(socket, "AF_UNIX"):
        raise no_unix_sockets(address)
    await checkpoint_if_cancelled()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(address.path)
            except BlockingIOError:
                # Unlike TCP, it does not go on connecting: the listener's queue is full.
                await anyio.sleep(RETRY)
            else:
                break
    except OSError as error:
        sock.close()
        raise no_unix_socket(address, error) from error
    except BaseException:
        sock.close()
        raise
    return SocketStream(sock)


async def _origins(address: Address, bind_address: str) -> dict[int, tuple[str, int]]:
    """What to bind sockets of each family to."""
    try:
        found = await anyio.getaddrinfo(bind_address, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unknown_origin(address, bind_address, error) from error
    return {int(family): where for family, _kind, _protocol, _name, where in reversed(found)}


async def _attempt(
    target: tuple[int, int, int, tuple[str, int]],
    origin: tuple[str, int] | None,
    winners: list[socket.socket],
    failures: list[OSError],
    others: anyio.CancelScope,
    ended: anyio.Event,
) -> None:
    """Connect to one address; the first to succeed ends the other attempts."""
    family, kind, protocol, where = target
    try:
        sock = socket.socket(family, kind, protocol)
        try:
            if origin is not None:
                bind(sock, origin)
            await _connect(sock, where)
        except BaseException:
            sock.close()
            raise
        winners.append(sock)
        others.cancel()
    except OSError as error:
        failures.append(error)
    finally:
        ended.set()


async def _connect(sock: socket.socket, where: tuple[str, int]) -> None:
    sock.setblocking(False)
    try:
        sock.connect(where)
    except BlockingIOError:
        await anyio.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code)) from None
