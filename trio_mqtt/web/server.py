"""Serving the API of one broker, at an address and at a Unix socket."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import trio

from trio_mqtt.errors import ConfigurationError, ListenError
from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.optional import web_is_missing
from trio_mqtt.transport.http_addresses import http_url
from trio_mqtt.transport.listeners.listener import open_unix_socket
from trio_mqtt.web.options import WebOptions

if TYPE_CHECKING:
    import os
    from types import ModuleType

    from hypercorn.config import Config
    from starlette.types import ASGIApp

    from trio_mqtt.broker.broker import Broker
    from trio_mqtt.monitoring.metrics_server import MetricsServer

logger = logging.getLogger("trio_mqtt.web")

SOCKET = "admin.sock"  # in the folder of the broker's data
_CONNECTIONS = 4  # for each request that may be asked at one time: browsers keep some open


def warn_of_users(usernames: Sequence[str]) -> None:
    """Say in the log which users have a role, and no password to log in with."""
    if usernames:
        names = ", ".join(map(repr, usernames))
        logger.warning(
            "web.roles names %s, with no password at this broker: nobody can log in so to the HTTP"
            " API. `tmqtt passwd` makes one, in the file of access.passwords.",
            names,
        )


def check_installed() -> None:
    """Raise ConfigurationError where the extra `web` is not installed."""
    if find_spec("starlette") is None or find_spec("hypercorn") is None:
        raise ConfigurationError(web_is_missing())


@asynccontextmanager
async def serving_web(
    broker: Broker,
    options: WebOptions,
    *,
    unix_socket: str | os.PathLike[str] | None = None,
    metrics: MetricsServer | None = None,
) -> AsyncIterator[str | None]:
    """Serve the HTTP API of a broker for as long as the context lasts; the URL, if there is one.

    `unix_socket` is a path where the broker's own user may ask for everything: only that user, and
    root, can connect there. What `serving_metrics` gives as `metrics` is served at `/metrics` too,
    to those who may see.

        async with open_broker() as broker, serving_web(broker, options) as url:
            await trio.sleep_forever()

    Raises ConfigurationError where the extra `web` is not installed, or its certificate cannot be
    used, and ListenError where the address cannot be had.
    """
    if options.listen is None and unix_socket is None:
        yield None
        return
    check_installed()
    api = await trio.to_thread.run_sync(_load)
    async with tasks_beside() as nursery:
        url = None
        if options.listen is not None:
            warn_of_users(broker.administration.without_password(options.roles))
            config = _config(options)
            url = await _open(
                nursery, options, config, api.Api(broker, options, metrics=metrics).app()
            )
            logger.info("The HTTP API is served at %s", url)
        if unix_socket is None:
            yield url
            return
        opened = await open_unix_socket(str(unix_socket), 0o600, None)
        try:
            own = api.Api(broker, options, owner=api.OWNER, metrics=metrics).app()
            own_socket = trio.socket.from_stdlib_socket(opened.socket)
            own_listener = trio.SocketListener(own_socket)
            await _serve(nursery, options, _config(WebOptions()), own, [own_listener])
            yield url
        finally:
            opened.remove()


def _load() -> ModuleType:
    """Load what takes a while, and make what reads each form, so that no request waits for it."""
    api = import_module("trio_mqtt.web.api")
    from trio_mqtt.broker.operations.table import OPERATIONS
    from trio_mqtt.web.json_forms import adapter

    for operation in OPERATIONS:
        adapter(operation.asked)
    return api


def _config(options: WebOptions) -> Config:
    from hypercorn.config import Config

    config = Config()
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.alpn_protocols = ["http/1.1"]
    config.keep_alive_timeout = 30.0
    # Who follows a stream says nothing for as long as it does. A request that does not come is
    # ended by keep_alive_timeout, and a body that does not by the application.
    config.read_timeout = None
    config.h11_max_incomplete_size = 16 * 1024
    if options.certificate is not None:
        config.certfile = str(options.certificate)
        config.keyfile = str(options.certificate if options.key is None else options.key)
        try:
            config.create_ssl_context()
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"The certificate {options.certificate} for HTTPS cannot be used: {error}."
            ) from error
    return config


async def _open(nursery: trio.Nursery, options: WebOptions, config: Config, app: ASGIApp) -> str:
    host, port = options.host_and_port
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        reason = error.strerror or error
        raise ListenError(f"HTTP cannot be served at {options.listen}: {reason}.") from error
    address = listeners[0].socket.getsockname()
    await _serve(nursery, options, config, app, listeners)
    return http_url(address, "http" if config.certfile is None else "https")


async def _serve(
    nursery: trio.Nursery,
    options: WebOptions,
    config: Config,
    app: ASGIApp,
    listeners: list[trio.SocketListener],
) -> None:
    from trio_mqtt.web.connections import Connections

    most = options.maximum_requests * _CONNECTIONS
    await nursery.start(Connections(app, config, most).serve, listeners)
