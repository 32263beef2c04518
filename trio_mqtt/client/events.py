"""What becomes of the client's connection, for a program that wants to say so."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import anyio

from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.records import record

# Events that wait for one reader; where it does not read, the oldest are forgotten.
EVENT_BUFFER = 100


@record
class Connected:
    """The broker accepted the connection; `session_present` says whether it knew the session."""

    url: str
    client_id: str
    session_present: bool
    protocol_version: ProtocolVersion


@record
class ConnectionLost:
    """The connection, or an attempt to make one, failed; `reason` says why."""

    reason: MqttError


@record
class Reconnecting:
    """The next attempt begins in `delay` seconds; `attempt` counts from 1."""

    delay: float
    attempt: int


@record
class ServerFailed:
    """One of several servers, at `url`, could not be used, and the next is tried.

    Where it was the last, `ConnectionLost` follows, with what is to be said of all.
    """

    url: str
    reason: MqttError


ConnectionEvent: TypeAlias = Connected | ConnectionLost | Reconnecting | ServerFailed


class ConnectionEvents:
    """An async iterator of connection events, from when it was made until the client is closed.

    It keeps up to 100 events that were not taken yet; then the oldest is forgotten for each new.
    """

    def __init__(self) -> None:
        self._queue: deque[ConnectionEvent] = deque(maxlen=EVENT_BUFFER)
        self._changed = anyio.Event()
        self._closed = False

    def __aiter__(self) -> ConnectionEvents:
        return self

    async def __anext__(self) -> ConnectionEvent:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            changed = self._changed
            await changed.wait()
        return self._queue.popleft()

    async def take(self) -> list[ConnectionEvent]:
        """All events that are here, at least one: it waits for that as iterating does.

        Raises StopAsyncIteration where iterating would end.
        """
        taken = [await self.__anext__(), *self._queue]
        self._queue.clear()
        return taken

    def push(self, event: ConnectionEvent) -> None:
        """Add an event (the client does)."""
        self._queue.append(event)
        self._wake()

    def close(self) -> None:
        """End the iteration after what is queued."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
