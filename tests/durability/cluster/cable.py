"""The way from a node to the engine, which is cut: what is under way is lost."""

from __future__ import annotations

from contextlib import suppress

import trio

CHUNK = 65_536


class Cable:
    """Listens at a port, and carries what comes to another."""

    def __init__(self, to: int) -> None:
        self.port = 0
        self._to = to
        self._is_cut = False
        self._healed = trio.Event()
        self._carried: set[trio.CancelScope] = set()

    async def carry(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._connect, listeners)

    def silence(self) -> None:
        """Carry nothing more, on connections that stay open."""
        self._is_cut = True

    def cut(self) -> None:
        """Carry nothing more: connections end, and so do new ones."""
        self._is_cut = True
        for scope in list(self._carried):
            scope.cancel()

    def heal(self) -> None:
        """Carry again: what came meanwhile on a connection that stayed open arrives late."""
        self._is_cut = False
        self._healed.set()
        self._healed = trio.Event()

    async def _connect(self, client: trio.SocketStream) -> None:
        with trio.CancelScope() as scope, suppress(OSError):
            self._carried.add(scope)
            try:
                if self._is_cut:
                    return
                engine = await trio.open_tcp_stream("127.0.0.1", self._to)
                async with client, engine, trio.open_nursery() as nursery:
                    nursery.start_soon(self._copy, client, engine, nursery.cancel_scope)
                    nursery.start_soon(self._copy, engine, client, nursery.cancel_scope)
            finally:
                self._carried.discard(scope)
                await trio.aclose_forcefully(client)

    async def _copy(
        self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(CHUNK):
                while self._is_cut:
                    await self._healed.wait()
                await sink.send_all(data)
        scope.cancel()
