"""The access of a broker as it is in force: what was loaded, and how it is loaded again."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.files.file_rules import FileRules
from trio_mqtt.broker.access.hook_questions import HookQuestions
from trio_mqtt.broker.access.permissions import Permissions, RulesInForce
from trio_mqtt.broker.access.protocols import AccessHooks, KeepsUsers
from trio_mqtt.broker.access.security import (
    Security,
    WaysIn,
    asks_for_certificates,
    is_local,
)
from trio_mqtt.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.access.dynamic.security import DynamicSecurity
    from trio_mqtt.broker.access.files.tokens import TokenVerifier
    from trio_mqtt.broker.access.identity import Identity
    from trio_mqtt.broker.access.password_checks import PasswordChecks
    from trio_mqtt.broker.access.protocols import (
        AccessControl,
        AccessRules,
        Authenticator,
        ClientInfo,
        PasswordCheck,
    )
    from trio_mqtt.broker.access.refusals import RefusalLog
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.transport.listeners.options import Endpoint
    from trio_mqtt.transport.listeners.origin import Origin

logger = logging.getLogger("trio_mqtt.broker")


def _nothing() -> None:
    """No keys are to be renewed."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of files, and what a program has of its own; `renew_keys` has tokens verified
    by the keys that were read."""

    passwords: PasswordCheck | None = None
    rules: AccessRules | None = None
    renew_keys: Callable[[], None] = _nothing
    dynamic: DynamicSecurity | None = None


class AccessInForce:
    """Passwords, rules, tokens, hooks and authentication methods of one broker, or one listener."""

    def __init__(
        self,
        security: Security,
        limits: Limits,
        refusals: RefusalLog,
        password_checks: PasswordChecks,
        statistics: Statistics,
    ) -> None:
        self._take(security)
        self.passwords: PasswordCheck | None = None
        self.dynamic: DynamicSecurity | None = None
        self._read = Read()
        self.refusals = refusals
        self.rules = RulesInForce(refusals=refusals)
        # Hashing takes long: in few threads, so that the clients which are connected are served.
        self.password_checks = password_checks
        self.statistics = statistics
        self._limits = limits

    def _take(self, security: Security) -> None:
        self.security = security
        self.tokens: TokenVerifier | None = security.tokens
        self.hooks: AccessControl | None = security.hooks
        # By authentication method (MQTT 5.0 §4.12); whether clients must name one of them.
        self.authenticators: dict[str, Authenticator] = dict(security.authenticators)
        self.authentication_required = security.authentication_required
        self.asks_accept = self._overridden("accept")
        self.asks_connect = self._overridden("authorize_connect")
        self.asks_authenticate = self._overridden("authenticate")
        self.asks_publish = self._overridden("authorize_publish")
        self.asks_subscribe = self._overridden("authorize_subscribe")
        self.asks_delivery = self._overridden("authorize_delivery")

    def _overridden(self, method: str) -> bool:
        """Whether a hook is more than the base class has."""
        own = getattr(type(self.hooks), method, None)
        return self.hooks is not None and own is not getattr(AccessHooks, method)

    @property
    def asks_who(self) -> bool:
        """Whether clients that name no authentication method are asked to prove who they are."""
        return self.asks_credentials or self.asks_authenticate

    @property
    def asks_credentials(self) -> bool:
        """Whether there is something to check what clients show against."""
        return self.passwords is not None or self.tokens is not None

    def ways_in(self, endpoint: Endpoint) -> WaysIn:
        """By what clients can connect at a listener."""
        only_methods = self.authentication_required
        return WaysIn(
            local=is_local(endpoint),
            anonymous=not only_methods and self.allows_anonymous(endpoint),
            passwords=not only_methods and self.passwords is not None,
            tokens=not only_methods and self.tokens is not None,
            certificates=not only_methods and asks_for_certificates(endpoint),
            methods=tuple(self.authenticators),
            hooks=self.asks_authenticate,
        )

    def check_exposure(self, endpoint: Endpoint) -> None:
        """Refuse to listen where others could reach a broker that asks nobody who they are.

        Raises ConfigurationError.
        """
        if self.asks_who or self.authenticators or self.authentication_required:
            return
        is_guarded = is_local(endpoint) or asks_for_certificates(endpoint)
        if self.said_of_anonymous(endpoint) is None and not is_guarded:
            raise ConfigurationError(
                f"Anybody who can reach {endpoint.url} could connect to this broker. Name a"
                " password file, which tmqtt passwd makes (--password-file FILE, access.passwords"
                " in a configuration, Security(passwords=...) in a program), or say that this is"
                " meant (--allow-anonymous, access.allow_anonymous, allow_anonymous=True)."
            )

    def permissions(self, client: ClientInfo, own: AccessRules | None) -> Permissions | None:
        """What a client may do; None if there are no rules that could refuse anything.

        `own` are rules that it brings along, which hold in place of the others.
        """
        if own is None and self.security.access is None and self.dynamic is None:
            return None
        return Permissions(client, self.rules, own)

    def hook_questions(
        self, client: ClientInfo, in_force: Callable[[], AccessControl | None]
    ) -> HookQuestions | None:
        """What the program's hooks are asked of a client; None if they are asked nothing.

        `in_force` tells which these are, whenever one is asked.
        """
        if self.hooks is None or not (
            self.asks_publish or self.asks_subscribe or self.asks_delivery
        ):
            return None
        return HookQuestions(in_force, client, self._limits, self.refusals, self.statistics)

    def beside(self, security: Security) -> AccessInForce:
        """Another access, which is to be loaded: that of a listener, or the one to come."""
        return AccessInForce(
            security, self._limits, self.refusals, self.password_checks, self.statistics
        )

    async def load(self) -> None:
        """Read the files, and begin to keep to what they say.

        Raises ConfigurationError.
        """
        await self.prepare()
        self._read.renew_keys()

    async def prepare(self) -> None:
        """Read the files of an access that is not in force yet: another one is to `become` it.

        Raises ConfigurationError.
        """
        if _has_files(self.security):
            read = await trio.to_thread.run_sync(_read, self.security, abandon_on_cancel=True)
        else:
            await trio.lowlevel.checkpoint()
            read = _read(self.security)
        self._put(read)

    def become(self, other: AccessInForce) -> None:
        """From now on this is what `other`, which was prepared, says."""
        self._take(other.security)
        self._put(other._read)
        self._read.renew_keys()

    def _put(self, read: Read) -> None:
        """What was read is in force from now on, but for keys."""
        self._read = read
        self.dynamic = dynamic = read.dynamic
        self.passwords, self.rules.rules = read.passwords, read.rules
        if dynamic is not None:
            self.passwords = dynamic.passwords_beside(read.passwords)
            self.rules.rules = self.rules_with(dynamic)
        self.rules.changed()

    def rules_with(self, dynamic: DynamicSecurity) -> AccessRules:
        """The rules as they are with this state of dynamic security."""
        return dynamic.rules_beside(self._read.rules)

    def dynamic_changed(self, dynamic: DynamicSecurity) -> None:
        """Dynamic security has another state, which is kept."""
        self._put(replace(self._read, dynamic=dynamic))

    def allows_anonymous(self, endpoint: Endpoint | None) -> bool:
        """Whether clients that prove nothing may come by a listener (None: by the program)."""
        said = self.said_of_anonymous(endpoint)
        if said is not None:
            return said
        return not self.asks_who and (endpoint is None or is_local(endpoint))

    def said_of_anonymous(self, endpoint: Endpoint | None) -> bool | None:
        """What the configuration says of such clients, if it says anything."""
        if endpoint is not None and endpoint.allow_anonymous is not None:
            return endpoint.allow_anonymous
        return self.security.allow_anonymous

    def may_be_anonymous(self, origin: Origin) -> bool:
        """Whether a client that comes from there may prove nothing."""
        unsaid = self.said_of_anonymous(origin.listener) is None and not self.asks_credentials
        if unsaid and (self.asks_authenticate or origin.certificate is not None):
            return True  # the program is asked, or a certificate says enough
        return self.allows_anonymous(origin.listener)

    def why_no_longer(self, identity: Identity, origin: Origin) -> str | None:
        """Why a client that was let in would not be now, as far as that can be known.

        What it has shown is not kept. A client that a program let in, by its own check or method,
        stays while there is one of that name.
        """
        client, entry = identity.client, identity.entry
        refusal = None if self.dynamic is None else self.dynamic.refusal(client)
        if refusal is not None:
            return refusal
        if identity.method is not None:
            authenticator = self.authenticators.get(identity.method)
            if authenticator is None:
                return "its authentication method is no longer offered"
            # Where one of the two keeps nothing of users, there is nothing to compare.
            if entry is None or not isinstance(authenticator, KeepsUsers):
                return None
            return _unless_known(identity, authenticator)
        if self.authentication_required:
            return "it has named no authentication method, which is asked for now"
        if entry is not None and self.passwords is not None:
            return _unless_known(identity, self.passwords)
        if identity.expires_at is not None and self.tokens is None:
            return "tokens are no longer taken"
        unproved = entry is not None or not client.authenticated
        if unproved and not self.may_be_anonymous(origin):
            return "it has not proved who it is, which is asked for now"
        return None


def _unless_known(identity: Identity, users: KeepsUsers) -> str | None:
    """Why a client that has shown a password is not let go on, if it is not."""
    name = identity.known_as
    known = name is not None and users.entry(name) == identity.entry
    return None if known else "its password is no longer valid"


def _has_files(security: Security) -> bool:
    """Whether there is anything to read: a thread for nothing would be a tenth of a start."""
    files = (str, os.PathLike)
    return (
        isinstance(security.passwords, files)
        or isinstance(security.access, files)
        or security.tokens is not None
        or security.dynamic is not None
    )


def _read(security: Security) -> Read:
    """Read the files; what is a program's own is as it is. Raises ConfigurationError."""
    passwords, access = security.passwords, security.access
    warnings: tuple[str, ...] = ()
    # A broker that has no such files does not wait for what reads them.
    if isinstance(passwords, (str, os.PathLike)):
        from trio_mqtt.broker.access.files.passwords import PasswordFile

        passwords = PasswordFile.load(passwords)
        warnings += passwords.warnings
    if isinstance(access, (str, os.PathLike)):
        from trio_mqtt.broker.access.files.access_file import AccessFile

        file = AccessFile.load(access)
        warnings += file.warnings
        access = FileRules(file, file.path)
    renew_keys: Callable[[], None] = _nothing
    if security.tokens is not None:
        renew_keys = security.tokens.prepare()
        warnings += security.tokens.warnings
    dynamic: DynamicSecurity | None = None
    if security.dynamic is not None:
        from trio_mqtt.broker.access.dynamic.security import DynamicSecurity

        dynamic = DynamicSecurity.load(security.dynamic)
        warnings += dynamic.warnings
    for warning in warnings:
        logger.warning("%s", warning)
    return Read(passwords, access, renew_keys, dynamic)
