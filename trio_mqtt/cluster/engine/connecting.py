"""A connection with one process of the engine: how it comes about, and why it does not."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

import trio
from coredis.connection import (
    TCPConnection,
    TCPLocation,
    UnixDomainSocketConnection,
    UnixDomainSocketLocation,
)
from coredis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError

from trio_mqtt.cluster.engine.addresses import EngineAddress, Place
from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError
from trio_mqtt.errors import ConfigurationError

if TYPE_CHECKING:
    from coredis.connection import BaseConnection

    from trio_mqtt.cluster.settings import Cluster

# It tells of each lost connection with a traceback; what is to be said is said by who uses it.
_log = logging.getLogger("coredis")
if _log.level == logging.NOTSET:
    _log.setLevel(logging.CRITICAL)


class Connector:
    """Makes connections with an engine's processes, as its URL and the settings say."""

    def __init__(self, settings: Cluster, address: EngineAddress) -> None:
        self._settings = settings
        self._address = address

    def connection(self, place: Place, *, is_engine: bool = True) -> BaseConnection:
        """A connection that is still to be made; with a Sentinel there are no databases.

        Raises ConfigurationError where files that were named cannot be read.
        """
        address = self._address
        password = address.password
        if password is None:
            password = self._settings.current_password()
        timeout = self._settings.timeout
        username = (address.username or self._settings.username) if is_engine else None
        database = address.database if is_engine else 0
        if place.path:
            return UnixDomainSocketConnection(
                UnixDomainSocketLocation(place.path),
                connect_timeout=timeout,
                stream_timeout=timeout,
                username=username,
                password=password,
                db=database,
            )
        return TCPConnection(
            TCPLocation(place.host, place.port),
            connect_timeout=timeout,
            stream_timeout=timeout,
            username=username,
            password=password if is_engine else None,
            db=database,
            ssl_context=self._tls() if address.is_tls else None,
            socket_keepalive=True,
        )

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


async def connect(
    nursery: trio.Nursery, connection: BaseConnection, where: str, patience: float
) -> trio.Event:
    """Make a connection, which the nursery keeps; the event is set once it has ended.

    Raises EngineGoneError if none comes about, and EngineRefusedError if it is refused.
    """
    over = trio.Event()

    async def keep(task_status: trio.TaskStatus[None]) -> None:
        try:
            await connection.run(task_status=task_status)
        finally:
            over.set()

    try:
        with trio.fail_after(patience):
            await nursery.start(keep)
    except (AuthenticationError, AuthorizationError) as error:
        raise EngineRefusedError(
            f"{where} does not let this node in: {str(error).rstrip('.')}. A user and a password"
            " are given by URL, redis://USER:PASSWORD@HOST, by variables, or by a file."
        ) from error
    except ResponseError as error:
        raise EngineRefusedError(f"{where} refuses: {str(error).rstrip('.')}.") from error
    except (RedisError, OSError, TimeoutError, trio.TooSlowError) as error:
        why = _why(error) or f"nothing came within {patience:g} s"
        raise EngineGoneError(f"{where} cannot be reached: {why}.") from error
    return over


def _why(error: BaseException) -> str:
    """What the machine says, or the engine, of why there is no connection."""
    seen: BaseException | None = error
    last = ""
    while seen is not None:
        if isinstance(seen, BaseExceptionGroup):
            seen = seen.exceptions[0]
            continue
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({seen.verify_message})"
        if isinstance(seen, TimeoutError | trio.TooSlowError):
            last = ""
        elif isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        elif isinstance(seen, RedisError | OSError) and str(seen):
            last = str(seen).rstrip(".")
        seen = seen.__cause__ or seen.__context__
    return last
