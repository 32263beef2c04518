"""A broker over memory streams, for tests of programs that use one: no port, no real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from trio_mqtt.broker.authentication import Authenticator
from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.security import Security
from trio_mqtt.broker.server import running
from trio_mqtt.storage.records import Storage

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


@asynccontextmanager
async def open_memory_broker(
    *,
    limits: Limits | None = None,
    options: BrokerOptions | None = None,
    storage: Storage | None = None,
    authenticators: Mapping[str, Authenticator] | None = None,
    authentication_required: bool = False,
    security: Security | None = None,
) -> AsyncIterator[MemoryBroker]:
    """Run a broker without any port for as long as the context lasts.

    With Trio's `autojump_clock` its timeouts pass in no time.

        async with trio_mqtt.testing.open_memory_broker() as memory:
            stream = memory.connect()
    """
    broker = Broker(
        limits or Limits(),
        options,
        authenticators=authenticators,
        authentication_required=authentication_required,
        security=security,
    )
    await broker.locks.load()
    async with running(broker, storage=storage) as nursery:
        yield MemoryBroker(broker, nursery)
