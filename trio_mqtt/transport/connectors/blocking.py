"""Sockets for those who wait for each call, with no event loop: by TCP, and Unix sockets."""

from __future__ import annotations

import errno
import math
import os
import selectors
import socket
import time

from trio_mqtt.errors import MqttError
from trio_mqtt.transport.connectors.socket_failures import (
    HEAD_START,
    RETRY,
    no_unix_socket,
    no_unix_sockets,
    unknown_host,
    unreachable,
)
from trio_mqtt.transport.urls import Address


def seconds_left(deadline: float, late: MqttError) -> float:
    """The seconds until a deadline; raises `late` where there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise late
    return left


def open_socket(address: Address, deadline: float, late: MqttError) -> socket.socket:
    """A socket that is connected to an address by TCP, or through a Unix socket.

    Raises ConnectionFailedError, and `late` where the deadline passes (on the monotonic clock).
    """
    if address.scheme == "unix":
        return _open_unix(address, deadline, late)
    try:
        targets = socket.getaddrinfo(address.to_look_up, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unknown_host(address, error) from error
    failures: list[OSError] = []
    attempts: list[socket.socket] = []
    try:
        for number, (family, kind, protocol, _name, where) in enumerate(targets, 1):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:
                failures.append(error)
                continue
            attempts.append(sock)
            sock.setblocking(False)
            code = sock.connect_ex(where)
            if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
                _give_up(sock, code, attempts, failures)
            span = HEAD_START if number < len(targets) else None
            found = _first_connected(attempts, failures, span, deadline, late)
            if found is not None:
                attempts.remove(found)
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return found
    finally:
        for sock in attempts:
            sock.close()
    raise unreachable(address, failures)


def _first_connected(
    attempts: list[socket.socket],
    failures: list[OSError],
    span: float | None,
    deadline: float,
    late: MqttError,
) -> socket.socket | None:
    """The first attempt to succeed within `span` seconds; None where none is left."""
    end = math.inf if span is None else time.monotonic() + span
    while attempts and time.monotonic() < end:
        with selectors.DefaultSelector() as selector:
            for sock in attempts:
                selector.register(sock, selectors.EVENT_WRITE, sock)
            ready = selector.select(
                min(seconds_left(deadline, late), max(0.0, end - time.monotonic()))
            )
        for key, _ in ready:
            code = key.data.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                found: socket.socket = key.data
                return found
            _give_up(key.data, code, attempts, failures)
    return None


def _give_up(
    sock: socket.socket, code: int, attempts: list[socket.socket], failures: list[OSError]
) -> None:
    attempts.remove(sock)
    sock.close()
    failures.append(OSError(code, os.strerror(code)))


def _open_unix(address: Address, deadline: float, late: MqttError) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise no_unix_sockets(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(address.path)
            except BlockingIOError:
                # Unlike TCP, it does not go on connecting: the listener's queue is full.
                time.sleep(min(RETRY, seconds_left(deadline, late)))
            else:
                return sock
    except OSError as error:
        sock.close()
        raise no_unix_socket(address, error) from error
    except BaseException:
        sock.close()
        raise
