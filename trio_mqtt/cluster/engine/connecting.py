"""How a connection with a process of the engine comes about, and why it does not."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trio
from coredis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    RedisError,
    UnknownCommandError,
)

from trio_mqtt.cluster.engine.addresses import EngineAddress, Place
from trio_mqtt.cluster.engine.calls import (
    Call,
    EngineGoneError,
    EngineUnfitError,
)
from trio_mqtt.cluster.engine.connection import (
    STILL_LOADING,
    Connection,
    is_untrusted,
    open_stream,
    reason,
)
from trio_mqtt.errors import ConfigurationError

if TYPE_CHECKING:
    from trio_mqtt.cluster.settings import Cluster


class Connector:
    """Makes connections with an engine's processes, as its URL and the settings say."""

    def __init__(self, settings: Cluster, address: EngineAddress) -> None:
        self._settings = settings
        self._address = address

    async def connect(self, place: Place) -> Connection:
        """A connection with one process of the engine, which knows who asks.

        Raises EngineGoneError where none comes about, EngineUnfitError where the engine does not
        let this node in, or is not of the kind that the URL says, and ConfigurationError where
        files that were named cannot be read.
        """
        address, settings = self._address, self._settings
        password = address.password
        if password is None:
            password = settings.current_password()
        hello: list[str | int] = [3]
        if password is not None:
            hello += ["AUTH", address.username or settings.username or "default", password]
        hello += ["SETNAME", f"trio-mqtt:{settings.name}:{settings.node_name}"]
        calls = [Call("HELLO", *hello)]
        if address.database:
            calls.append(Call("SELECT", address.database))
        return await self._connected(place, f"The engine at {place}", calls, settings.timeout)

    async def connect_sentinel(self, place: Place) -> Connection:
        """A connection with a Sentinel, which has no users of its own.

        Raises as `connect` does.
        """
        where = f"The Sentinel at {place}"
        return await self._connected(place, where, [Call("HELLO", 3)], self._settings.timeout)

    async def _connected(
        self, place: Place, where: str, calls: list[Call], patience: float
    ) -> Connection:
        tls = self._tls() if self._address.is_tls else None
        try:
            with trio.fail_after(patience):
                stream = await open_stream(place.host, place.port, place.path, tls)
                connection = Connection(stream, where)
                try:
                    for answer in await connection.ask(*calls):
                        if isinstance(answer, RedisError):
                            raise _refused(where, answer)
                except BaseException:
                    connection.close()
                    raise
        except (OSError, trio.BrokenResourceError) as error:
            # A certificate does not come to be trusted by waiting.
            kind = EngineUnfitError if is_untrusted(error) else EngineGoneError
            raise kind(
                f"{where} cannot be reached: {reason(error) or 'nothing listens there'}."
            ) from error
        except trio.TooSlowError:
            raise EngineGoneError(
                f"{where} cannot be reached: nothing came within {patience:g} s."
            ) from None
        return connection

    def _tls(self) -> ssl.SSLContext:
        address = self._address
        try:
            context = ssl.create_default_context(cafile=address.cafile)
            if address.certfile is not None:
                context.load_cert_chain(address.certfile, address.keyfile)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (address.cafile, address.certfile, address.keyfile)))
            raise ConfigurationError(
                f"TLS with the engine cannot be: {files or 'the trusted certificates'}:"
                f" {error.strerror or error}."
            ) from error
        return context


def _refused(where: str, answer: RedisError) -> EngineGoneError | EngineUnfitError:
    said = str(answer).rstrip(".")
    if "must be called with the client already authenticated" in said:
        said = "it asks for a password, and none is given"  # what it says names its commands
    if isinstance(answer, BusyLoadingError):
        return EngineGoneError(f"{where} {STILL_LOADING}")
    if isinstance(answer, AuthenticationError | AuthorizationError):
        return EngineUnfitError(
            f"{where} does not let this node in: {said}. The user and the password are given in"
            " the URL (redis://USER:PASSWORD@HOST), by variables, or the password by a file."
        )
    if isinstance(answer, UnknownCommandError):
        return EngineUnfitError(f"{where} is too old: Redis 6.2, Valkey 7.2 or newer is needed.")
    if "max number of clients" in said:
        return EngineGoneError(f"{where} takes no more connections: {said}.")
    return EngineUnfitError(f"{where} refuses this node: {said}.")
