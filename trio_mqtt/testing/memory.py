"""A broker over memory streams, for tests on Trio: it needs no port, and no real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import trio
from anyio.abc import ByteStream

from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.core import Core
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.server import running
from trio_mqtt.client.client import Client
from trio_mqtt.client.opening import open_client
from trio_mqtt.errors import ConnectionFailedError
from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.storage.rows import Storage
from trio_mqtt.testing.asynchronous import AsyncBroker
from trio_mqtt.testing.hosting import BrokerHost
from trio_mqtt.testing.memory_streams import ClientByteStream, ClientStream, sever, stream_pair
from trio_mqtt.testing.network.memory_network import MemoryNetwork
from trio_mqtt.testing.recording import Recording
from trio_mqtt.testing.watching import Watching
from trio_mqtt.transport.urls import Address

T = TypeVar("T")


class MemoryBroker(AsyncBroker):
    """A broker that listens nowhere; clients reach it by `connect` and `open_client`.

    `open_memory_broker` makes one. What an `AsyncBroker` can, it can on its own Trio.
    """

    def __init__(self, host: Callable[[MemoryBroker], BrokerHost], nursery: trio.Nursery) -> None:
        self._host = host(self)
        self._watching = Watching(self._host)
        self._network: MemoryNetwork | None = None
        self._nursery = nursery
        self._tasks: trio.Nursery | None = None
        self._connections: dict[ClientStream, None] = {}

    @property
    def broker(self) -> Broker:
        """The broker that runs, or the last that ran; after `restart` it is another."""
        return self._host.latest or self._host.broker

    def connect(self, *, lockstep: bool = False, peer: str = "memory") -> ClientStream:
        """A new connection's client end: any Trio stream, on which to speak MQTT.

        What is sent waits in memory without bound. With `lockstep` the broker's writing waits until
        the client reads, as if nothing lay between the two: a client that reads nothing is one
        that froze. Raises RuntimeError while the broker is stopped.
        """
        broker = self._host.broker
        ours, theirs = stream_pair(lockstep=lockstep)
        if self._tasks is not None:
            self._connections[theirs] = None
            self._tasks.start_soon(self._serve, broker, theirs, peer)
        return ours

    async def _serve(self, broker: Broker, stream: ClientStream, peer: str) -> None:
        try:
            await broker.handle(stream, peer)
        finally:
            self._connections.pop(stream, None)

    def open_client(self, **options: Any) -> AbstractAsyncContextManager[Client]:
        """A client of this broker; `options` are those of `trio_mqtt.open_client`.

        async with memory.open_client(client_id="me") as client: ...
        """

        async def connect(_address: Address) -> ByteStream:
            await trio.lowlevel.checkpoint()
            return ClientByteStream(self._connect())

        return open_client("mqtt://memory:1883", connector=connect, **options)

    @property
    def network(self) -> MemoryNetwork:
        """The network before it, by which clients connect that a test wants to disturb."""
        if self._network is None:
            self._network = MemoryNetwork(self._connect, self._nursery)
        return self._network

    def _connect(self) -> ClientStream:
        """A connection by the network. Raises ConnectionFailedError while the broker is stopped."""
        if not self._host.is_running:
            raise ConnectionFailedError("Nothing listens at mqtt://memory:1883.")
        return self.connect()

    def _look(self, work: Callable[[BrokerHost, Watching], T]) -> T:
        return work(self._host, self._watching)

    async def _do(self, work: Callable[[BrokerHost, Watching], Awaitable[T]]) -> T:
        __tracebackhide__ = True
        return await work(self._host, self._watching)

    def _sever(self) -> None:
        for stream in list(self._connections):
            sever(stream)

    @asynccontextmanager
    async def _run(self, core: Core) -> AsyncIterator[Broker]:
        await core.access.load()
        async with running(core) as (broker, self._tasks):
            yield broker


@asynccontextmanager
async def open_memory_broker(
    *,
    limits: Limits | None = None,
    options: BrokerOptions | None = None,
    storage: Storage | None = None,
    security: Security | None = None,
    recorded: bool = True,
) -> AsyncIterator[MemoryBroker]:
    """Run a broker without any port for as long as the context lasts.

    With Trio's `autojump_clock` its timeouts pass in no time, and those of its clients. Without
    `recorded` it does not remember what was published, and nothing can be asserted of it.

        async with trio_mqtt.testing.open_memory_broker() as memory:
            stream = memory.connect()
    """
    async with tasks_beside() as nursery:

        def host(memory: MemoryBroker) -> BrokerHost:
            return BrokerHost(
                nursery,
                lambda kept: memory._run(  # noqa: SLF001 # its own, before it is whole
                    Core(limits or Limits(), options, security=security, storage=kept)
                ),
                memory._sever,  # noqa: SLF001
                storage=storage,
                recording=Recording() if recorded else None,
            )

        memory = MemoryBroker(host, nursery)
        await memory.start()
        try:
            yield memory
        finally:
            with trio.CancelScope(shield=True):
                await memory._host.end()  # noqa: SLF001
