"""Connections that wait for what comes in a stream, each for one reader at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from coredis.exceptions import RedisError, ResponseError

from trio_mqtt.cluster.engine.addresses import Place
from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.engine.connecting import Connector, connect

if TYPE_CHECKING:
    from coredis.connection import BaseConnection

# Entries of one read: what it brings is in memory at once.
READ_ENTRIES = 1_000

Entries = list[tuple[bytes, dict[bytes, bytes]]]


class Readers:
    """As many connections as there are readers; one that reads on finds its own again."""

    def __init__(self, nursery: trio.Nursery, connector: Connector, timeout: float) -> None:
        self._nursery = nursery
        self._connector = connector
        self._timeout = timeout
        self._idle: dict[Place, list[BaseConnection]] = {}

    async def read(
        self, place: Place, key: bytes, after: bytes, *, count: int, block: float
    ) -> Entries:
        """Entries of a stream after an identifier, at most `count`; none came in `block` seconds if
        there are none.

        Raises EngineGoneError and EngineRefusedError.
        """
        where = f"The engine at {place}"
        connection = await self._taken(place, where)
        milliseconds = max(1, round(block * 1000))
        try:
            reply = await connection.create_request(
                b"XREAD",
                *(b"COUNT", min(count, READ_ENTRIES), b"BLOCK", milliseconds),
                *(b"STREAMS", key, after),
                decode=False,
                timeout=block + self._timeout,
                # An answer that comes later would be taken for that of the next read.
                disconnect_on_cancellation=True,
            )
        except ResponseError as error:
            self._give_back(place, connection)
            raise EngineRefusedError(str(error)) from error
        except TimeoutError as error:
            raise EngineGoneError(
                f"{where} does not answer: nothing came within {self._timeout:g} s."
            ) from error
        except RedisError as error:
            raise EngineGoneError(f"The connection with {place} was lost.") from error
        self._give_back(place, connection)
        return _entries(reply)

    async def _taken(self, place: Place, where: str) -> BaseConnection:
        idle = self._idle.get(place, [])
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        connection = self._connector.connection(place)
        await connect(self._nursery, connection, where, self._timeout)
        return connection

    def _give_back(self, place: Place, connection: BaseConnection) -> None:
        if connection.usable:
            self._idle.setdefault(place, []).append(connection)


def _entries(reply: object) -> Entries:
    if not isinstance(reply, dict):
        return []
    return [
        (entry, dict(zip(fields[::2], fields[1::2], strict=True)))
        for entries in reply.values()
        for entry, fields in entries
    ]
