"""Enhanced authentication (MQTT 5.0 §4.12): what a program implements, and doing it once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio

from trio_mqtt.errors import (
    AuthenticationError,
    ConnectionLostError,
    LocalProtocolError,
    MqttError,
)
from trio_mqtt.protocol.packets import Auth
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.client.connection import Connection

# Challenges that a broker may send in one authentication: none of the usual methods needs many.
MAX_STEPS = 16


class ClientExchange(Protocol):
    """One authentication, from its first data to the broker's last.

    Each method may raise AuthenticationError where the broker is not to be trusted. The connection
    is closed then, and not made again.
    """

    @property
    def data(self) -> bytes:
        """What is sent first, with CONNECT or the AUTH that begins again; empty for nothing."""

    async def respond(self, challenge: bytes) -> bytes:
        """The answer to what the broker sent with AUTH."""

    async def finish(self, data: bytes) -> None:
        """Check what the broker sent when it let the client in; empty where it sent nothing.

        A broker may let a client in without any challenge: that is for this method to refuse.
        """


class ClientAuthentication(Protocol):
    """An authentication method, and what it needs to know of the user.

    It is used on each connection that the client makes, and again by `Client.reauthenticate`.
    """

    @property
    def method(self) -> str:
        """The name of the method, such as SCRAM-SHA-256."""

    def begin(self) -> ClientExchange:
        """A new authentication."""


def properties_of(method: str, data: bytes) -> Properties:
    """The properties by which CONNECT and AUTH carry data of the method."""
    properties: Properties = {"authentication_method": method}
    if data:
        properties["authentication_data"] = data
    return properties


def data_of(properties: Properties) -> bytes:
    """The data of the method that a packet carries."""
    return properties.get("authentication_data", b"")


async def answer_to(packet: Auth, method: str, exchange: ClientExchange, step: int) -> Auth:
    """The AUTH that answers the broker's; `step` counts them from 1."""
    if step > MAX_STEPS:
        raise AuthenticationError(f"The broker asked more than {MAX_STEPS} times who this is.")
    data = await exchange.respond(data_of(packet.properties))
    return Auth(ReasonCode.CONTINUE_AUTHENTICATION, properties_of(method, data))


class Reauthentication:
    """Authenticating again on a connection that stands (§4.12.1). Whoever asked may go away."""

    def __init__(
        self, connection: Connection, authentication: ClientAuthentication, timeout: float
    ) -> None:
        self._connection = connection
        self._method = authentication.method
        self._exchange = authentication.begin()
        self._timeout = timeout
        self._packet: Auth | None = None
        self._arrived = anyio.Event()
        self._done = anyio.Event()
        self._succeeded = False
        self._error: Exception | None = None

    async def run(self) -> None:
        """Do it, as a task of the connection."""
        connection = self._connection
        try:
            with anyio.move_on_after(self._timeout) as scope:
                await self._run()
                self._succeeded = True
            if scope.cancelled_caught:
                raise ConnectionLostError(
                    f"The broker at {connection.url} did not end the authentication within"
                    f" {self._timeout:g} s."
                )
        except MqttError as error:
            self._error = error
            connection.give_up(error)
        except Exception as error:  # the program's own: `wait` raises it
            self._error = error
            connection.give_up(ConnectionLostError(f"The authentication failed: {error!r}."))
        finally:
            self.ended()

    async def _run(self) -> None:
        connection = self._connection
        method = self._method
        begin = Auth(ReasonCode.RE_AUTHENTICATE, properties_of(method, self._exchange.data))
        connection.write(connection.protocol.send(begin))
        step = 0
        while True:
            packet = await self._next()
            if packet.reason_code == ReasonCode.SUCCESS:
                break
            step += 1
            answer = await answer_to(packet, method, self._exchange, step)
            connection.write(connection.protocol.send(answer))
        await self._exchange.finish(data_of(packet.properties))

    async def _next(self) -> Auth:
        await self._arrived.wait()
        packet, self._packet = self._packet, None
        if packet is None:
            raise AssertionError("woken without a packet")
        self._arrived = anyio.Event()
        return packet

    def on_auth(self, packet: Auth) -> None:
        """The broker has answered; it does not do so twice before it is answered itself."""
        self._packet = packet
        self._arrived.set()

    def ended(self) -> None:
        """It is over, or the connection is."""
        if self._connection.reauthentication is self:
            self._connection.reauthentication = None
        self._done.set()

    async def over(self) -> None:
        """Wait until it is over, however it ended."""
        await self._done.wait()

    async def wait(self) -> None:
        """Wait until it is over. Raises what made it fail."""
        await self._done.wait()
        if not self._succeeded:
            raise (
                self._error
                or self._connection.lost
                or ConnectionLostError(f"The connection to {self._connection.url} is closed.")
            )


def check(
    authentication: ClientAuthentication | None, version: int | None, properties: Properties
) -> None:
    """Raise LocalProtocolError where CONNECT cannot carry this."""
    if "authentication_method" in properties or "authentication_data" in properties:
        raise LocalProtocolError(
            "The authentication method is not among the properties: give `authentication`."
        )
    if authentication is not None and version not in (None, 5):
        raise LocalProtocolError("Only MQTT 5 has authentication methods.")
