"""Connections that wait for what comes in a stream, each for one reader at a time."""

from __future__ import annotations

import trio
from coredis.exceptions import AskError, RedisError

from trio_mqtt.cluster.engine.addresses import Place
from trio_mqtt.cluster.engine.calls import Call, EngineGoneError, EngineRefusedError
from trio_mqtt.cluster.engine.connecting import Connector
from trio_mqtt.cluster.engine.connection import Connection

# Entries of one read: what it brings is in memory at once.
READ_ENTRIES = 1_000

Entries = list[tuple[bytes, dict[bytes, bytes]]]


class Readers:
    """As many connections as there are readers; one that reads on finds its own again."""

    def __init__(self, connector: Connector, patience: float) -> None:
        self._connector = connector
        self._patience = patience
        self._idle: dict[Place, list[Connection]] = {}
        self._in_use: set[Connection] = set()
        self._is_closed = False

    def close(self) -> None:
        """End all of them, under those who wait for something too."""
        self._is_closed = True
        for connections in (self._in_use, *self._idle.values()):
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def read(
        self,
        place: Place,
        key: bytes,
        after: bytes,
        *,
        count: int,
        block: float,
        asking: bool = False,
    ) -> Entries:
        """Entries of a stream after an identifier, at most `count`; none came in `block` seconds if
        there are none. `asking` reads what is on its way to that place from another.

        Raises EngineGoneError, EngineRefusedError, and AskError where the stream is elsewhere.
        """
        idle = self._idle.setdefault(place, [])
        connection = idle.pop() if idle else await self._connector.connect(place)
        milliseconds = max(1, round(block * 1000))
        call = Call(
            b"XREAD",
            *(b"COUNT", min(count, READ_ENTRIES), b"BLOCK", milliseconds),
            *(b"STREAMS", key, after),
        )
        self._in_use.add(connection)
        try:
            if self._is_closed:
                raise EngineGoneError(f"{connection.where} is lost: the connection has ended.")
            with trio.fail_after(block + self._patience):
                *_, answer = await connection.ask(*(Call(b"ASKING"),) * asking, call)
        except BaseException as error:
            # What would still be answered would be taken for the answer to the next read.
            connection.close()
            if isinstance(error, trio.TooSlowError):
                raise EngineGoneError(
                    f"{connection.where} does not answer: nothing came within {self._patience:g} s."
                ) from None
            raise
        finally:
            self._in_use.discard(connection)
        idle.append(connection)
        if isinstance(answer, AskError):
            raise answer
        if isinstance(answer, RedisError):
            raise EngineRefusedError(str(answer))
        return _entries(answer)


def _entries(answer: object) -> Entries:
    if not isinstance(answer, dict):
        return []
    return [
        (entry, dict(zip(fields[::2], fields[1::2], strict=True)))
        for entries in answer.values()
        for entry, fields in entries
    ]
