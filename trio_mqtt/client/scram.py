"""SCRAM-SHA-256 (RFC 5802, RFC 7677) for the client: no password is sent, and brokers prove too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import to_thread

from trio_mqtt.errors import AuthenticationError, LocalProtocolError
from trio_mqtt.optional import scram_is_missing

if TYPE_CHECKING:
    import scramp

METHOD = "SCRAM-SHA-256"

# A broker decides how much work the client does: beyond this it does it beside the event loop,
_ITERATIONS_AT_ONCE = 20_000
# and beyond this it is an attack.
MAX_ITERATIONS = 1_000_000


class ScramClient:
    """A user name and a password for `open_client(..., authentication=...)`.

        authentication = ScramClient("alice", "her password")

    The password is not sent: each end proves to the other that it knows it, and a broker that
    cannot is not talked to (AuthenticationError). It needs the package
    scramp, which the extra `scram` brings. Raises ImportError without it, and LocalProtocolError
    for user names and passwords that the method does not allow.
    """

    method = METHOD

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self.begin()

    def begin(self) -> ScramExchange:
        """A new authentication, with a nonce of its own."""
        scramp = _scramp()
        try:
            return ScramExchange(scramp.ScramClient([METHOD], self._username, self._password))
        except scramp.ScramException as error:
            raise LocalProtocolError(
                f"{METHOD} does not allow this user name or password: {error}."
            ) from error


class ScramExchange:
    """One authentication by SCRAM-SHA-256."""

    def __init__(self, client: scramp.ScramClient) -> None:
        self._client = client
        self._error: type[Exception] = _scramp().ScramException
        self.data: bytes = client.get_client_first().encode()

    async def respond(self, challenge: bytes) -> bytes:
        """The proof that the password is known; computing it takes some milliseconds."""
        client = self._client
        try:
            if not challenge and client.stage == 1:
                return self.data  # the broker did not look at what came first, and asks for it
            client.set_server_first(challenge.decode())
            iterations = int(client.iterations)
            if iterations > MAX_ITERATIONS:
                raise AuthenticationError(
                    f"The broker asks for {iterations} iterations of {METHOD};"
                    f" more than {MAX_ITERATIONS} are not done."
                )
            if iterations > _ITERATIONS_AT_ONCE:
                final = await to_thread.run_sync(client.get_client_final, abandon_on_cancel=True)
            else:
                final = client.get_client_final()
        except (self._error, UnicodeDecodeError) as error:
            raise AuthenticationError(
                f"What the broker asks does not belong to {METHOD}: {error}."
            ) from error
        return str(final).encode()

    async def finish(self, data: bytes) -> None:
        """Check the broker's proof that it knows the password too."""
        try:
            self._client.set_server_final(data.decode())
        except (self._error, UnicodeDecodeError) as error:
            raise AuthenticationError(
                f"The broker did not prove by {METHOD} that it knows the password: {error}."
            ) from error


def _scramp() -> Any:  # noqa: ANN401 # it has no types
    """The package that knows SCRAM, imported only where it is used: it is an extra."""
    try:
        import scramp
    except ImportError as error:
        raise ImportError(scram_is_missing()) from error
    return scramp
