"""Those who ask over HTTP: so many at one time, and each ends alone, whatever it does.

The server that is used for a connection (hypercorn's) writes until all is taken, and shields that;
what it meets in a connection that it does not expect would end all of them, and the broker. So
connections are accepted, bounded and ended here.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, MutableMapping

    from hypercorn.config import Config
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("trio_mqtt.web")

_UNREAD_TIME = 30.0  # seconds for a part of an answer to be taken: then nobody reads
_PART = 64 * 1024  # bytes of it
_WAY = "trio_mqtt.way"  # in the scope of a request: by which it came
_LAST_TIME = 1.0  # seconds for HTTP/2 to be refused


class Way(trio.abc.HalfCloseableStream):
    """The bytes of one connection; who takes none of them for long is let go."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.socket = stream.socket  # where the server looks for addresses
        self.last_moved = trio.current_time()
        self.is_known = False  # whether somebody has asked here who may
        self._stream = stream
        # Whether the server has gone over to HTTP/2: then no more is heard.
        self.is_over: Callable[[], bool] = lambda: False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes. Raises trio.BrokenResourceError where nobody takes them."""
        for start in range(0, len(data), _PART):
            with trio.move_on_after(_UNREAD_TIME) as scope:
                await self._stream.send_all(data[start : start + _PART])
            if scope.cancelled_caught:
                self.end()
                raise trio.BrokenResourceError("What is answered is not read.")
            self.last_moved = trio.current_time()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until something may be taken."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more comes."""
        await self._stream.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """What has come."""
        if self.is_over():  # the refusal of what was asked is on its way
            await trio.sleep(_LAST_TIME)
            return b""
        found = await self._stream.receive_some(max_bytes)
        self.last_moved = trio.current_time()
        return found

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    def end(self) -> None:
        """Close it at once; who waits for it meets trio.ClosedResourceError, shielded or not."""
        self.socket.close()


class Connections:
    """The connections of one application, `most` at one time: the most silent one makes room.

    Those where nobody has shown to be somebody go before all others.
    """

    def __init__(self, app: ASGIApp, config: Config, most: int) -> None:
        self._app = app
        self._config = config
        self._tls: ssl.SSLContext | None = config.create_ssl_context()
        self._most = most
        self._open: set[Way] = set()
        self._is_over = False

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve until it is cancelled, which ends all of them at once."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_all_at_last)
            await trio.serve_listeners(
                self._serve_one, listeners, handler_nursery=nursery, task_status=task_status
            )

    async def _end_all_at_last(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._is_over = True
            for way in self._open:
                way.end()

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        if self._is_over:
            return
        if len(self._open) >= self._most:
            silent = min(self._open, key=lambda one: (one.is_known, one.last_moved))
            self._open.discard(silent)
            silent.end()
        way = Way(stream)
        self._open.add(way)
        whole: Any = way
        if self._tls is not None:
            whole = trio.SSLStream(way, self._tls, server_side=True, https_compatible=True)
        context, state = WorkerContext(None), ConnectionState({})
        app = ASGIWrapper(cast("Any", partial(self._answer, context, way)))
        try:
            server = TCPServer(app, self._config, context, state, whole)
            way.is_over = partial(_speaks_http_2, server)
            await server.run()
        except* Exception as errors:
            # Not our application's, which answers for its own: they went, were let go in the midst
            # of a handshake, or sent what is no HTTP. Nobody shall fill a log with tracebacks so.
            logger.debug("A connection to the HTTP API was ended: %r", errors)
        finally:
            self._open.discard(way)

    async def _answer(
        self, context: WorkerContext, way: Way, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have a request answered; after one that is no HTTP/1, its connection ends.

        The server goes over to HTTP/2 for whoever asks so in the clear, which no setting of it
        forbids: the application refuses it, and no more of it is heard.
        """
        scope[_WAY] = way
        if not is_http_1(scope):
            await context.terminated.set()
        await self._app(scope, receive, send)


def known(scope: MutableMapping[str, Any]) -> None:
    """Whoever asks has shown to be somebody who may."""
    way = scope.get(_WAY)
    if isinstance(way, Way):
        way.is_known = True


def _speaks_http_2(server: TCPServer) -> bool:
    """Whether a server has gone over to HTTP/2, whose frames nobody here bounds."""
    protocol = getattr(server, "protocol", None)
    return isinstance(getattr(protocol, "protocol", None), H2Protocol)


def is_http_1(scope: Scope) -> bool:
    """Whether something is asked for by HTTP/1.1, or 1.0."""
    return str(scope["http_version"]).startswith("1.")
