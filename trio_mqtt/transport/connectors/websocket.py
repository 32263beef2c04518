"""MQTT within WebSocket (MQTT 5.0 §6), sans-IO: what both ends share, and the client's opening.

MQTT is a byte stream here: frames need not align with its packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import ProtocolError

SUBPROTOCOL = "mqtt"
Headers = Sequence[tuple[str, str]]


class WebSocketError(Exception):
    """The server does not speak WebSocket, or does not let this client in: the text says why."""


class WebSocket:
    """One end of an open WebSocket: MQTT's bytes in frames.

    What this end has to answer by itself gathers in `answers`, for the caller to send and clear.
    """

    def __init__(self, connection: WSConnection) -> None:
        self._connection = connection
        self.answers = b""
        self.ended = False  # the peer has closed
        self.violation: str | None = None  # what the peer did against the rules: nothing follows

    def wrap(self, data: bytes | memoryview) -> bytes:
        """The frame that carries `data`."""
        if self._closes:
            return b""  # nothing may follow the goodbye
        return self._connection.send(BytesMessage(bytes(data)))

    def unwrap(self, data: bytes) -> bytes:
        """MQTT's bytes within `data`, up to the peer's goodbye or violation."""
        if self.ended or self.violation is not None:
            return b""
        payload = b""
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                if isinstance(event, BytesMessage):
                    payload += event.data
                elif isinstance(event, Ping):
                    if not self._closes:
                        self.answers += self._connection.send(event.response())
                elif isinstance(event, TextMessage):
                    # Only binary frames may come (§6.0, MQTT-6.0.0-1).
                    self.answers += self.close(CloseReason.UNSUPPORTED_DATA)
                    self.violation = "a text frame came, and MQTT is sent in binary ones"
                    break
                elif isinstance(event, CloseConnection):
                    self.ended = True
                    if not self._closes:
                        self.answers += self._connection.send(event.response())
                    break
        except ProtocolError as error:
            self.answers += self.close(CloseReason.PROTOCOL_ERROR)
            self.violation = str(error) or "what came is no frame of WebSocket"
        return payload

    def close(self, reason: CloseReason = CloseReason.NORMAL_CLOSURE) -> bytes:
        """The goodbye; nothing where it has been said."""
        if self._closes:
            return b""
        return self._connection.send(CloseConnection(reason))

    @property
    def _closes(self) -> bool:
        """Whether this end has said goodbye."""
        return self._connection.state.name in ("LOCAL_CLOSING", "CLOSED")


class ClientOpening:
    """The client's way into a WebSocket: `request` goes out, what comes goes through `receive`."""

    def __init__(self, host: str, path: str, headers: Headers = (), query: str = "") -> None:
        self._connection = WSConnection(ConnectionType.CLIENT)
        target = quote(path, safe="/%:@!$&'()*+,;=~")
        if query:
            target += "?" + quote(query, safe="/?%:@!$&'()*+,;=~")
        self.request = self._connection.send(
            Request(
                host,
                target,
                subprotocols=[SUBPROTOCOL],
                extra_headers=[(name.encode(), value.encode()) for name, value in headers],
            )
        )

    def receive(self, data: bytes) -> WebSocket | None:
        """The open WebSocket, once the server has agreed; `unwrap(b"")` has what came with that.

        Raises WebSocketError where it does not agree.
        """
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                if isinstance(event, AcceptConnection):
                    if event.subprotocol != SUBPROTOCOL:
                        raise WebSocketError("there is WebSocket, but not for MQTT")
                    return WebSocket(self._connection)
                if isinstance(event, RejectConnection):
                    raise WebSocketError(_rejection(event))
        except (ProtocolError, UnicodeError) as error:
            raise WebSocketError(f"it does not answer as WebSocket does ({error})") from error
        return None


def _rejection(event: RejectConnection) -> str:
    code = event.status_code
    headers = {bytes(name).lower(): bytes(value) for name, value in event.headers}
    location = headers.get(b"location", b"").decode(errors="replace")
    if 300 <= code < 400 and location:
        return f"it refers to {location!r} (HTTP status {code})"
    if code in (401, 403, 407):
        return f"it does not let this client in (HTTP status {code})"
    if code in (404, 405):
        return f"there is no WebSocket at this path (HTTP status {code}); brokers mostly use /mqtt"
    return f"there is no WebSocket (HTTP status {code})"
