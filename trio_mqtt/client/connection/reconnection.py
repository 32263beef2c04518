"""Keeping a client connected: one connection after the other, until it is closed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio

from trio_mqtt.client.connection.attempts import AttemptLog
from trio_mqtt.client.connection.backoff import Backoff, Delays
from trio_mqtt.client.connection.connection import CLOSE_TIMEOUT, Connection
from trio_mqtt.client.connection.handshake import Settings, connect, is_distrusted, is_lasting
from trio_mqtt.client.connection.redirection import STOOD, Redirection, is_redirection
from trio_mqtt.client.events import (
    Connected,
    ConnectionEvent,
    ConnectionEvents,
    ConnectionLost,
    Reconnecting,
)
from trio_mqtt.client.journal import Journal
from trio_mqtt.client.session import Session
from trio_mqtt.client.status import ClientStatus, ConnectionState
from trio_mqtt.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    LocalProtocolError,
    MqttError,
    StoreError,
)
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Disconnect
from trio_mqtt.transport.urls import Address

logger = logging.getLogger("trio_mqtt.client")


class Upkeep:
    """The task behind a client, and what it tells about the connection."""

    def __init__(
        self,
        settings: Settings,
        version: ProtocolVersion | None,
        *,
        reconnect: bool | Backoff,
        follow_redirection: bool,
        on_event: Callable[[ConnectionEvent], None] | None,
    ) -> None:
        self.settings = settings
        self.version = version  # None until one has been agreed on
        self.session = Session()
        self._followers: set[ConnectionEvents] = set()
        self._present: list[ConnectionEvent] = []  # what tells how things stand now
        self._log = AttemptLog(logger)
        # What is to be done first on each connection; `greeted` once that has been done.
        self.on_connect: Callable[[], Awaitable[object]] | None = None
        self.greeted = anyio.Event()
        self.failure: Exception | None = None  # what has ended the client
        # Cancelling the block must not cut the connection before DISCONNECT: leaving the block
        # ends the connection, always and within bounded time.
        self.serving = anyio.CancelScope(shield=True)
        self.journaling = anyio.CancelScope(shield=True)
        self.status = ClientStatus(ConnectionState.CONNECTING)
        self._reconnect = reconnect is not False
        self._on_event = on_event
        self._delays = Delays(reconnect if isinstance(reconnect, Backoff) else Backoff())
        self._redirection = Redirection(settings.address, allowed=follow_redirection)
        self._clean_start = settings.clean_start
        self._closing = False

    def keep_in(self, journal: Journal) -> None:
        """Go on with what the store holds, as the client that it belongs to."""
        self.settings = replace(self.settings, client_id=journal.client_id)
        self.session.keep_in(journal)

    async def keep_journal(self, journal: Journal, everything: anyio.CancelScope) -> None:
        """Let the journal write; a client whose store cannot be written is at its end."""
        try:
            with self.journaling:
                await journal.run()
        except StoreError as error:
            self.failure = error
            self.session.end(error)
            everything.cancel()

    async def connect_first(self, *, wait_for_broker: bool) -> Connection:
        """The first connection; serve it with `stay_connected`."""
        connection = await (self._connect_again(None) if wait_for_broker else self._connect())
        if connection.connack.session_present:
            self.session.incoming.keep_unclaimed()
        self._attach(connection)
        return connection

    def _attach(self, connection: Connection) -> None:
        if self.on_connect is not None:
            self.session.hold()
        self.session.attach(connection)

    async def _connect(self) -> Connection:
        """A connection to where the client belongs, or to where it is sent from there."""
        redirection = self._redirection
        redirection.settle()
        self._go_to(redirection.home)
        try:
            return await self._connect_here()
        except ConnectionRefusedByBrokerError as error:
            if not is_redirection(error):
                raise
            return await self._follow(error)

    async def _follow(self, error: MqttError) -> Connection:
        """Go where a broker sends the client: the first of the servers it names that answers.

        Raises the error of the last of them where none does.
        """
        redirection = self._redirection
        while True:
            last: MqttError = error
            for target in redirection.targets(error, self.settings.address):
                self._go_to(target)
                try:
                    connection = await self._connect_here()
                except ConnectionFailedError as failure:
                    last = failure
                except ConnectionRefusedByBrokerError as refusal:
                    last = refusal
                    if is_redirection(refusal):
                        break
                else:
                    redirection.arrived(target)
                    return connection
            if not is_redirection(last):
                raise last
            error = last

    def _go_to(self, address: Address) -> None:
        if address != self.settings.address:
            self.settings = replace(self.settings, address=address)

    async def _connect_here(self) -> Connection:
        connection = await connect(self.settings, self.version, clean_start=self._clean_start)
        self.version = connection.protocol.version
        assigned = connection.connack.properties.get("assigned_client_identifier")
        if assigned:
            self.settings = replace(self.settings, client_id=assigned)
        if self.version == ProtocolVersion.V5:
            # From now on the session is to be found again. In MQTT 3 the flag also says that
            # the session ends with the connection, and has to go on saying it.
            self._clean_start = False
        return connection

    async def _connect_again(self, reason: MqttError | None) -> Connection:
        """Try until it succeeds or is to be given up; the first time at once if nothing failed."""
        # A certificate that was good once may be so again; one that never was is a mistake.
        first = reason is None
        while True:
            if reason is not None:
                await self._pause(reason)
            try:
                return await self._connect()
            except LocalProtocolError:
                raise
            except MqttError as error:
                if is_lasting(error) or (first and is_distrusted(error)):
                    raise
                reason = error
                self.tell(ConnectionLost(error))

    async def _pause(self, reason: MqttError) -> None:
        """Wait before the next attempt; raise `reason` where there is none left."""
        now = anyio.current_time()
        delay = self._delays.next_delay(now)
        attempt = self._delays.attempt
        if delay is None:
            reason.add_note(f"Given up after {attempt} attempts to connect again.")
            raise reason
        self.status = ClientStatus(ConnectionState.WAITING, reason, attempt, now + delay)
        settings = self.settings
        self._log.failed(
            reason, settings.client_id, self._redirection.home.url, delay=delay, now=now
        )
        self.tell(Reconnecting(delay, attempt))
        await anyio.sleep(delay)
        self.status = ClientStatus(ConnectionState.CONNECTING, reason, attempt)

    async def stay_connected(self, connection: Connection, everything: anyio.CancelScope) -> None:
        """Serve one connection after the other until the client is closed or cannot go on."""
        session = self.session
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
            self.status = ClientStatus(ConnectionState.CLOSED, reason)
            session.end(reason)
            everything.cancel()

    async def _serve(self, connection: Connection) -> None:
        while True:
            since = anyio.current_time()
            reason = await self._serve_one(connection)
            if reason is None or self._closing:
                return
            stood_for = anyio.current_time() - since
            self._delays.connection_ended(stood_for)
            self.tell(ConnectionLost(reason))
            if stood_for >= STOOD:
                self._redirection.settle()
            if self._redirection.allowed and is_redirection(reason):
                connection = await self._connect_where_sent(reason)
            elif not self._reconnect or is_lasting(reason):
                raise reason
            else:
                connection = await self._connect_again(reason)
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
        on_connect = self.on_connect
        if on_connect is None:
            return await connection.run(self.session)
        raised: list[Exception] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._greet, connection, on_connect, raised)
                reason = await connection.run(self.session)
                tasks.cancel_scope.cancel()
        finally:
            self.session.release()
        if raised:
            raise raised[0]
        return reason

    async def _greet(
        self,
        connection: Connection,
        on_connect: Callable[[], Awaitable[object]],
        raised: list[Exception],
    ) -> None:
        """Do what comes first on a connection: cancelled when that is lost, and done anew then."""
        session = self.session
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
            self.greeted.set()

    async def _connect_where_sent(self, reason: MqttError) -> Connection:
        """Follow DISCONNECT; where nobody answers, begin again at home."""
        try:
            return await self._follow(reason)
        except LocalProtocolError:
            raise
        except MqttError as error:
            if not self._reconnect or is_lasting(error):
                raise
            self.tell(ConnectionLost(error))
            reason = error
        return await self._connect_again(reason)

    async def close(self) -> None:
        """Leave in order: DISCONNECT, and all that was written before it."""
        self._closing = True
        if self.status.state is not ConnectionState.CLOSED:
            self.status = ClientStatus(ConnectionState.CLOSED)
        session = self.session
        connection = session.connection
        session.end(
            ConnectionLostError(f"The client of {self.settings.address.url} is closed."),
            in_order=True,
        )
        for events in self._followers:
            events.close()
        if connection is not None and connection.lost is None:
            await connection.close(Disconnect())

    def tell_connected(self, connection: Connection) -> None:
        """Say that this connection stands."""
        present = connection.connack.session_present
        settings = self.settings
        version = connection.protocol.version
        self.tell(Connected(settings.address.url, settings.client_id, present, version))

    def tell(self, event: ConnectionEvent) -> None:
        """Let everybody who follows the connection know."""
        match event:
            case Connected():
                self.status = ClientStatus(ConnectionState.CONNECTED)
                self._log.connected(event, anyio.current_time())
                self._present = [event]
            case ConnectionLost():
                if self.status.state is ConnectionState.CONNECTED:
                    self.status = ClientStatus(ConnectionState.CONNECTING, event.reason)
                self._present = [event]
            case Reconnecting():
                self._present.append(event)
        for events in self._followers:
            events.push(event)
        if self._on_event is not None:
            self._on_event(event)

    def follow(self) -> ConnectionEvents:
        """A stream of events that begins with how things stand now; `unfollow` ends it."""
        events = ConnectionEvents()
        for event in self._present:
            events.push(event)
        if self._closing:
            events.close()
        self._followers.add(events)
        return events

    def unfollow(self, events: ConnectionEvents) -> None:
        """Nobody reads these any more."""
        self._followers.discard(events)
