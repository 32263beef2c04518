"""Attempts to connect: where to, when the next one is due, and when there is none any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio

from trio_mqtt.client.connection.backoff import Backoff, Delays
from trio_mqtt.client.connection.connection import Connection
from trio_mqtt.client.connection.first_packets import Settings, too_late
from trio_mqtt.client.connection.handshake import connect, is_distrusted, is_lasting
from trio_mqtt.client.connection.redirection import STABLE_AFTER, Redirection, is_redirection
from trio_mqtt.client.connection.reports import Reports
from trio_mqtt.client.connection.servers import Servers, SessionPlaces, none_of
from trio_mqtt.client.connection.topic_aliases import Savings
from trio_mqtt.client.connection.transformation import Transform, transformed
from trio_mqtt.client.packets import PacketEvent, PacketWatch
from trio_mqtt.errors import (
    ConnectionFailedError,
    ConnectionRefusedByBrokerError,
    InvalidUrlError,
    LocalProtocolError,
    MqttError,
)
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.transport.urls import Address

# What the program asked for cannot be: another attempt would meet the same.
_OWN_FAULTS = (LocalProtocolError, InvalidUrlError)


class Attempts:
    """Makes one connection of a client after the other.

    `settings` and `version` are those of the connection that stands, or of the last attempt; the
    version is None until one has been agreed on.
    """

    def __init__(
        self,
        settings: Settings,
        version: ProtocolVersion | None,
        reports: Reports,
        *,
        others: Sequence[Address] = (),
        reconnect: bool | Backoff,
        follow_redirection: bool,
        transform: Transform | None = None,
        topic_aliases: int = 0,
        on_packet: Callable[[PacketEvent], None] | None = None,
    ) -> None:
        self.settings = settings
        self.version = version
        self._reports = reports
        self._reconnect = reconnect is not False
        self._delays = Delays(reconnect if isinstance(reconnect, Backoff) else Backoff())
        self._servers = Servers((settings.address, *others))
        self._redirection = Redirection(settings.address, allowed=follow_redirection)
        self._sessions = SessionPlaces()
        self._clean_start = settings.clean_start
        # Those that the program gave beside the URLs, for whichever server.
        self._credentials = settings.username, settings.password
        self._connector = settings.connector
        self._transform = transform
        self._topic_aliases = topic_aliases
        self.savings = Savings()
        self.watch = PacketWatch(on_packet)
        self._waiting: anyio.Event | None = None  # for the next attempt
        self._hurried = False  # it need not be waited for

    @property
    def url(self) -> str:
        """The broker's address, without credentials."""
        return self.settings.address.url

    async def first(self, *, wait_for_broker: bool) -> Connection:
        """The first connection. Raises why there is none."""
        return await (self._until_connected(None) if wait_for_broker else self._connect())

    async def next(self, reason: MqttError) -> Connection:
        """The connection after the one that ended for `reason`; raises why there is to be none."""
        if self._redirection.allowed and is_redirection(reason):
            try:
                connection = await self._follow(reason)
            except _OWN_FAULTS:
                raise
            except MqttError as error:
                if not self._reconnect or is_lasting(error):
                    raise
                # Nobody answers there: begin again at home.
                self._reports.lost(error)
                reason = error
            else:
                self._servers.moved(self._redirection.home)
                return connection
        elif not self._reconnect or is_lasting(reason):
            raise reason
        return await self._until_connected(reason)

    async def at_once(self) -> Connection:
        """The connection after one that the program ended, without a pause; raises as `next`."""
        try:
            return await self._connect()
        except _OWN_FAULTS:
            raise
        except MqttError as error:
            if not self._reconnect or is_lasting(error):
                raise
            self._reports.lost(error)
            return await self._until_connected(error)

    def hurry(self) -> None:
        """Let the next attempt begin now, if it is, or is about to be, waited for."""
        self._hurried = True
        if self._waiting is not None:
            self._waiting.set()

    def connection_ended(self, stood_for: float) -> None:
        """A connection that stood for so many seconds has ended."""
        self._delays.connection_ended(stood_for)
        if stood_for >= STABLE_AFTER:
            self._redirection.reset()

    async def _until_connected(self, reason: MqttError | None) -> Connection:
        """Try until it succeeds or is to be given up; the first time at once if nothing failed."""
        # A certificate that was good once may be so again; one that never was is a mistake.
        first = reason is None
        while True:
            if reason is not None:
                await self._pause(reason)
            try:
                return await self._connect()
            except _OWN_FAULTS:
                raise
            except MqttError as error:
                if is_lasting(error) or (first and is_distrusted(error)):
                    raise
                reason = error
                self._reports.lost(error)

    async def _pause(self, reason: MqttError) -> None:
        """Wait before the next attempt; raise `reason` where there is none left."""
        now = anyio.current_time()
        delay = self._delays.next_delay(now)
        attempt = self._delays.attempt
        if delay is None:
            reason.add_note(f"Given up after {attempt} attempts to connect again.")
            raise reason
        if self._hurried:
            delay = 0.0
        self._reports.waiting(
            reason,
            self.settings.client_id,
            self._servers.text,
            delay=delay,
            attempt=attempt,
            now=now,
        )
        self._waiting = anyio.Event()
        with anyio.move_on_after(delay):
            await self._waiting.wait()
        self._waiting = None
        self._hurried = False
        self._reports.trying_again(reason, attempt)

    async def _connect(self) -> Connection:
        """A connection to the first server that accepts this client. Raises why there is none."""
        servers = self._servers
        failures: list[tuple[MqttError, bool]] = []
        for place in servers.in_turn():
            try:
                found = await self._found_at(place)
            except ConnectionFailedError as error:
                self._failed(place, failures, error)
                continue
            for address in found:
                try:
                    connection = await self._connect_to(address)
                except _OWN_FAULTS:
                    raise
                except MqttError as error:
                    self._failed(address, failures, error)
                else:
                    servers.is_good(place, address)
                    servers.moved(self._redirection.home)
                    return connection
        raise none_of(failures)

    async def _found_at(self, place: Address) -> list[Address]:
        """The servers at a place, which is looked up in the time that an attempt may take."""
        with anyio.move_on_after(self.settings.connect_timeout):
            return await self._servers.found_at(place)
        raise too_late(place.url, self.settings.connect_timeout)

    async def _transformed(self, transform: Transform) -> Settings:
        """What the attempt goes by, made anew in the time that it may take."""
        timeout = self.settings.connect_timeout
        with anyio.move_on_after(timeout):
            return await transformed(self.settings, transform)
        raise ConnectionFailedError(
            f"{self.url} was not connected to: `transform` did not return within {timeout:g} s."
        )

    def _failed(
        self, address: Address, failures: list[tuple[MqttError, bool]], error: MqttError
    ) -> None:
        """One of the servers, or the only one, could not be used."""
        failures.append((error, is_lasting(error) or is_distrusted(error)))
        if self._servers.are_several:
            self._reports.server_failed(address.url, error)

    async def _connect_to(self, address: Address) -> Connection:
        """A connection to a server of this client's, or to where it is sent from there."""
        redirection = self._redirection
        redirection.reset()
        redirection.home = address
        username, password = self._credentials
        if username is None:
            username = address.username
        if password is None and address.password is not None:
            password = address.password.encode()
        self.settings = replace(
            self.settings,
            address=address,
            username=username,
            password=password,
            connector=self._connector,
        )
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
        if self._transform is not None:
            self.settings = await self._transformed(self._transform)
        clean_start = self._clean_start or (
            # In MQTT 3 the flag would end the session with the connection.
            self.version == ProtocolVersion.V5 and self._sessions.is_outdated(self.url)
        )
        connection = await connect(self.settings, self.version, self.watch, clean_start=clean_start)
        if self.watch.is_followed:
            connection.show_packets(self.watch)
        if self._topic_aliases:
            connection.use_topic_aliases(self._topic_aliases, self.savings)
        self.version = connection.protocol.version
        self._hurried = False
        present = connection.connack.session_present
        if present or connection.over_at_once is None:
            self._sessions.accepted(self.url, present=present)
        else:
            self._sessions.begun_in_vain(self.url)
        assigned = connection.connack.properties.get("assigned_client_identifier")
        if assigned:
            self.settings = replace(self.settings, client_id=assigned)
        if self.version == ProtocolVersion.V5:
            # From now on the session is to be found again. In MQTT 3 the flag also says that
            # the session ends with the connection, and has to go on saying it.
            self._clean_start = False
        return connection
