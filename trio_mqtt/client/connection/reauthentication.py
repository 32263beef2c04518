"""Authenticating again on a connection that stands (MQTT 5.0 §4.12.1)."""

from __future__ import annotations

from typing import Protocol

import anyio

from trio_mqtt.client.authentication import ClientAuthentication
from trio_mqtt.client.connection.authentication import answer_to, data_of, properties_of
from trio_mqtt.errors import ConnectionLostError, MqttError
from trio_mqtt.protocol.packets import Auth
from trio_mqtt.protocol.reason_codes import ReasonCode


class AuthenticatedConnection(Protocol):
    """A connection, as far as authenticating again needs it."""

    url: str
    lost: MqttError | None

    def send(self, packet: Auth) -> None:
        """Have a packet sent; raises LocalProtocolError where it cannot be."""

    def give_up(self, error: MqttError) -> None:
        """End the connection for a reason that lies with this end."""

    def authenticated_again(self) -> None:
        """It is over: another may begin."""


class Reauthentication:
    """Authenticating again on a connection that stands (§4.12.1). Whoever asked may go away."""

    def __init__(
        self,
        connection: AuthenticatedConnection,
        authentication: ClientAuthentication,
        timeout: float,
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
        connection.send(begin)
        step = 0
        while True:
            packet = await self._next()
            if packet.reason_code == ReasonCode.SUCCESS:
                break
            step += 1
            answer = await answer_to(packet, method, self._exchange, step)
            connection.send(answer)
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
        if not self._done.is_set():
            self._connection.authenticated_again()
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
