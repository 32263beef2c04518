"""The broker's end of TLS, once the handshake is done."""

from __future__ import annotations

import ssl
from contextlib import suppress

import trio

from trio_mqtt.transport.listeners.coded_stream import CodedStream
from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.streams import SocketStream

_RECORD = 16 * 1024  # bytes in one TLS record at most
# Bytes that TLS itself may have to say, about keys for example, to a peer that does not read.
_OWN_WORDS = 64 * 1024


class TlsStream(CodedStream):
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
        super().__init__(beneath, origin)
        self._receive = beneath.receive_view
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._ended = False
        # The client may have gone on right behind its handshake.
        self._early = self._decrypted()

    def receive_nowait(self, size: int = 0) -> bytes | None:
        early, self._early = self._early, None
        if early is not None:
            if early and self._ended:
                self._early = b""
            return early
        received = self._receive()
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

    async def aclose(self) -> None:
        # A goodbye, so that the peer can tell the end from a cut; nobody waits for the answer.
        with suppress(ssl.SSLError, trio.BrokenResourceError):
            if not self._unsent:
                with suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                self._send(self._outgoing.read())
        await self._beneath.aclose()
