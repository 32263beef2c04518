"""The opening handshake of a WebSocket, as the broker sees it: whom it lets in, and as whom.

RFC 6455 §4.2, MQTT 5.0 §6.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from wsproto import ConnectionType
from wsproto.events import AcceptConnection, RejectConnection, RejectData, Request
from wsproto.handshake import H11Handshake
from wsproto.utilities import RemoteProtocolError

from trio_mqtt.errors import without_frames
from trio_mqtt.transport.listeners.host_names import ANY, is_among
from trio_mqtt.transport.listeners.upgrade import Upgrade
from trio_mqtt.transport.peers import Networks

# `mqttv3.1` is what clients of MQTT 3.1 ask for.
_SUBPROTOCOLS = ("mqtt", "mqttv3.1")
# Bytes until the request must be complete: one with large cookies has room.
_REQUEST_LIMIT = 16 * 1024
ANY_PATH = "/*"  # the path of a listener that takes every one
_NOT_FOUND, _FORBIDDEN, _BAD_REQUEST, _TOO_LARGE = 404, 403, 400, 431


class WebSocketHandshake:
    """One handshake, without I/O: feed it what comes and send what it says."""

    def __init__(
        self,
        path: str,
        origins: Collection[str] | None,
        proxies: Networks,
        peer: str,
        hosts: Collection[str] | None = None,
    ) -> None:
        """`hosts` are the names by which clients may call the broker; None: any."""
        self._path = path
        self._origins = origins
        self._hosts = hosts
        self._proxies = proxies
        self._handshake = H11Handshake(ConnectionType.SERVER)
        self._received = b""
        # The client's address, behind proxies that are trusted.
        self.peer = peer
        # Whether the handshake is done, and what came behind the request.
        self.accepted = False
        self.rest = b""
        self.upgrade: Upgrade | None = None  # the request that was accepted
        # Why the client is refused, once it is.
        self.refusal: str | None = None

    def feed(self, data: bytes) -> bytes:
        """What to send in answer; nothing while the request is incomplete.

        Afterwards the client is `accepted`, or there is a `refusal`.
        """
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            if len(self._received) > _REQUEST_LIMIT:
                return self._refuse(_TOO_LARGE, "the request has no end")
            return b""
        if len(head) > _REQUEST_LIMIT:
            return self._refuse(_TOO_LARGE, "the request is too large")
        try:
            self._handshake.receive_data(head + end)
            events = list(self._handshake.events())
        except (RemoteProtocolError, UnicodeError) as error:
            without_frames(error)  # they refer to each other in a circle
            hint = getattr(error, "event_hint", None)
            code = hint.status_code if isinstance(hint, RejectConnection) else _BAD_REQUEST
            headers = list(hint.headers) if isinstance(hint, RejectConnection) else []
            return self._refuse(code, f"it is no WebSocket ({error})", headers)
        request = events[0] if events else None
        if not isinstance(request, Request):
            return self._refuse(_BAD_REQUEST, "it is no WebSocket")
        return self._answer(request, head, rest)

    def _answer(self, request: Request, head: bytes, rest: bytes) -> bytes:
        path = request.target.partition("?")[0]
        if self._path not in (path, ANY_PATH):
            return self._refuse(_NOT_FOUND, f"the path is {self._path}, not {path[:100]}")
        if self._hosts is not None and not is_among(request.host, self._hosts):
            return self._refuse(
                _FORBIDDEN, f"it is not known by the name {request.host[:100]} that was asked for:"
                " the listener's `hosts` (host=NAME in its URL) say by which it is"
            )  # fmt: skip
        headers: dict[bytes, list[str]] = {}
        for name, value in request.extra_headers:
            headers.setdefault(name.lower(), []).append(value.decode("latin-1"))
        origins = headers.get(b"origin", [])
        if origins and not (len(origins) == 1 and self._allows(origins[0], request.host)):
            return self._refuse(
                _FORBIDDEN, f"pages of {origins[0][:100]} may not connect: their origin is not"
                " allowed"
            )  # fmt: skip
        subprotocol = next((name for name in _SUBPROTOCOLS if name in request.subprotocols), None)
        if subprotocol is None:
            # [MQTT-6.0.0-3]
            return self._refuse(_BAD_REQUEST, 'the subprotocol "mqtt" is not offered')
        self.peer = self._proxies.forwarded(self.peer, headers.get(b"x-forwarded-for", []))
        answer = self._handshake.send(AcceptConnection(subprotocol=subprotocol))
        self.accepted = True
        self.rest = rest
        self.upgrade = Upgrade(head)
        return answer

    def _allows(self, origin: str, host: str) -> bool:
        if self._origins is not None:
            return ANY in self._origins or origin.lower() in map(str.lower, self._origins)
        try:
            return urlsplit(origin).hostname == urlsplit(f"//{host}").hostname is not None
        except ValueError:
            return False

    def _refuse(
        self, code: int, reason: str, headers: Collection[tuple[bytes, bytes]] = ()
    ) -> bytes:
        """Answer in the words of HTTP; who reads it may be a person with a browser."""
        self.refusal = reason
        body = f"This is an MQTT broker for WebSocket, and {reason}.\n".encode("utf-8", "replace")
        fresh = H11Handshake(ConnectionType.SERVER)  # the other one may have failed
        return fresh.send(
            RejectConnection(
                status_code=code,
                headers=[
                    *headers,
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", b"%d" % len(body)),
                    (b"connection", b"close"),
                ],
                has_body=True,
            )
        ) + fresh.send(RejectData(data=body, body_finished=True))
