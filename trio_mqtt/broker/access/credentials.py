"""What a client shows with CONNECT, checked: passwords, tokens, certificates, and hooks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.files.file_rules import FileRules
from trio_mqtt.broker.access.identity import Identity
from trio_mqtt.broker.access.password_checks import TooManyChecksError, last_moment
from trio_mqtt.broker.access.protocols import (
    Authenticated,
    AuthenticationRefused,
    ClientInfo,
    PasswordCheck,
)
from trio_mqtt.broker.access.security import asks_for_certificates
from trio_mqtt.errors import InvalidTokenError
from trio_mqtt.protocol.packets import Connect
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.access.in_force import AccessInForce
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.transport.listeners.origin import Origin

logger = logging.getLogger("trio_mqtt.broker")

WRONG = AuthenticationRefused(
    ReasonCode.BAD_USER_NAME_OR_PASSWORD, "the user name or the password is wrong"
)
UNDECIDED = AuthenticationRefused(
    ReasonCode.UNSPECIFIED_ERROR, "the broker could not decide whether to let it in"
)


class Credentials:
    """Checks what one connection's client shows; nothing else happens for it meanwhile."""

    def __init__(
        self,
        connect: Connect,
        *,
        username: str | None,
        origin: Origin,
        address: str,
        access: AccessInForce,
        limits: Limits,
        answer_by: float,
        meanwhile: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """`username` is who the client is so far, `address` where it is.

        `answer_by` is the time on Trio's clock until which it waits for the answer. While its
        password waits to be hashed, `meanwhile` runs beside that.
        """
        self._connect = connect
        self._username = username
        self._origin = origin
        self._address = address
        self._access = access
        self._limits = limits
        self._answer_by = answer_by
        self._meanwhile = meanwhile

    async def check(
        self, outcome: Authenticated | None = None, entry: object | None = None
    ) -> Identity | AuthenticationRefused:
        """Who the client is, or why it is not let in.

        `outcome` is that of an authentication method, if the client has named one; `entry` is what
        that keeps of the user, if it is known.
        """
        connect, origin = self._connect, self._origin
        certificate = origin.certificate
        client = ClientInfo(
            client_id=connect.client_id,
            username=self._username,
            address=self._address,
            protocol_version=connect.protocol_version.text,
            listener="" if origin.listener is None else origin.listener.url,
            authenticated=outcome is not None,
            certificate_name=None if certificate is None else certificate.common_name,
            certificate_subject=None if certificate is None else certificate.subject,
            properties=connect.properties,
            upgrade=origin.upgrade,
        )
        identity: Identity | AuthenticationRefused
        if outcome is None:
            identity = await self._known(client)
        else:
            method = connect.properties.get("authentication_method")
            identity = Identity(client, method, self._username, entry)
        if self._access.asks_authenticate and isinstance(identity, Identity):
            identity = await self._ask(identity)
        dynamic = self._access.dynamic
        if dynamic is not None and isinstance(identity, Identity):
            refusal = dynamic.refusal(identity.client)
            if refusal is not None:
                return AuthenticationRefused(ReasonCode.NOT_AUTHORIZED, refusal)
        return identity

    async def _known(self, client: ClientInfo) -> Identity | AuthenticationRefused:
        """Who the client is by the files and tokens that the broker has."""
        passwords = self._access.passwords
        name = self._origin.username
        if name is not None:
            # Its certificate has proved it; whatever else CONNECT calls it does not count.
            return Identity(replace(client, username=name, authenticated=True))
        if client.username is None and self._connect.password is None:
            return (
                Identity(client)
                if self._access.may_be_anonymous(self._origin)
                else self._unproved()
            )
        by_token = self._by_token(client)
        if isinstance(by_token, Identity) or (by_token is not None and passwords is None):
            return by_token
        if passwords is not None:
            if client.username is None:
                return WRONG
            return await self._by_password(client, client.username, passwords)
        # Nobody asks for names: one that is given is what the client calls itself.
        return Identity(client) if self._access.may_be_anonymous(self._origin) else self._unproved()

    def _unproved(self) -> AuthenticationRefused:
        """The refusal of a client that proves nothing, with what it could show."""
        listener = self._origin.listener
        ways = []
        if listener is not None and asks_for_certificates(listener):
            ways.append("a client certificate, over TLS")
        if self._access.passwords is not None or not (ways or self._access.tokens):
            ways.append("a user name and a password")
        elif self._access.tokens is not None:
            ways.append("a token as the password")
        reason = f"this broker asks for {', or for '.join(ways)}"
        return AuthenticationRefused(ReasonCode.NOT_AUTHORIZED, reason)

    def _by_token(self, client: ClientInfo) -> Identity | AuthenticationRefused | None:
        """Who the client is by the token that is its password; None if it shows none.

        The user name of CONNECT, which MQTT 3 asks for beside any password, does not count then.
        """
        tokens, password = self._access.tokens, self._connect.password
        if tokens is None or password is None:
            return None
        try:
            claims = tokens.verify(password)
        except InvalidTokenError as error:
            return AuthenticationRefused(ReasonCode.BAD_USER_NAME_OR_PASSWORD, str(error))
        return Identity(
            replace(client, username=claims.username, authenticated=True),
            rules=None if claims.rules is None else FileRules(claims.rules, "its token"),
            expires_at=claims.expires_at,
        )

    async def _by_password(
        self, client: ClientInfo, username: str, passwords: PasswordCheck
    ) -> Identity | AuthenticationRefused:
        entry = passwords.entry(username)
        identity = Identity(replace(client, authenticated=True), known_as=username, entry=entry)
        checks = self._access.password_checks
        if checks.remembers(passwords, username, self._connect.password, client.address):
            return identity
        turn_by = last_moment(self._answer_by, self._limits.connect_timeout)

        async def check() -> Identity | AuthenticationRefused:
            password, address = self._connect.password, client.address
            try:
                right = await checks.check(passwords, username, password, address, turn_by)
            except TooManyChecksError as error:
                return AuthenticationRefused(ReasonCode.SERVER_BUSY, str(error))
            return identity if right else WRONG

        if self._meanwhile is None:
            return await check()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._meanwhile)
            outcome = await check()
            nursery.cancel_scope.cancel()
        return outcome

    async def _ask(self, identity: Identity) -> Identity | AuthenticationRefused:
        """Ask the program's hook, which has the last word."""
        hooks = self._access.hooks
        if hooks is None:
            return identity
        client = identity.client
        timeout = self._limits.hook_timeout
        outcome: Authenticated | AuthenticationRefused = UNDECIDED
        with trio.move_on_after(timeout) as scope:
            try:
                outcome = await hooks.authenticate(client, self._connect.password)
            except Exception:
                logger.exception("The hook that authenticates failed for %s", client.address)
        if scope.cancelled_caught:
            self._access.statistics.hooks_timed_out += 1
            logger.warning(
                "The hook that authenticates took more than %g s for %s", timeout, client.address
            )
        if isinstance(outcome, AuthenticationRefused):
            return outcome
        username = client.username if outcome.username is None else outcome.username
        proved = client.authenticated or username is not None
        return replace(identity, client=replace(client, username=username, authenticated=proved))
