"""A little HTTP for what watches a broker: few clients, short answers, and a time for all of it.

h11 speaks HTTP/1.1; here is only what carries its bytes. A client that is slow, or sends nonsense,
loses its connection: none of them has more than a task, some kilobytes, and its time. What
fails while one is answered ends that connection, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple

import h11
import trio

logger = logging.getLogger("trio_mqtt.monitoring")

_READ = 4_096  # bytes at once
_ASKED = 8_192  # bytes that a request's head may have


class Answer(NamedTuple):
    """What a path is answered with."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


class Request(NamedTuple):
    """What is asked for: a path, without what follows `?`, and what the client accepts."""

    path: str
    accept: str


Respond = Callable[[Request], Awaitable[Answer]]


class HttpServer:
    """Answers GET and HEAD at its listeners, for at most so many clients at once."""

    def __init__(self, respond: Respond, *, connections: int, timeout: float) -> None:
        self._respond = respond
        self._free = connections
        self._timeout = timeout
        # Those that have not said yet what they ask for, who is silent longest first.
        self._silent: dict[trio.CancelScope, None] = {}

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Serve until cancelled."""
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self._free <= 0:
            # Whoever connects and says nothing must not keep a health check out.
            silent = next(iter(self._silent), None)
            if silent is None:
                await trio.aclose_forcefully(stream)
                return
            del self._silent[silent]
            silent.cancel()
        self._free -= 1
        try:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_ASKED)
            while connection.states == {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}:
                with trio.move_on_after(self._timeout) as scope:
                    self._silent[scope] = None
                    try:
                        request = await self._request(stream, connection)
                    finally:
                        self._silent.pop(scope, None)
                    if request is not None:
                        await self._answer(stream, connection, request)
                if scope.cancelled_caught:
                    break
                if connection.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                    connection.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError, h11.LocalProtocolError):
            pass  # it has gone, or speaks something else
        except Exception:
            logger.exception("What was asked for by HTTP could not be answered")
        finally:
            self._free += 1
            await trio.aclose_forcefully(stream)

    async def _request(
        self, stream: trio.SocketStream, connection: h11.Connection
    ) -> h11.Request | None:
        """Hear one request; None where the client has gone, or says more than anybody asks."""
        request: h11.Request | None = None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(_READ))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                return None  # nothing that is asked here has a body
            else:
                return request

    async def _answer(
        self, stream: trio.SocketStream, connection: h11.Connection, request: h11.Request
    ) -> None:
        """Answer one request."""
        answer = await self._answer_to(request)
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            ("Cache-Control", "no-store"),
        ]
        if answer.status == 405:
            headers.append(("Allow", "GET, HEAD"))
        reason = HTTPStatus(answer.status).phrase.encode()
        head = h11.Response(status_code=answer.status, headers=headers, reason=reason)
        parts = [connection.send(head) or b""]
        if request.method != b"HEAD":
            parts.append(connection.send(h11.Data(data=answer.body)) or b"")
        parts.append(connection.send(h11.EndOfMessage()) or b"")
        await stream.send_all(b"".join(parts))

    async def _answer_to(self, request: h11.Request) -> Answer:
        if request.method not in (b"GET", b"HEAD"):
            return Answer(b"Only GET is answered here.\n", 405)
        path = request.target.decode("ascii").partition("?")[0]
        accept = b",".join(value for name, value in request.headers if name == b"accept")
        return await self._respond(Request(path, accept.decode("ascii", "ignore")))
