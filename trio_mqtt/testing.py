"""For tests of programs that use MQTT: a broker over memory streams, and one in a thread.

The one over memory streams needs no port and no real time; it is for tests on Trio. The one in a
thread listens on a free port, for any client of any test; the fixture `mqtt_broker` is that.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import trio
import trio.testing
from anyio.abc import ByteStream

from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.core import Core
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.server import open_broker, running
from trio_mqtt.client.client import Client
from trio_mqtt.client.opening import open_client
from trio_mqtt.records import record
from trio_mqtt.storage.rows import Storage
from trio_mqtt.transport.urls import Address, parse_url

ClientStream = trio.StapledStream[Any, Any]


class MemoryBroker:
    """A broker that listens nowhere; clients reach it by `connect`."""

    def __init__(self, broker: Broker, nursery: trio.Nursery) -> None:
        self.broker = broker
        self._nursery = nursery

    def connect(self, *, lockstep: bool = False, peer: str = "memory") -> ClientStream:
        """A new connection's client end: any Trio stream, on which to speak MQTT.

        What is sent waits in memory without bound. With `lockstep` the broker's writing waits until
        the client reads, as if nothing lay between the two: a client that reads nothing is one
        that froze.
        """
        ours: ClientStream
        theirs: ClientStream
        if lockstep:
            to_broker, from_client = trio.testing.memory_stream_one_way_pair()
            to_client, from_broker = trio.testing.lockstep_stream_one_way_pair()
            ours = trio.StapledStream(to_broker, from_broker)
            theirs = trio.StapledStream(to_client, from_client)
        else:
            ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.broker.handle, theirs, peer)
        return ours

    def open_client(self, **options: Any) -> AbstractAsyncContextManager[Client]:
        """A client of this broker; `options` are those of `trio_mqtt.open_client`.

        async with memory.open_client(client_id="me") as client: ...
        """

        async def connect(_address: Address) -> ByteStream:
            return _MemoryStream(self.connect())

        return open_client("mqtt://memory:1883", connector=connect, **options)


class _MemoryStream(ByteStream):
    """A Trio stream as the client uses streams."""

    def __init__(self, stream: ClientStream) -> None:
        self._stream = stream

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            raise anyio.BrokenResourceError from error
        except trio.ClosedResourceError as error:
            raise anyio.ClosedResourceError from error
        if not data:
            raise anyio.EndOfStream
        return bytes(data)

    async def send(self, item: bytes) -> None:
        try:
            await self._stream.send_all(item)
        except trio.BrokenResourceError as error:
            raise anyio.BrokenResourceError from error
        except trio.ClosedResourceError as error:
            raise anyio.ClosedResourceError from error

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def open_memory_broker(
    *,
    limits: Limits | None = None,
    options: BrokerOptions | None = None,
    storage: Storage | None = None,
    security: Security | None = None,
) -> AsyncIterator[MemoryBroker]:
    """Run a broker without any port for as long as the context lasts.

    With Trio's `autojump_clock` its timeouts pass in no time.

        async with trio_mqtt.testing.open_memory_broker() as memory:
            stream = memory.connect()
    """
    core = Core(
        limits or Limits(),
        options,
        security=security,
        storage=storage,
    )
    await core.access.load()
    async with running(core) as (broker, nursery):
        yield MemoryBroker(broker, nursery)


@record
class BrokerAddress:
    """Where a broker listens."""

    url: str
    host: str
    port: int


@contextmanager
def broker_in_thread(url: str = "mqtt://127.0.0.1:0", **options: Any) -> Iterator[BrokerAddress]:
    """Run a broker in a thread for as long as the context lasts: for tests of any kind.

    Port 0 takes a free one. `options` and errors are those of `trio_mqtt.open_broker`.

        with trio_mqtt.testing.broker_in_thread() as broker:
            print(broker.url, broker.host, broker.port)
    """
    thread = _BrokerThread(url, options)
    thread.start()
    try:
        yield thread.address()
    finally:
        thread.end()


class _BrokerThread:
    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._url = url
        self._options = options
        self._thread = threading.Thread(target=self._run, name="mqtt broker")
        self._ready = threading.Event()
        self._listening: str | None = None
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def address(self) -> BrokerAddress:
        if self._listening is None:
            self._thread.join()
            error, self._error = self._error, None
            raise error or AssertionError("the broker ended without an error")
        address = parse_url(self._listening)
        return BrokerAddress(self._listening, address.host, address.port)

    def end(self) -> None:
        if self._token is not None:
            with suppress(trio.RunFinishedError):  # by an error, which is raised below
                self._token.run_sync_soon(self._scope.cancel)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with open_broker(self._url, **self._options) as broker:
            self._token = trio.lowlevel.current_trio_token()
            self._listening = broker.url
            self._ready.set()
            with self._scope:
                await trio.sleep_forever()
