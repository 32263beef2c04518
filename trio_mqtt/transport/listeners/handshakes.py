"""What a connection goes through before MQTT: the PROXY protocol, TLS and WebSocket."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from trio_mqtt.errors import ConfigurationError
from trio_mqtt.transport.listeners.certificates import client_certificate, load_context
from trio_mqtt.transport.listeners.host_names import allowed_hosts
from trio_mqtt.transport.listeners.options import Endpoint
from trio_mqtt.transport.listeners.origin import Origin
from trio_mqtt.transport.listeners.proxy_protocol import BadProxyHeaderError, ProxyHeaderReader
from trio_mqtt.transport.listeners.readiness import Readiness
from trio_mqtt.transport.listeners.streams import ByteStream, HandshakeRefusedError, SocketStream
from trio_mqtt.transport.listeners.tls_stream import TlsStream
from trio_mqtt.transport.listeners.websocket_stream import WebSocketStream
from trio_mqtt.transport.peers import Networks
from trio_mqtt.transport.urls import WEBSOCKET_PATH, Address

if TYPE_CHECKING:
    from trio_mqtt.transport.listeners.websocket_handshake import WebSocketHandshake

_TLS_HANDSHAKE = 0x16  # the first byte of a TLS hello
_HTTP_GET = ord("G")
_LINGER = 1.0  # seconds that a refused peer gets to read why
_PEEK = 256  # bytes that are looked at for a header


class Handshakes:
    """What the connections of one listener go through before MQTT."""

    def __init__(self, endpoint: Endpoint, address: Address) -> None:
        """Raises ConfigurationError for files that cannot be used."""
        scheme = address.scheme
        self.scheme = scheme
        self.path = address.path if address.is_websocket else WEBSOCKET_PATH
        self.origins = None if endpoint.origins is None else frozenset(endpoint.origins)
        self.hosts = allowed_hosts(endpoint, address)
        self.forwarders = Networks(endpoint.trusted_proxies, address.url)
        self.proxies = Networks(endpoint.proxy_protocol, address.url)
        if scheme in ("ws", "wss", "any"):
            _websocket_handshake()  # loads it before a client waits for it
        self.tls: ssl.SSLContext | None = None
        if endpoint.tls is not None and (address.is_tls or scheme == "any"):
            self.tls = load_context(endpoint.tls, address.url)
        elif endpoint.tls is not None:
            raise ConfigurationError(
                f"{address.url} is without TLS, but has a certificate."
                f" Write {'wss' if scheme == 'ws' else 'mqtts'}://, or leave the certificate out."
            )
        elif address.is_tls:
            raise ConfigurationError(
                f"{address.url} needs a certificate: {address.url}?cert=FILE&key=FILE."
            )

    def receive(
        self, connected: socket.socket, origin: Origin, readiness: Readiness | None
    ) -> ByteStream:
        """The stream of a client that was accepted."""
        stream = SocketStream(connected, origin, readiness)
        if self.scheme in ("mqtt", "unix") and not self.proxies:
            return stream
        return _HandshakingStream(stream, self)


class _HandshakingStream:
    """A connection that has not come as far as MQTT."""

    def __init__(self, stream: SocketStream, handshakes: Handshakes) -> None:
        self._stream = stream
        self._handshakes = handshakes
        self.origin = stream.origin
        self.peer = stream.peer

    async def open(self) -> ByteStream:
        handshakes = self._handshakes
        try:
            if handshakes.proxies and handshakes.proxies.has(self.peer):
                await self._read_proxy_header()
            scheme = handshakes.scheme
            if scheme == "any":
                scheme = await self._guess()
            stream: SocketStream | TlsStream = self._stream
            if scheme in ("mqtts", "wss"):
                secured = stream = await self._shake_hands()
                if handshakes.scheme == "any":
                    scheme = await _guess_within(secured)
            if scheme in ("ws", "wss"):
                return await self._upgrade(stream)
        except trio.BrokenResourceError as error:
            raise HandshakeRefusedError("the connection was lost before CONNECT") from error
        return stream

    async def _read_proxy_header(self) -> None:
        reader = ProxyHeaderReader()
        try:
            while True:
                seen = await self._peek(_PEEK)
                header = reader.feed(self._stream.socket.recv(reader.wanted(seen)))
                if header is not None:
                    break
        except BadProxyHeaderError as error:
            raise HandshakeRefusedError(f"no header of the PROXY protocol: {error}") from error
        except OSError as error:
            raise HandshakeRefusedError("the connection was lost before CONNECT") from error
        if header.client is not None:
            self._set(replace(self.origin, peer=header.client))

    async def _peek(self, size: int) -> bytes:
        """Look at what comes next, and leave it where it is."""
        while True:
            await self._stream.readable()
            try:
                seen = self._stream.socket.recv(size, socket.MSG_PEEK)
            except BlockingIOError:
                continue
            except OSError as error:
                raise HandshakeRefusedError("the connection was lost before CONNECT") from error
            if not seen:
                raise HandshakeRefusedError("it closed the connection before CONNECT")
            return seen

    async def _guess(self) -> str:
        """What is spoken on a port for all, by the first byte; MQTT begins with CONNECT."""
        first = (await self._peek(1))[0]
        if first == _TLS_HANDSHAKE and self._handshakes.tls is not None:
            return "mqtts"
        return "ws" if first == _HTTP_GET else "mqtt"

    async def _shake_hands(self) -> TlsStream:
        context = self._handshakes.tls
        if context is None:
            raise HandshakeRefusedError("TLS without a certificate")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            received = await self._receive(self._stream)
            incoming.write(received)
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    await self._stream.send_all(outgoing.read())
            except ssl.SSLError as error:
                await self._say_last(self._stream, outgoing.read())
                raise HandshakeRefusedError(_handshake_failure(error)) from error
        if outgoing.pending:
            await self._stream.send_all(outgoing.read())
        self._set(replace(self.origin, certificate=client_certificate(tls), is_encrypted=True))
        return TlsStream(self._stream, tls, incoming, outgoing, self.origin)

    async def _upgrade(self, stream: SocketStream | TlsStream) -> WebSocketStream:
        handshakes = self._handshakes
        handshake = _websocket_handshake()(
            handshakes.path, handshakes.origins, handshakes.forwarders, self.peer, handshakes.hosts
        )
        while not handshake.accepted:
            answer = handshake.feed(await self._receive(stream))
            if handshake.refusal is not None:
                await self._say_last(stream, answer)
                raise HandshakeRefusedError(f"no WebSocket: {handshake.refusal}")
            if answer:
                await stream.send_all(answer)
        self._set(replace(self.origin, peer=handshake.peer, upgrade=handshake.upgrade))
        stream.origin, stream.peer = self.origin, self.peer
        websocket = WebSocketStream(stream)
        if handshake.rest:
            websocket.unread(handshake.rest)
        return websocket

    async def _receive(self, stream: SocketStream | TlsStream) -> bytes:
        while True:
            await stream.readable()
            data = stream.receive_nowait()
            if data:
                return data
            if data is not None:
                raise HandshakeRefusedError("it closed the connection before CONNECT")

    async def _say_last(self, stream: SocketStream | TlsStream, data: bytes) -> None:
        """Say why a peer is refused, and let it read that: closing at once may take it away."""
        with trio.move_on_after(_LINGER):
            await stream.send_all(data)
            with_end = self._stream.socket
            try:
                if stream is self._stream:
                    with_end.shutdown(socket.SHUT_WR)
            except OSError:
                return
            left = _PEEK
            while left > 0:
                left -= 1
                await self._stream.readable()
                if self._stream.receive_nowait() == b"":
                    return

    def _set(self, origin: Origin) -> None:
        self.origin = self._stream.origin = origin
        self.peer = self._stream.peer = origin.peer

    # Nothing of this happens before the handshakes are done.

    def readable(self) -> Awaitable[None]:
        return self._stream.readable()

    def while_readable(self, read: Callable[[], bool]) -> Awaitable[None]:
        return self._stream.while_readable(read)

    def receive_nowait(self, size: int = 0) -> bytes | None:
        return self._stream.receive_nowait(size)

    def send_nowait(self, data: bytes) -> int:
        return 0

    async def send_all(self, data: bytes) -> None:
        raise trio.BrokenResourceError(f"{len(data)} bytes cannot be sent before a handshake")

    async def send_some(self, data: memoryview) -> int:
        raise trio.BrokenResourceError(f"{len(data)} bytes cannot be sent before a handshake")

    async def aclose(self) -> None:
        await self._stream.aclose()


def _websocket_handshake() -> type[WebSocketHandshake]:
    """Loaded only where WebSockets may come: that takes a tenth of a broker's start."""
    from trio_mqtt.transport.listeners.websocket_handshake import WebSocketHandshake

    return WebSocketHandshake


async def _guess_within(stream: TlsStream) -> str:
    while True:
        await stream.readable()
        data = stream.receive_nowait()
        if data is None:
            continue
        if not data:
            raise HandshakeRefusedError("it closed the connection before CONNECT")
        stream.unread(data)
        return "wss" if data[0] == _HTTP_GET else "mqtts"


def _handshake_failure(error: ssl.SSLError) -> str:
    reason = (error.reason or "").replace("_", " ").lower()
    if error.reason in ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"):
        return f"no TLS on a port for TLS ({reason})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was refused: {error.verify_message}"
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it showed no certificate, and one is required"
    if isinstance(error, ssl.SSLEOFError):
        return "it ended the TLS handshake"
    return f"the TLS handshake failed ({reason or error})"
