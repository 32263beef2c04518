"""A TCP proxy between a node and its engine that can delay, stand still, cut and refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.cluster.redis import RedisServer
from trio_mqtt.nurseries import tasks_beside


class Proxy:
    """What lies between. `port` is where to connect to; everything may be changed meanwhile."""

    def __init__(self, redis: RedisServer) -> None:
        self.redis = redis
        self.port = 0
        self.delay = 0.0
        """Seconds that each piece waits, each way."""
        self.refuses = False
        """Connections are ended as soon as they are accepted."""
        self.connections = 0
        """How many there have been, refused ones too."""
        self._flows = trio.Event()
        self._flows.set()
        self._live: set[trio.SocketStream] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Nothing goes through any more, and no connection ends."""
        self._flows = trio.Event()

    def go_on(self) -> None:
        """Everything goes through again, with what waited."""
        self._flows.set()

    def cut(self) -> None:
        """End all connections."""
        for stream in self._live:
            stream.socket.close()
        self._live.clear()

    async def serve(self, task_status: trio.TaskStatus[None]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._handle, [listener])

    async def _handle(self, node: trio.SocketStream) -> None:
        self.connections += 1
        if self.refuses:
            return
        try:
            engine = await trio.open_unix_socket(str(self.redis.path))
        except OSError:
            return
        self._live |= {node, engine}
        try:
            async with node, engine, trio.open_nursery() as nursery:
                nursery.start_soon(self._carry, node, engine, nursery.cancel_scope)
                nursery.start_soon(self._carry, engine, node, nursery.cancel_scope)
        finally:
            self._live -= {node, engine}

    async def _carry(
        self, there: trio.SocketStream, here: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        try:
            while data := await there.receive_some(65536):
                if self.delay:
                    await trio.sleep(self.delay)
                await self._flows.wait()
                await here.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def open_proxy(redis: RedisServer) -> AsyncIterator[Proxy]:
    proxy = Proxy(redis)
    async with tasks_beside() as nursery:
        await nursery.start(proxy.serve)
        yield proxy
