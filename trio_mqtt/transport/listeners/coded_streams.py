"""Streams whose bytes are written in another form: within TLS, and within WebSocket frames."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable
from contextlib import suppress

import trio

from trio_mqtt.transport.listeners.options import Origin
from trio_mqtt.transport.listeners.streams import CLOSE_TIMEOUT, ByteStream, SocketStream
from trio_mqtt.transport.listeners.websocket_frames import CLOSE, NORMAL, PONG, FrameReader, frame

_RECORD = 16 * 1024  # bytes in one TLS record at most
_PIECE = 64 * 1024  # bytes that are handed on at once where it takes waiting
# Bytes that TLS itself may have to say, about keys for example, to a peer that does not read.
_OWN_WORDS = 64 * 1024
_WITHOUT_CODE = 1005  # how a goodbye without a code reads
_LONGEST_REASON = 123  # bytes, with which a goodbye fills its frame
_LAST_WORD = 0.1  # seconds in which a peer that broke the rules may read which


class _CodedStream:
    """Writing in another form.

    What the stream beneath does not take at once stays here in its final form. The writer is told
    that nothing of it was taken, so that it comes again with the same bytes: they count then as
    the rest leaves, which keeps its time limits and bounds true.
    """

    peer: str
    origin: Origin

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.peer = origin.peer
        # In its final form, not yet taken by the stream beneath.
        self._unsent = bytearray()
        # Bytes that the writer will come with again, though they are coded already.
        self._ahead = 0
        # What was received before anybody asked for it.
        self._early: bytes | None = None

    async def open(self) -> ByteStream:
        return self  # type: ignore[return-value]  # the subclasses are streams

    def _encode(self, data: bytes) -> bytes:
        raise NotImplementedError

    def _send(self, data: bytes) -> int:
        raise NotImplementedError

    async def _send_all(self, data: bytes) -> None:
        raise NotImplementedError

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
            await self._send_all(piece)
            del self._unsent[: len(piece)]

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


class TlsStream(_CodedStream):
    """TLS over a connected socket, after the handshake.

    OpenSSL works on memory: one system call receives many records, and one sends them.
    """

    def __init__(
        self,
        beneath: SocketStream,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        origin: Origin,
    ) -> None:
        super().__init__(origin)
        self._beneath = beneath
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._wait = beneath.readable
        self._send = beneath.send_nowait  # type: ignore[method-assign]  # one call less
        self._ended = False
        # The client may have gone on right behind its handshake.
        self._early = self._decrypted()

    def readable(self) -> Awaitable[None]:
        if self._early is not None:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105  # for the caller to await
        return self._wait()

    def receive_nowait(self) -> bytes | None:
        early, self._early = self._early, None
        if early is not None:
            if early and self._ended:
                self._early = b""
            return early
        received = self._beneath.receive_view()
        if received is None:
            return None
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()
        return self._decrypted()

    def _decrypted(self) -> bytes | None:
        """All that can be read now; none means that the peer has ended the stream."""
        parts: list[bytes] = []
        read = self._tls.read
        ended = False
        try:
            while part := read(_RECORD):
                parts.append(part)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            ended = True
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(f"TLS: {error.reason}") from error
        if self._outgoing.pending:
            if len(self._unsent) + self._outgoing.pending > _OWN_WORDS + self._ahead * 2:
                raise trio.BrokenResourceError("TLS: too much to answer")
            self._say(self._outgoing.read())
        if not parts:
            return b"" if ended else None
        if ended:
            self._ended = True
            self._early = b""  # what the next reading finds
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _encode(self, data: bytes) -> bytes:
        write = self._tls.write
        try:
            done = write(data)
            while done < len(data):
                done += write(memoryview(data)[done:])
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(f"TLS: {error.reason}") from error
        return self._outgoing.read()

    async def _send_all(self, data: bytes) -> None:
        await self._beneath.send_all(data)

    async def aclose(self) -> None:
        # A goodbye, so that the peer can tell the end from a cut; nobody waits for the answer.
        with suppress(ssl.SSLError, trio.BrokenResourceError):
            if not self._unsent:
                with suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                self._send(self._outgoing.read())
        await self._beneath.aclose()


class WebSocketStream(_CodedStream):
    """MQTT in the binary frames of a WebSocket, which need not align with packets (§6).

    The stream beneath is TCP or TLS, and has done the opening handshake.
    """

    def __init__(self, beneath: SocketStream | TlsStream) -> None:
        super().__init__(beneath.origin)
        self._beneath = beneath
        self._frames = FrameReader()
        self._wait = beneath.readable
        self._receive = beneath.receive_nowait
        self._send = beneath.send_nowait  # type: ignore[method-assign]  # one call less
        self._ended = False  # the client has said goodbye
        self._closed = False  # the broker has

    def readable(self) -> Awaitable[None]:
        if self._early is not None:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105  # for the caller to await
        return self._wait()

    def receive_nowait(self) -> bytes | None:
        early, self._early = self._early, None
        data = self._receive() if early is None else early
        frames = self._frames
        if frames.close_code is not None or frames.error is not None:
            return self.decoded(b"")  # what came before it has been read
        return self.decoded(data) if data else data

    def decoded(self, data: bytes) -> bytes | None:
        """What the frames hold that are in `data`; none means that the peer has ended.

        Raises trio.BrokenResourceError for what a WebSocket may not send; the peer is told.
        """
        frames = self._frames
        payload = frames.feed(data)
        if frames.pings:
            # Of those that come while nothing can be sent, only some are answered (§5.5.3).
            for ping in frames.pings:
                if not self._unsent and not self._closed:
                    self._say(frame(ping, PONG))
            frames.pings.clear()
        code, error = frames.close_code, frames.error
        if payload:
            if code is not None or error is not None:
                self._early = b""  # the next reading finds it, when what came before is answered
            return payload
        if code is not None:
            self._ended = True
            self._close(NORMAL if code == _WITHOUT_CODE else code)
        if error is not None:
            self._close(error.code, str(error))
            raise trio.BrokenResourceError(f"WebSocket: {error}")
        return b"" if self._ended else None

    def _close(self, code: int, reason: str = "") -> None:
        if self._closed or self._unsent:
            return
        self._closed = True
        with suppress(trio.BrokenResourceError):
            self._say(frame(code.to_bytes(2) + reason.encode()[:_LONGEST_REASON], CLOSE))

    def _encode(self, data: bytes) -> bytes:
        return frame(data)

    async def _send_all(self, data: bytes) -> None:
        await self._beneath.send_all(data)

    async def aclose(self) -> None:
        self._close(NORMAL)
        if self._closed and not self._ended:
            # Closing before the answer has come may take away what is still on its way.
            timeout = _LAST_WORD if self._frames.error is not None else CLOSE_TIMEOUT
            with (
                suppress(trio.BrokenResourceError),
                trio.CancelScope(shield=True, deadline=trio.current_time() + timeout),
            ):
                await self._until_closed()
        await self._beneath.aclose()

    async def _until_closed(self) -> None:
        while not self._ended:
            await self._wait()
            data = self._receive()
            if data == b"":
                return
            if data and self._frames.error is None:
                self._frames.feed(data)
                self._frames.pings.clear()
                self._ended = self._frames.close_code is not None
