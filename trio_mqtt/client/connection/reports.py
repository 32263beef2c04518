"""What a client tells of its connection: its status, its events, its log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from trio_mqtt.client.connection.attempt_log import AttemptLog
from trio_mqtt.client.events import (
    Connected,
    ConnectionEvent,
    ConnectionEvents,
    ConnectionLost,
    Reconnecting,
    ServerFailed,
)
from trio_mqtt.client.status import ClientStatus, ConnectionState
from trio_mqtt.errors import MqttError

logger = logging.getLogger("trio_mqtt.client")


class Reports:
    """Tells everybody who follows a client's connection what becomes of it."""

    def __init__(self, on_event: Callable[[ConnectionEvent], None] | None) -> None:
        self.status = ClientStatus(ConnectionState.CONNECTING)
        self._on_event = on_event
        self._log = AttemptLog(logger)
        self._streams: set[ConnectionEvents] = set()
        self._present: list[ConnectionEvent] = []  # what tells how things stand now
        self._closed = False

    def connected(self, event: Connected) -> None:
        """There is a connection."""
        self.status = ClientStatus(ConnectionState.CONNECTED)
        self._log.connected(event, anyio.current_time())
        self._present = [event]
        self._tell(event)

    def lost(self, reason: MqttError) -> None:
        """The connection, or an attempt to make one, failed."""
        if self.status.state is ConnectionState.CONNECTED:
            self.status = ClientStatus(ConnectionState.CONNECTING, reason)
        event = ConnectionLost(reason)
        self._present = [event]
        self._tell(event)

    def server_failed(self, url: str, reason: MqttError) -> None:
        """One of several servers could not be used; there may be another."""
        logger.info("%s The next server is tried, if there is one.", reason)
        self._tell(ServerFailed(url, reason))

    def waiting(
        self,
        reason: MqttError,
        client_id: str,
        url: str,
        *,
        delay: float,
        attempt: int,
        now: float,
    ) -> None:
        """The next attempt, at the broker of that address, begins in `delay` seconds."""
        self.status = ClientStatus(ConnectionState.WAITING, reason, attempt, now + delay)
        self._log.failed(reason, client_id, url, delay=delay, now=now)
        event = Reconnecting(delay, attempt)
        self._present.append(event)
        self._tell(event)

    def trying_again(self, reason: MqttError, attempt: int) -> None:
        """The next attempt begins."""
        self.status = ClientStatus(ConnectionState.CONNECTING, reason, attempt)

    def failed(self, reason: MqttError) -> None:
        """The client is at its end."""
        self.status = ClientStatus(ConnectionState.CLOSED, reason)

    def closed(self) -> None:
        """The client is closed, whether it had failed before or not."""
        if self.status.state is not ConnectionState.CLOSED:
            self.status = ClientStatus(ConnectionState.CLOSED)
        self._closed = True
        for events in self._streams:
            events.close()

    @contextmanager
    def following(self) -> Iterator[ConnectionEvents]:
        """A stream of events that begins with how things stand now."""
        events = ConnectionEvents()
        for event in self._present:
            events.push(event)
        if self._closed:
            events.close()
        self._streams.add(events)
        try:
            yield events
        finally:
            self._streams.discard(events)

    def _tell(self, event: ConnectionEvent) -> None:
        for events in self._streams:
            events.push(event)
        if self._on_event is not None:
            self._on_event(event)
