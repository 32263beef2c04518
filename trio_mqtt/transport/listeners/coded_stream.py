"""A stream whose bytes are written in another form: what TLS and WebSocket have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import trio

from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.streams import ByteStream

_PIECE = 64 * 1024  # bytes that are handed on at once where it takes waiting


class CodedStream(ABC):
    """Writing in another form.

    What the stream beneath does not take at once stays here in its final form. The writer is told
    that nothing of it was taken, so that it comes again with the same bytes: they count then as
    the rest leaves, which keeps its time limits and bounds true.
    """

    peer: str
    origin: Origin

    def __init__(self, beneath: ByteStream, origin: Origin) -> None:
        self.origin = origin
        self.peer = origin.peer
        self._beneath = beneath
        # Bound here, which saves a call at each read and write.
        self._wait = beneath.readable
        self._send = beneath.send_nowait
        # In its final form, not yet taken by the stream beneath.
        self._unsent = bytearray()
        # Bytes that the writer will come with again, though they are coded already.
        self._ahead = 0
        # What was received before anybody asked for it.
        self._early: bytes | None = None

    @abstractmethod
    def _encode(self, data: bytes) -> bytes:
        """The form in which `data` travels beneath."""

    @abstractmethod
    def receive_nowait(self, size: int = 0) -> bytes | None: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    async def open(self) -> ByteStream:
        return self

    def readable(self) -> Awaitable[None]:
        if self._early is not None:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105  # for the caller to await
        return self._wait()

    async def while_readable(self, read: Callable[[], bool]) -> None:
        def read_all() -> bool:
            # What is there already makes nothing beneath readable.
            going_on = read()
            while going_on and self._early is not None:
                going_on = read()
            return going_on

        if self._early is not None:
            await trio.lowlevel.checkpoint()
            if not read_all():
                return
        await self._beneath.while_readable(read_all)

    def send_nowait(self, data: bytes) -> int:
        if self._unsent:
            return 0
        encoded = self._encode(data)
        sent = self._send(encoded)
        if sent == len(encoded):
            return len(data)
        self._unsent += memoryview(encoded)[sent:]
        self._ahead = len(data)
        return 0

    async def send_all(self, data: bytes) -> None:
        again = min(self._ahead, len(data))
        self._ahead -= again
        if again < len(data):
            self._unsent += self._encode(data[again:] if again else data)
        while len(self._unsent) > self._ahead:
            piece = bytes(memoryview(self._unsent)[:_PIECE])
            await self._beneath.send_all(piece)
            del self._unsent[: len(piece)]

    async def send_some(self, data: memoryview) -> int:
        piece = bytes(data[:_PIECE])
        await self.send_all(piece)
        return len(piece)

    def _say(self, encoded: bytes) -> None:
        """Send something of the form's own, as far as that is possible without waiting."""
        if self._unsent:
            self._unsent += encoded
            return
        sent = self._send(encoded)
        if sent < len(encoded):
            self._unsent += memoryview(encoded)[sent:]

    def unread(self, data: bytes) -> None:
        """Let the next `receive_nowait` return what was received too early."""
        self._early = data if self._early is None else data + self._early
