"""Keeping a client connected: one connection after the other, until it is closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import anyio

from trio_mqtt.client.connection.attempts import Attempts
from trio_mqtt.client.connection.connection import CLOSE_TIMEOUT, Connection, PacketHandler
from trio_mqtt.client.connection.first_packets import closed_anew
from trio_mqtt.client.connection.reports import Reports
from trio_mqtt.client.events import Connected
from trio_mqtt.errors import ConnectionLostError, MqttError
from trio_mqtt.protocol.packets import Disconnect, Packet


class Attached(PacketHandler, Protocol):
    """What goes on from one connection to the next (the session)."""

    connection: Connection | None

    def attach(self, connection: Connection) -> None:
        """Go on with a new connection."""

    def hold(self) -> None:
        """Before a connection is attached: what waits is to wait until `release`."""

    def release(self) -> None:
        """What has waited comes now."""

    def speak_first(self) -> None:
        """What this task does does not wait for `release`."""

    def on_last_packets(self, packets: list[Packet]) -> None:
        """What came on a connection that is over already, and was not attached."""

    def end(self, error: MqttError, *, in_order: bool = False) -> None:
        """There will be no connection any more; `in_order`: as the program wants it."""


class Reconnection:
    """The task behind a client: it serves its connections, and makes the next where one is lost."""

    def __init__(self, attempts: Attempts, session: Attached, reports: Reports) -> None:
        self._attempts = attempts
        self._session = session
        self._reports = reports
        # What is to be done first on each connection, and whether that has been done on one.
        self.on_connect: Callable[[], Awaitable[object]] | None = None
        self.on_connect_returned = anyio.Event()
        self.failure: Exception | None = None  # what has ended the client
        # Cancelling the block must not cut the connection before DISCONNECT: leaving the block
        # ends the connection, always and within bounded time.
        self.serving = anyio.CancelScope(shield=True)
        self._closing = False
        self._served: Connection | None = None  # until it has ended; no longer the session's before

    async def connect_first(self, *, wait_for_broker: bool) -> Connection:
        """The first connection; serve it with `stay_connected`."""
        connection = await self._attempts.first(wait_for_broker=wait_for_broker)
        self._attach(connection)
        return connection

    async def stay_connected(self, connection: Connection, everything: anyio.CancelScope) -> None:
        """Serve one connection after the other until the client is closed or cannot go on."""
        try:
            with self.serving:
                await self._serve(connection)
        except Exception as error:  # `open_client` raises it
            self.failure = error
            reason = (
                error
                if isinstance(error, MqttError)
                else ConnectionLostError(f"The client has failed: {error!r}.")
            )
            self._reports.failed(reason)
            self._session.end(reason)
            everything.cancel()

    def fail(self, error: MqttError) -> None:
        """The client cannot go on, for a reason that lies beside its connection."""
        self.failure = error
        self._session.end(error)

    def tell_connected(self, connection: Connection) -> None:
        """Say that this connection stands."""
        self._reports.connected(
            Connected(
                self._attempts.url,
                self._attempts.settings.client_id,
                connection.connack.session_present,
                connection.protocol.version,
            )
        )

    async def reconnect(self) -> None:
        """End the connection in order, and make the next at once; where there is none, now."""
        connection = self._served
        if connection is None or connection.lost is not None:
            self._attempts.hurry()
            return
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True), suppress(MqttError):
            await connection.close(Disconnect())
        connection.lose(closed_anew(connection.url))

    async def close(self, packet: Disconnect) -> None:
        """Leave in order: DISCONNECT, and all that was written before it.

        Raises LocalProtocolError, before anything is done, for a packet that cannot be sent.
        """
        connection = self._served
        if connection is None or connection.lost is not None:
            connection = None
            if not self._closing:
                self.serving.cancel()  # nothing is there to be ended in order
        else:
            connection.protocol.disconnect(packet)
        self._closing = True
        self._session.end(
            ConnectionLostError(f"The client of {self._attempts.url} is closed."), in_order=True
        )
        self._reports.closed()
        if connection is not None:
            await connection.close(packet)
        self._attempts.watch.close()

    def _attach(self, connection: Connection) -> None:
        if connection.over_at_once is not None:
            return  # nothing can be sent on it
        self._served = connection
        if self.on_connect is not None:
            self._session.hold()
        self._session.attach(connection)

    async def _serve(self, connection: Connection) -> None:
        attempts = self._attempts
        while True:
            since = anyio.current_time()
            reason = await self._serve_one(connection)
            self._served = None
            if self._closing:
                return
            attempts.connection_ended(anyio.current_time() - since)
            if reason is None:  # the program wants another
                self._reports.lost(closed_anew(connection.url))
                connection = await attempts.at_once()
            else:
                self._reports.lost(reason)
                connection = await attempts.next(reason)
            try:
                self._attach(connection)
                self.tell_connected(connection)
            except BaseException:
                await connection.discard()
                raise

    async def _serve_one(self, connection: Connection) -> MqttError | None:
        """Serve a connection until it ends; return why, None where this end closed it.

        Raises what `on_connect` does.
        """
        if connection.over_at_once is not None:
            self._session.on_last_packets(connection.early)
            await connection.discard()
            return connection.over_at_once
        on_connect = self.on_connect
        if on_connect is None:
            return await connection.run(self._session)
        raised: list[Exception] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._call_on_connect, connection, on_connect, raised)
                reason = await connection.run(self._session)
                tasks.cancel_scope.cancel()
        finally:
            self._session.release()
        if raised:
            raise raised[0]
        return reason

    async def _call_on_connect(
        self,
        connection: Connection,
        on_connect: Callable[[], Awaitable[object]],
        raised: list[Exception],
    ) -> None:
        """Do what comes first on a connection: cancelled when that is lost, and done anew then."""
        session = self._session
        session.speak_first()
        try:
            await on_connect()
        except Exception as error:
            if session.connection is not connection and isinstance(error, MqttError):
                return  # it says that the connection was lost
            raised.append(error)
            with anyio.move_on_after(CLOSE_TIMEOUT):
                await connection.close(Disconnect())
            connection.lose(ConnectionLostError(f"The connection to {connection.url} is closed."))
        else:
            session.release()
            self.on_connect_returned.set()
