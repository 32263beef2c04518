"""A byte stream within another one: what TLS and WebSocket have in common at the client's end."""

from __future__ import annotations

from abc import abstractmethod

import anyio
from anyio.abc import ByteStream

from trio_mqtt.errors import ConnectionFailedError

# What may wait here for the socket before answers (to a ping, say) are left out.
_MAX_UNSENT = 65_536


class LowerStream(ByteStream):
    """A byte stream that can also send at once, as far as that goes without waiting."""

    @abstractmethod
    def send_now(self, item: bytes | memoryview) -> int:
        """Send what can be sent without waiting; return how many bytes that is."""

    @abstractmethod
    async def wait_writable(self) -> None:
        """Wait until `send_now` may take something."""


class LayeredStream(LowerStream):
    """What is sent is wrapped and what is received is unwrapped, by a subclass.

    Wrapping cannot be undone: where the stream below does not take all of it, the rest waits here,
    and the last byte of the item counts as not sent until that rest is.
    """

    def __init__(self, lower: LowerStream) -> None:
        self._lower = lower
        self._ready = b""  # unwrapped and not taken
        self._ended = False  # the peer will send nothing more
        self._failure: ConnectionFailedError | None = None  # why nothing more can be received
        self._unsent = b""
        self._is_wrapped = False  # the first byte of the next item is within `_unsent`

    @abstractmethod
    def _wrap(self, data: bytes | memoryview) -> bytes:
        """What stands for `data` below."""

    @abstractmethod
    def _unwrap(self, data: bytes) -> bytes:
        """What `data` brings; it may `_answer`, and set `_ended` or `_failure`."""

    @abstractmethod
    def _goodbye(self) -> bytes:
        """The last that is sent."""

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        """Between 1 and `max_bytes` bytes.

        Raises anyio.EndOfStream where the peer has ended, and anyio.BrokenResourceError, whose
        cause may be a ConnectionFailedError that says more.
        """
        while not self._ready:
            if self._failure is not None:
                raise anyio.BrokenResourceError from self._failure
            if self._ended:
                raise anyio.EndOfStream
            try:
                data = await self._lower.receive(max_bytes)
            except anyio.EndOfStream:
                self._ended = True
                raise
            self._ready = self._unwrap(data)
        ready = self._ready
        self._ready = ready[max_bytes:]
        return ready[:max_bytes]

    async def send(self, item: bytes) -> None:
        """Hand all bytes to the kernel. If cancelled, an unknown part of them has been sent."""
        rest = memoryview(item)[self.send_now(item) :]
        while rest:
            await self._lower.wait_writable()
            rest = rest[self.send_now(rest) :]

    def send_now(self, item: bytes | memoryview) -> int:
        """Send what can be sent without waiting; return how many bytes that is."""
        if not self._flush_now() or not item:
            return 0
        if self._is_wrapped:
            self._is_wrapped = False
            item, before = memoryview(item)[1:], 1
        else:
            before = 0
        if item:
            self._unsent = self._wrap(item)
            if not self._flush_now():
                self._is_wrapped = True
                return before + len(item) - 1
        return before + len(item)

    async def wait_writable(self) -> None:
        """Wait until `send_now` may take something."""
        await self._lower.wait_writable()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self._unsent += self._goodbye()
        await self._flush()
        await self._lower.send_eof()

    async def aclose(self) -> None:
        """Close the stream below. Nothing may be waiting in `receive` or `send`."""
        await self._lower.aclose()

    def _answer(self, data: bytes) -> None:
        """Send what the layer itself has to say, at once or with what is sent next."""
        if len(self._unsent) < _MAX_UNSENT:
            self._unsent += data
        self._flush_now()

    def _flush_now(self) -> bool:
        """Whether all that was wrapped is sent."""
        if self._unsent:
            self._unsent = self._unsent[self._lower.send_now(self._unsent) :]
        return not self._unsent

    async def _flush(self) -> None:
        while not self._flush_now():
            await self._lower.wait_writable()
