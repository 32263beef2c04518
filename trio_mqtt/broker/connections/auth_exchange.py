"""The exchange by AUTH on one connection: enhanced authentication (MQTT 5.0 §4.12)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.protocols import Authenticated, AuthenticationRefused, KeepsUsers
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packets import Auth, Connect
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.link import Link

logger = logging.getLogger("trio_mqtt.connections")


class _Exchange:
    """An exchange on a connection. The two take turns, so that one answer at most waits."""

    def __init__(self, owner: Authentication, data: bytes, *, again: bool) -> None:
        link = owner.link
        self.method = owner.method
        self.data = data
        self.address = link.stream.peer
        self.client_id = link.client_id or ""
        self.username = link.username
        self.again = again
        self._owner = owner
        self._steps = 0
        self._answer = b""
        self._answered: trio.Event | None = None

    async def challenge(self, data: bytes = b"") -> bytes:
        if self._answered is not None or self._owner.exchange is not self:
            raise RuntimeError("A challenge is sent after the answer to the one before.")
        link = self._owner.link
        self._steps += 1
        self._answered = trio.Event()
        if self._steps > link.limits.maximum_authentication_steps:
            link.core.statistics.logins_failed += 1
            link.end(ReasonCode.NOT_AUTHORIZED, "authentication takes too many steps")
        else:
            self._owner.say(ReasonCode.CONTINUE_AUTHENTICATION, data)
        await self._answered.wait()  # ending the connection cancels it
        self._answered = None
        return self._answer

    def on_answer(self, data: bytes) -> None:
        self._answer = data
        if self._answered is not None:
            self._answered.set()


class Authentication:
    """What a connection whose CONNECT named a method has besides, and how far that is.

    The authenticator runs in a task of its own, so that the client is heard meanwhile.
    """

    def __init__(self, link: Link, method: str) -> None:
        self.link = link
        self.method = method
        self.exchange: _Exchange | None = None
        self.entry: object | None = None  # what is kept of the user, if that is known

    async def before_connack(
        self, connect: Connect
    ) -> Authenticated | AuthenticationRefused | None:
        """Authenticate a client that sent CONNECT. None: the connection has ended meanwhile."""
        link = self.link
        protocol = link.protocol
        limits = link.limits
        # Whoever is not known yet gets a small buffer.
        protocol.accept_packets_of(limits.maximum_connect_size)
        data = connect.properties.get("authentication_data", b"")
        outcome: Authenticated | AuthenticationRefused | None = None

        async def decide() -> None:
            nonlocal outcome
            outcome = await self._ask(data, again=False)
            nursery.cancel_scope.cancel()

        if protocol.violation is None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(decide)
                await self._hear()
                nursery.cancel_scope.cancel()
        if protocol.violation is not None:
            link.violated(protocol.violation)
        if link.outlet.ended:
            return None
        protocol.accept_packets_of(limits.maximum_packet_size)
        return outcome

    async def _hear(self) -> None:
        """Receive what the client says before CONNACK: answers and, at any time, goodbye."""
        link = self.link
        stream = link.stream
        protocol = link.protocol
        while protocol.violation is None:
            data: bytes | None = b""
            pending = protocol.pending  # of what came with CONNECT
            if not pending:
                try:
                    await stream.readable()
                    data = stream.receive_nowait()
                except trio.BrokenResourceError:
                    data = b""
            if data is None:
                continue
            if not data and not pending:
                link.lost("the connection was lost before it was accepted")
                return
            link.core.statistics.bytes_received += len(data)
            for packet in protocol.receive(data):
                link.core.statistics.packets_received += 1
                if not isinstance(packet, Auth):  # DISCONNECT: the protocol lets nothing else pass
                    link.lost("it disconnected")
                    return
                self._on_answer(packet)

    def on_auth(self, packet: Auth, nursery: trio.Nursery) -> None:
        """AUTH came while connected: the client begins again, or goes on with that (§4.12.1)."""
        if packet.reason_code == ReasonCode.RE_AUTHENTICATE:
            nursery.start_soon(self._again, packet.properties.get("authentication_data", b""))
        else:
            self._on_answer(packet)

    def _on_answer(self, packet: Auth) -> None:
        if self.exchange is not None:
            self.exchange.on_answer(packet.properties.get("authentication_data", b""))

    async def _again(self, data: bytes) -> None:
        """Authenticate a client that is connected, while messages go on."""
        link = self.link
        timeout = link.limits.connect_timeout
        outcome: Authenticated | AuthenticationRefused = AuthenticationRefused(
            reason=f"it did not authenticate in {timeout:g} s"
        )
        with trio.move_on_after(timeout):
            outcome = await self._ask(data, again=True)
        if link.outlet.ended:
            return
        if isinstance(outcome, Authenticated) and outcome.username not in (
            None,
            link.username,
        ):
            # What was granted to one user stays that user's.
            outcome = AuthenticationRefused(reason="it authenticated again as another user")
        if isinstance(outcome, AuthenticationRefused):
            link.no_longer_allowed(outcome.reason)
            return
        self.say(ReasonCode.SUCCESS, outcome.data)
        about = {"client_id": link.client_id, "address": link.stream.peer}
        logger.info(
            "%r (%s) authenticated again",
            *about.values(),
            extra={"event": "authenticated_again", **about},
        )

    async def _ask(self, data: bytes, *, again: bool) -> Authenticated | AuthenticationRefused:
        # The one that is in force now: the client may have come before it was.
        authenticator = self.link.access.authenticators.get(self.method)
        if authenticator is None:
            return AuthenticationRefused(reason="its authentication method is no longer offered")
        self.exchange = _Exchange(self, data, again=again)
        try:
            outcome = await authenticator.authenticate(self.exchange)
            if isinstance(outcome, Authenticated) and isinstance(authenticator, KeepsUsers):
                name = self.link.username if outcome.username is None else outcome.username
                self.entry = None if name is None else authenticator.entry(name)
        except Exception:
            logger.exception(
                "The authenticator of %r failed for %s", self.method, self.link.stream.peer
            )
            return AuthenticationRefused(ReasonCode.UNSPECIFIED_ERROR)
        else:
            return outcome
        finally:
            self.exchange = None

    def properties(self, data: bytes) -> Properties:
        """The properties by which CONNACK and AUTH carry data of the method (§4.12)."""
        properties: Properties = {"authentication_method": self.method}
        if data:
            properties["authentication_data"] = data
        return properties

    def say(self, code: ReasonCode, data: bytes) -> None:
        """Send AUTH; without the client's doing nothing is in its way but its packet size."""
        link = self.link
        if link.outlet.ended:
            return
        try:
            packet = link.protocol.send(Auth(code, self.properties(data)))
        except LocalProtocolError as error:
            link.end(ReasonCode.PACKET_TOO_LARGE, str(error))
            return
        link.core.statistics.count_sent("AUTH", code)
        link.outlet.write(packet)
