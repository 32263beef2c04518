"""A cable between a client and a broker, to be cut: how a connection breaks without a word."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

import anyio
import trio
from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal

from .peers import Server

CHUNK = 65_536


class _Carried:
    """What goes through a cable: connections, those that wait included while it is interrupted."""

    def __init__(self) -> None:
        self.connections: set[trio.CancelScope] = set()
        self.goes_on = trio.Event()
        self.goes_on.set()

    def interrupt(self) -> None:
        self.goes_on = trio.Event()
        for scope in list(self.connections):
            scope.cancel()


class Cable:
    """Connect to `server` instead of the broker; both ends lose the connection at `cut`."""

    def __init__(
        self,
        server: Server,
        running: Future[None],
        carried: _Carried,
        portal: BlockingPortal,
    ) -> None:
        self.server = server
        self._running = running
        self._carried = carried
        self._portal = portal

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Break the connections that there are. New ones wait for the end of the block."""
        self._portal.call(self._carried.interrupt)
        try:
            yield
        finally:
            self._portal.call(self._carried.goes_on.set)

    def cut(self) -> None:
        """Break all connections, for good."""
        if not self._running.cancelled() and not self._running.cancel():
            self._running.result()  # it failed: say why


@contextmanager
def open_cable(to: Server, portal: BlockingPortal) -> Iterator[Cable]:
    """A cable to a broker, which lasts as long as the context unless it is cut."""
    carried = portal.call(_Carried)
    running, server = portal.start_task(partial(_carry, to, carried))
    cable = Cable(server, running, carried, portal)
    try:
        yield cable
    finally:
        cable.cut()


async def _carry(
    to: Server,
    carried: _Carried,
    *,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
) -> None:
    async def connect(client: trio.SocketStream) -> None:
        await carried.goes_on.wait()
        broker = await trio.open_tcp_stream(to.host, to.port)
        async with client, broker, trio.open_nursery() as nursery:
            carried.connections.add(nursery.cancel_scope)
            nursery.start_soon(_copy, client, broker)
            nursery.start_soon(_copy, broker, client)
        carried.connections.discard(nursery.cancel_scope)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(Server("127.0.0.1", listeners[0].socket.getsockname()[1]))
    await trio.serve_listeners(connect, listeners)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        while data := await source.receive_some(CHUNK):
            await sink.send_all(data)
        await sink.send_eof()
    except trio.BrokenResourceError:
        pass  # one end is gone; the other copy sees it too
