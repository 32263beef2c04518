"""The broker's end of a byte stream: written to directly where the operating system allows it."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import trio

from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.readiness import Readiness

READ_SIZE = SEND_SIZE = 256 * 1024  # bytes in one system call at most
_PIECE = 64 * 1024  # bytes that are handed on at once where nobody tells how many have left
CLOSE_TIMEOUT = 1.0  # seconds for the goodbye of a stream that says one
_UNIX = getattr(socket, "AF_UNIX", None)

# Reading is never interrupted between receiving and copying out, so all streams share one buffer:
# a fresh one of this size for each read would cost more than the read itself.
_buffer = bytearray(READ_SIZE)
_view = memoryview(_buffer)

_wait_readable = trio.lowlevel.wait_readable


class HandshakeRefusedError(Exception):
    """A peer has not come as far as MQTT; the text says why not.

    It is told to the broker's log, never raised to a program: therefore no `MqttError`.
    """


class ByteStream(Protocol):
    """What a connection of the broker stands on. All methods raise trio.BrokenResourceError.

    Waiting and receiving are two calls, so that what has come can be received by whoever waits for
    many streams at once.
    """

    peer: str
    origin: Origin

    async def open(self) -> ByteStream:
        """Do what comes before MQTT, such as a handshake; return the stream to go on with.

        Until then, nothing else may be done with the stream but to close it. Raises
        HandshakeRefusedError where the peer does not do its part. The caller sets the time limit.
        """

    def readable(self) -> Awaitable[None]:
        """Wait until there is something to receive."""

    def while_readable(self, read: Callable[[], bool]) -> Awaitable[None]:
        """Call `read` whenever there is something to receive, until it returns False.

        It may be called by another task than the one that waits here. What it raises is raised.
        """

    def receive_nowait(self, size: int = 0) -> bytes | None:
        """What there is; none means that the peer has ended the stream, None: wait again.

        Where much is expected, `size` bytes at most may be received without copying them.
        """

    def send_nowait(self, data: bytes) -> int:
        """Send what can be sent without waiting; return how many bytes that was."""

    async def send_all(self, data: bytes) -> None:
        """Send everything, waiting as long as it takes."""

    async def send_some(self, data: memoryview) -> int:
        """Wait until something can be sent, and send it; return how many bytes that was.

        What comes next is the rest of it.
        """

    async def aclose(self) -> None:
        """Close the stream."""


def sending(stream: ByteStream) -> Callable[[bytes], int]:
    """What `send_nowait` of a stream does, with as few calls as that takes.

    It may also raise what sockets do: BlockingIOError instead of taking nothing, and OSError.
    """
    return stream.socket.send if type(stream) is SocketStream else stream.send_nowait


async def _read_alone(stream: ByteStream, read: Callable[[], bool]) -> None:
    """Wait for one stream in the task that reads it."""
    while True:
        await stream.readable()
        if not read():
            return


class SocketStream:
    """A connected stream socket, over TCP or in this machine."""

    def __init__(
        self, connected: socket.socket, origin: Origin, readiness: Readiness | None = None
    ) -> None:
        """`readiness` waits for many sockets in one task; without it, each is waited for alone."""
        connected.setblocking(False)
        if connected.family != _UNIX:
            # A small acknowledgement must not wait for the one before it to be acknowledged.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Finds peers that vanished without a word, even where no keep alive was agreed.
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket = self.socket = connected
        self._fd = connected.fileno()
        self._readiness = readiness
        self.origin = origin
        self.peer = origin.peer

    async def open(self) -> ByteStream:
        return self

    def readable(self) -> Awaitable[None]:
        return _wait_readable(self._fd)

    def while_readable(self, read: Callable[[], bool]) -> Awaitable[None]:
        if self._readiness is not None:
            return self._readiness.while_readable(self._fd, read)
        return _read_alone(self, read)

    def receive_nowait(self, size: int = 0) -> bytes | None:
        try:
            if size:
                return self._socket.recv(size)
            size = self._socket.recv_into(_view)
        except BlockingIOError:
            return None
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error
        return bytes(_view[:size])

    def receive_view(self) -> memoryview | None:
        """As `receive_nowait`, in memory that holds until the next reading of any stream."""
        try:
            size = self._socket.recv_into(_view)
        except BlockingIOError:
            return None
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error
        return _view[:size]

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def send_all(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                await trio.lowlevel.wait_writable(self._socket)
                rest = rest[self.send_nowait(rest) :]
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def send_some(self, data: memoryview) -> int:
        try:
            await trio.lowlevel.wait_writable(self._socket)
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error
        return self.send_nowait(data[:SEND_SIZE])

    async def aclose(self) -> None:
        if self._readiness is not None:
            self._readiness.forget(self._fd)
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()
        await trio.lowlevel.checkpoint()


class TrioStream:
    """Any Trio stream: in memory, through a Unix socket, within TLS."""

    def __init__(self, stream: trio.abc.Stream, peer: str) -> None:
        self._stream = stream
        self._received: bytes | None = None
        self.peer = peer
        self.origin = Origin(None, peer)

    async def open(self) -> ByteStream:
        return self

    async def readable(self) -> None:
        try:
            self._received = bytes(await self._stream.receive_some(READ_SIZE))
        except trio.ClosedResourceError as error:
            raise trio.BrokenResourceError("the stream is closed") from error

    def while_readable(self, read: Callable[[], bool]) -> Awaitable[None]:
        return _read_alone(self, read)

    def receive_nowait(self, size: int = 0) -> bytes | None:
        received, self._received = self._received, None
        return received

    def send_nowait(self, data: bytes) -> int:
        return 0  # a Trio stream has no way to send without waiting

    async def send_all(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.ClosedResourceError as error:
            raise trio.BrokenResourceError("the stream is closed") from error

    async def send_some(self, data: memoryview) -> int:
        piece = bytes(data[:_PIECE])
        await self.send_all(piece)
        return len(piece)

    async def aclose(self) -> None:
        # TLS says goodbye before it closes, and fails where the peer has gone: closed it is.
        with (
            suppress(trio.BrokenResourceError),
            trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT),
        ):
            await self._stream.aclose()
