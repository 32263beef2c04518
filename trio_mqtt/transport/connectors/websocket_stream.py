"""The client's end of a WebSocket, as a byte stream."""

from __future__ import annotations

import anyio

from trio_mqtt.errors import ConnectionFailedError
from trio_mqtt.transport.connectors.layers import LayeredStream, LowerStream
from trio_mqtt.transport.connectors.websocket import (
    ClientOpening,
    Headers,
    WebSocket,
    WebSocketError,
)
from trio_mqtt.transport.urls import DEFAULT_PORTS, Address

_READ_SIZE = 65_536


class WebSocketStream(LayeredStream):
    """Bytes in binary frames, over a stream that this one owns."""

    def __init__(self, lower: LowerStream, websocket: WebSocket, url: str) -> None:
        super().__init__(lower)
        self._websocket = websocket
        self._url = url
        self._ready = self._unwrap(b"")

    def _wrap(self, data: bytes | memoryview) -> bytes:
        return self._websocket.wrap(data)

    def _unwrap(self, data: bytes) -> bytes:
        websocket = self._websocket
        payload = websocket.unwrap(data)
        if websocket.violation is not None:
            self._failure = ConnectionFailedError(
                f"The broker at {self._url} broke the rules of WebSocket: {websocket.violation}."
            )
        self._ended = websocket.ended
        answers, websocket.answers = websocket.answers, b""
        if answers:
            self._answer(answers)
        return payload

    def _goodbye(self) -> bytes:
        return self._websocket.close()


async def open_websocket(
    lower: LowerStream, address: Address, headers: Headers = ()
) -> WebSocketStream:
    """Agree with the broker on WebSocket over `lower`, which is closed where that fails.

    Raises ConnectionFailedError.
    """
    try:
        opening = ClientOpening(_host(address), address.path, headers, address.query)
        websocket = None
        await lower.send(opening.request)
        while websocket is None:
            websocket = opening.receive(await lower.receive(_READ_SIZE))
        return WebSocketStream(lower, websocket, address.url)
    except BaseException as error:
        await anyio.aclose_forcefully(lower)
        if isinstance(error, WebSocketError):
            raise ConnectionFailedError(
                f"No WebSocket with {address.url}: {error}. Check the port and the path."
            ) from error
        if isinstance(error, (anyio.EndOfStream, anyio.BrokenResourceError)):
            if isinstance(error.__cause__, ConnectionFailedError):
                raise error.__cause__ from None
            raise ConnectionFailedError(
                f"The connection was closed before there was a WebSocket with {address.url}."
                " Check the port and the path."
            ) from error
        raise


def _host(address: Address) -> str:
    """The Host header (RFC 9110 §7.2)."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return host if address.port == DEFAULT_PORTS[address.scheme] else f"{host}:{address.port}"
