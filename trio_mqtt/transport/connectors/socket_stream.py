"""A connected socket as a byte stream, on Trio and asyncio alike, that can also send at once.

The stream works on the non-blocking socket itself: it waits until the socket is ready and then
reads or writes, which takes one pass through the scheduler, and `send_now` takes none.
"""

from __future__ import annotations

import socket

import anyio

from trio_mqtt.transport.connectors.layers import LowerStream


class SocketStream(LowerStream):
    """Bytes to and from a connected stream socket, which the stream owns and closes.

    One task may receive and another send at the same time. Network errors are raised as
    `anyio.BrokenResourceError`, whose cause is the OSError.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        """Between 1 and `max_bytes` bytes. Raises anyio.EndOfStream where the peer has ended."""
        while True:
            self._check_open()
            await anyio.wait_readable(self._socket)
            try:
                data = self._socket.recv(max_bytes)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise anyio.BrokenResourceError from error
            if not data:
                raise anyio.EndOfStream
            return data

    async def send(self, item: bytes) -> None:
        """Hand all bytes to the kernel. If cancelled, an unknown part of them has been sent.

        No checkpoint where the kernel takes them at once.
        """
        sent = self.send_now(item)
        if sent == len(item):
            return
        rest = memoryview(item)[sent:]
        while rest:
            await anyio.wait_writable(self._socket)
            rest = rest[self.send_now(rest) :]

    def send_now(self, item: bytes | memoryview) -> int:
        """Hand to the kernel what it takes without waiting; return how many bytes that is."""
        self._check_open()
        try:
            return self._socket.send(item)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def wait_writable(self) -> None:
        """Wait until the kernel takes more."""
        self._check_open()
        await anyio.wait_writable(self._socket)

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self._check_open()
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Close the socket. Nothing may be waiting in `receive` or `send`."""
        self._socket.close()

    def _check_open(self) -> None:
        if self._socket.fileno() < 0:
            raise anyio.ClosedResourceError
