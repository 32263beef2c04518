"""A network of memory streams, in the time of the test."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio
from anyio.abc import ByteStream

from trio_mqtt.client.client import Client
from trio_mqtt.client.opening import open_client
from trio_mqtt.errors import ConnectionFailedError
from trio_mqtt.testing.memory_streams import ClientByteStream, ClientStream, sever, stream_pair
from trio_mqtt.testing.network.links import NetworkLink
from trio_mqtt.testing.network.network import Network
from trio_mqtt.transport.urls import Address


class MemoryNetwork(Network):
    """A `Network` before a `MemoryBroker`: clients that connect by it are concerned.

    Delays pass in the time of the test: in none, with an autojump clock.
    """

    def __init__(self, connect: Callable[[], ClientStream], nursery: trio.Nursery) -> None:
        super().__init__()
        self._connect_to_broker = connect
        self._nursery = nursery
        self._refuses = False

    def connect(self) -> ClientStream:
        """A new connection's client end, through the network, as `MemoryBroker.connect` gives it.

        Raises ConnectionFailedError while the network refuses.
        """
        if self._refuses:
            raise ConnectionFailedError("The network of the test refuses connections.")
        broker = self._connect_to_broker()
        ours, theirs = stream_pair()
        link = NetworkLink(theirs, broker, self._steering, _close)
        self._nursery.start_soon(self._carry, link)
        return ours

    def open_client(self, **options: Any) -> AbstractAsyncContextManager[Client]:
        """A client through the network; `options` are those of `trio_mqtt.open_client`.

        async with memory.network.open_client(client_id="me") as client: ...
        """

        async def connect(_address: Address) -> ByteStream:
            await trio.lowlevel.checkpoint()
            return ClientByteStream(self.connect())

        return open_client("mqtt://memory:1883", connector=connect, **options)

    def _refuse(self) -> None:
        self._refuses = True

    def _accept(self) -> None:
        self._refuses = False


def _close(stream: trio.abc.Stream, _is_sudden: bool) -> None:
    if isinstance(stream, trio.StapledStream):
        sever(stream)
