"""SCRAM-SHA-256 (RFC 5802, RFC 7677) for the broker: no password is sent, and none is kept."""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from trio_mqtt.broker.access.protocols import Authenticated, AuthenticationRefused
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.optional import scram_is_missing
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.records import record

if TYPE_CHECKING:
    from trio_mqtt.broker.access.protocols import AuthenticationExchange

METHOD = "SCRAM-SHA-256"
ITERATIONS = 4_096  # what RFC 7677 asks for at least

_KEY = secrets.token_bytes(32)  # so that a digest of a password says nothing outside the process
_MAX_MESSAGE = 1_024  # bytes; a user name, a nonce and a proof have room in it


@record
class ScramCredentials:
    """What the broker keeps of a password: enough to check it, not enough to use it elsewhere."""

    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    iterations: int

    @classmethod
    def of(
        cls, password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS
    ) -> ScramCredentials:
        """The credentials for a password, with a salt (12 bytes or more) that is drawn for it.

        More `iterations` make guessing a stolen password slower, and each connection of its client.
        Raises ConfigurationError for what the method does not allow, ImportError without scramp.
        """
        scramp = _scramp()
        try:
            made = scramp.ScramMechanism(METHOD).make_auth_info(password, iterations, salt)
        except scramp.ScramException as error:
            raise ConfigurationError(f"These are no credentials for {METHOD}: {error}.") from error
        salt, stored_key, server_key, iterations = made
        return cls(salt, stored_key, server_key, iterations)  # pyright: ignore[reportArgumentType]

    @classmethod
    def parse(cls, text: str) -> ScramCredentials:
        """What `text` of other credentials has: SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER.

        It is the form that PostgreSQL has them in. Raises ConfigurationError.
        """
        try:
            method, numbers, keys = text.split("$")
            iterations, salt = numbers.split(":")
            stored, server = keys.split(":")
            salted, stored_key, server_key = (
                b64decode(one, validate=True) for one in (salt, stored, server)
            )
            known = cls(salted, stored_key, server_key, int(iterations))
            if method != METHOD or len(known.stored_key) != 32 or len(known.server_key) != 32:
                raise ValueError
        except ValueError:
            raise ConfigurationError(
                f"These are no credentials for {METHOD}: they read"
                f" {METHOD}$ITERATIONS:SALT$STOREDKEY:SERVERKEY, the last three in Base64."
            ) from None
        return known

    @property
    def text(self) -> str:
        """The same as text, which `parse` reads."""
        salt, stored, server = (
            b64encode(one).decode() for one in (self.salt, self.stored_key, self.server_key)
        )
        return f"{METHOD}${self.iterations}:{salt}${stored}:{server}"


class ScramAuthenticator:
    """Lets in the users that it is given, by SCRAM-SHA-256; each is the user name then.

        users = {"alice": "her password", "bob": ScramCredentials.of("his")}
        Security(authenticators={"SCRAM-SHA-256": ScramAuthenticator(users)})

    Nobody learns which users there are: whoever is unknown is asked in the same way and refused at
    the same point as a wrong password. `secret` is what the salts of unknown users are made from;
    it is drawn unless given, and has to be given, and kept, where credentials outlive the process.

    Where it takes the place of another, clients whose user is gone or has another password are
    disconnected.

    It needs the package scramp, which the extra `scram` brings. Raises ImportError without it,
    and ConfigurationError for user names and passwords that the method does not allow.
    """

    def __init__(
        self, users: Mapping[str, str | ScramCredentials], *, secret: bytes | None = None
    ) -> None:
        scramp = _scramp()
        from scramp.utils import ServerError, saslprep

        self._mechanism = scramp.ScramMechanism(METHOD)
        self._error: type[Exception] = scramp.ScramException
        self._wrong_proof = ServerError.INVALID_PROOF
        self._users: dict[str, ScramCredentials] = {}
        self._entries: dict[str, object] = {}
        for name, known in users.items():
            try:
                prepared = saslprep(name)
            except self._error as error:
                raise ConfigurationError(
                    f"{name!r} is no user name for {METHOD}: {error}."
                ) from error
            if not prepared:
                raise ConfigurationError(
                    f"{name!r} is no user name for {METHOD}: nothing is left of it."
                )
            if isinstance(known, ScramCredentials):
                self._users[prepared] = self._entries[prepared] = known
            else:  # credentials that are made of the same password differ each time
                self._users[prepared] = ScramCredentials.of(known)
                self._entries[prepared] = hmac.digest(_KEY, known.encode(), "sha256")
        # Unknown users resemble known ones.
        self._examples = list(self._users.values()) or [ScramCredentials.of("")]
        self._secret = secrets.token_bytes(32) if secret is None else secret

    def entry(self, username: str) -> object | None:
        """What tells whether a user has another password, as in `KeepsUsers`."""
        return self._entries.get(username)

    async def authenticate(
        self, exchange: AuthenticationExchange
    ) -> Authenticated | AuthenticationRefused:
        """Two challenges at most: for the client's first message, if CONNECT had none, and last."""
        name = ""

        def credentials(username: str) -> tuple[bytes, bytes, bytes, int]:
            nonlocal name
            name = username
            made_up = self._made_up(username)
            known = self._users.get(username, made_up)
            return known.salt, known.stored_key, known.server_key, known.iterations

        server = self._mechanism.make_server(credentials)
        try:
            server.set_client_first(_text(exchange.data or await exchange.challenge()))
            answer = await exchange.challenge(server.get_server_first().encode())
            server.set_client_final(_text(answer))
            proof = server.get_server_final().encode()
        except (self._error, _NoMessageError) as error:
            if getattr(error, "server_error", None) is self._wrong_proof:
                return AuthenticationRefused(
                    ReasonCode.BAD_USER_NAME_OR_PASSWORD, "the user name or the password is wrong"
                )
            return AuthenticationRefused(reason=f"that is not {METHOD}")
        return Authenticated(proof, name)

    def _made_up(self, username: str) -> ScramCredentials:
        """What an unknown user is asked with: the same each time, and no password fits."""

        def derived(purpose: bytes, size: int = 32) -> bytes:
            digest = hmac.digest(self._secret, purpose + username.encode(), "sha512")
            return digest[:size]

        number = int.from_bytes(derived(b"example:"), "big") % len(self._examples)
        example = self._examples[number]
        return ScramCredentials(
            derived(b"salt:", len(example.salt)),
            derived(b"stored:"),
            derived(b"server:"),
            example.iterations,
        )


class _NoMessageError(Exception):
    """The client sent what cannot be a message of the method."""


def _text(data: bytes) -> str:
    if len(data) > _MAX_MESSAGE:
        raise _NoMessageError
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _NoMessageError from error


def _scramp() -> Any:  # noqa: ANN401 # it has no types
    """The package that knows SCRAM, imported only where it is used: it is an extra."""
    try:
        import scramp
    except ImportError as error:
        raise ImportError(scram_is_missing()) from error
    return scramp
