"""The client's end of TLS, as a byte stream that can send at once."""

from __future__ import annotations

import ssl
from contextlib import suppress

import anyio

from trio_mqtt.errors import TlsError
from trio_mqtt.transport.connectors.layers import LayeredStream, LowerStream
from trio_mqtt.transport.connectors.srv_records import name_to_certify
from trio_mqtt.transport.connectors.tls_failures import closed_in_handshake, tls_failure
from trio_mqtt.transport.urls import Address

_READ_SIZE = 65_536


class TlsStream(LayeredStream):
    """Bytes encrypted over a stream that this one owns. Use it after `handshake`.

    A broker that closes the connection without TLS's goodbye ends the stream all the same, as many
    do: MQTT has its own.
    """

    def __init__(
        self,
        lower: LowerStream,
        address: Address,
        context: ssl.SSLContext,
        server_name: str,
        *,
        has_certificate: bool,
    ) -> None:
        super().__init__(lower)
        self._address = address
        self._has_certificate = has_certificate
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    async def handshake(self) -> None:
        """Agree on keys and check who the broker is. Raises TlsError."""
        try:
            while True:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    await self._send_outgoing()
                    self._incoming.write(await self._lower.receive(_READ_SIZE))
                else:
                    await self._send_outgoing()
                    break
        except ssl.SSLError as error:
            self._send_alert()
            raise self._meaning(error) from error
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise closed_in_handshake(self._address) from error
        self._ready = self._unwrap(b"")

    async def _send_outgoing(self) -> None:
        self._unsent += self._outgoing.read()
        await self._flush()

    def _send_alert(self) -> None:
        """Let the broker know why, as far as it takes that at once."""
        with suppress(anyio.BrokenResourceError):
            self._answer(self._outgoing.read())

    def _wrap(self, data: bytes | memoryview) -> bytes:
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise anyio.BrokenResourceError from self._meaning(error)
        return self._outgoing.read()

    def _unwrap(self, data: bytes) -> bytes:
        self._incoming.write(data)
        pieces = []
        try:
            while True:
                piece = self._tls.read(_READ_SIZE)
                if not piece:
                    self._ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            self._failure = self._meaning(error)
            self._send_alert()
        if self._outgoing.pending:
            self._answer(self._outgoing.read())  # new keys, for example
        return b"".join(pieces)

    def _meaning(self, error: ssl.SSLError) -> TlsError:
        return tls_failure(self._address, error, has_certificate=self._has_certificate)

    def _goodbye(self) -> bytes:
        with suppress(ssl.SSLError):  # the broker's own goodbye is not here yet, and need not be
            self._tls.unwrap()
        return self._outgoing.read()


async def open_tls(
    lower: LowerStream,
    address: Address,
    context: ssl.SSLContext,
    *,
    server_name: str | None = None,
    has_certificate: bool = False,
) -> TlsStream:
    """Speak TLS over `lower`, which is closed where that fails.

    The certificate has to be for `server_name`, or else as `name_to_certify` says. Raises TlsError.
    """
    name = server_name or name_to_certify(address)
    try:
        try:
            stream = TlsStream(lower, address, context, name, has_certificate=has_certificate)
        except ValueError as error:
            raise TlsError(f"No certificate can be for the name {name!r} ({error}).") from error
        await stream.handshake()
    except BaseException:
        await anyio.aclose_forcefully(lower)
        raise
    return stream
