"""What a client says of its connection, and does about it."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from trio_mqtt.client.arguments import (
    check_message_properties,
    check_request_properties,
    checked_disconnect,
)
from trio_mqtt.client.blocks import plain_block
from trio_mqtt.client.connection.attempts import Attempts
from trio_mqtt.client.connection.connection import CLOSE_TIMEOUT
from trio_mqtt.client.connection.reconnection import Reconnection
from trio_mqtt.client.connection.reports import Reports
from trio_mqtt.client.events import ConnectionEvents
from trio_mqtt.client.packets import PacketEvents
from trio_mqtt.client.session.session import Session
from trio_mqtt.client.status import ClientStatus
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Disconnect
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode


class ConnectedClient:
    """The half of a `Client` that is about its connection."""

    def __init__(
        self, session: Session, attempts: Attempts, reports: Reports, reconnection: Reconnection
    ) -> None:
        self._session = session
        self._attempts = attempts
        self._reports = reports
        self._reconnection = reconnection

    def _check_properties(self, properties: Properties) -> None:
        self._check_has_properties(properties)
        check_message_properties(properties)

    def _check_has_properties(self, properties: Properties) -> None:
        if isinstance(properties, dict) and self._attempts.version != ProtocolVersion.V5:
            raise LocalProtocolError(
                f"MQTT {self.protocol_version.text}, which the broker at {self.url} speaks,"
                " has no properties."
            )

    def _request_properties(self, properties: Properties | None) -> Properties:
        if not properties:
            return NO_PROPERTIES
        self._check_has_properties(properties)
        check_request_properties(properties)
        return properties

    # What can be seen.

    @property
    def url(self) -> str:
        """The broker's address, without credentials."""
        return self._attempts.url

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._session.connection is not None

    @property
    def status(self) -> ClientStatus:
        """How the connection stands, and why."""
        return self._reports.status

    @property
    def client_id(self) -> str:
        """The client identifier, the broker's choice included."""
        return self._attempts.settings.client_id

    @property
    def protocol_version(self) -> ProtocolVersion:
        """The protocol version in use."""
        return self._attempts.version or ProtocolVersion.V5

    @property
    def server_properties(self) -> Properties:
        """What the broker said in CONNACK (MQTT 5.0 §3.2.2.3); empty while not connected."""
        connection = self._session.connection
        return connection.connack.properties if connection is not None else NO_PROPERTIES

    async def wait_connected(self) -> None:
        """Wait until there is a connection. Raises the error that ended the client."""
        await self._session.connected()

    async def reconnect(self) -> None:
        """End the connection that stands, in order, and make the next one at once.

        The session goes on as far as the broker keeps it. While the client waits to connect again,
        it does so now. Returns when there is a connection; raises the error that ended the client.
        It is for who knows better: new credentials, another network, an end of maintenance.
        """
        await checkpoint_if_cancelled()
        await self._reconnection.reconnect()
        await self._session.connected()

    async def disconnect(
        self,
        reason_code: ReasonCode = ReasonCode.SUCCESS,
        *,
        properties: Properties | None = None,
    ) -> None:
        """End the client as leaving its block does, with what DISCONNECT is to say (§3.14.2).

        With DISCONNECT_WITH_WILL_MESSAGE the broker publishes the will. `properties` may be
        `session_expiry_interval` (seconds; not where the session was to end with the connection),
        `reason_string` and `user_property`. From then on, what needs a connection raises
        ConnectionLostError, and iterations end.

        Raises LocalProtocolError, and nothing has ended, for what a client must not say, and for
        anything but SUCCESS in MQTT 3, whose DISCONNECT says nothing. Takes at most 2 seconds.
        """
        code = checked_disconnect(reason_code, properties, self.protocol_version)
        await checkpoint_if_cancelled()
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._reconnection.close(Disconnect(code, properties or NO_PROPERTIES))

    @plain_block("with client.packets() as packets:")
    def packets(self) -> Iterator[PacketEvents]:
        """Follow the packets that are sent and received, to find a fault (bounded).

            with client.packets() as packets:
                async for packet in packets: print(packet)

        It begins with the next packet, and shows those of each connection, CONNECT and CONNACK
        included, without passwords and data of authentication. It ends when the client is closed.
        Each packet is shown before it is dealt with. `on_packet` of `open_client` sees those of the
        first connection, too.
        """
        watch = self._attempts.watch
        events = PacketEvents()
        watch.follow(events)
        connection = self._session.connection
        if connection is not None:
            connection.show_packets(watch)
        try:
            yield events
        finally:
            watch.streams.discard(events)
            connection = self._session.connection
            if not watch.is_followed and connection is not None:
                connection.watch = None

    @plain_block("with client.events() as events:")
    def events(self) -> Iterator[ConnectionEvents]:
        """Follow the connection: yields an async iterator of events (bounded).

            with client.events() as events:
                async for event in events: ...

        It begins with how things stand: `Connected`, while there is a connection, or else
        `ConnectionLost` and, where the client waits, `Reconnecting`. So whoever follows knows of
        every connection, the first included. It ends when the client is closed.
        """
        with self._reports.following() as events:
            yield events

    async def reauthenticate(self) -> None:
        """Authenticate again on the connection that stands (MQTT 5.0 §4.12.1), as before it ends.

        Messages go on meanwhile. While disconnected it waits. Where the broker refuses, it ends the
        connection: DisconnectedByBrokerError, which ends the client. Raises AuthenticationError
        where the broker does not prove what it has to, which ends the client too,
        ConnectionLostError where the connection is lost meanwhile (the next one authenticates
        anyway), and LocalProtocolError where the client has no authentication method.

        Cancelling is safe: what was begun goes on without its caller.
        """
        settings = self._attempts.settings
        if settings.authentication is None:
            raise LocalProtocolError("This client was opened without an authentication method.")
        await checkpoint_if_cancelled()
        while True:
            connection = await self._session.connected()
            running = connection.reauthentication
            if running is None:
                break
            await running.over()
        running = connection.reauthenticate(settings.authentication, settings.connect_timeout)
        await running.wait()
