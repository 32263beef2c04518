"""`/metrics`, `/healthz` and `/readyz` of one broker, over HTTP."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.broker import Broker
from trio_mqtt.errors import ConfigurationError, ListenError
from trio_mqtt.monitoring.http import Answer, HttpServer, Request
from trio_mqtt.monitoring.metrics_options import MetricsOptions
from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.optional import metrics_are_missing
from trio_mqtt.transport.http_addresses import http_url

if TYPE_CHECKING:
    from trio_mqtt.monitoring.metrics import Exposition

logger = logging.getLogger("trio_mqtt.monitoring")

_PATHS = b"/metrics for Prometheus, /healthz and /readyz for health checks.\n"


class MetricsServer:
    """What answers; `url` says where."""

    def __init__(self, url: str, exposition: Exposition) -> None:
        self._url = url
        self._exposition = exposition

    @property
    def url(self) -> str:
        """Where it listens, with the port that it got."""
        return self._url

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The metrics as they are now, in a format that is accepted (`Accept`), and its name."""
        return await self._exposition.page(accept)


@asynccontextmanager
async def serving_metrics(
    broker: Broker, options: MetricsOptions
) -> AsyncIterator[MetricsServer | None]:
    """Answer Prometheus and health checks about a broker for as long as the context lasts.

    None, and nothing is done, where the options name no address. `/metrics` has all figures,
    `/healthz` says that the event loop turns, `/readyz` whether clients are served: 503 where the
    storage fails, or the broker does not keep up, or ends.

        async with open_broker() as broker, serving_metrics(broker, options):
            await trio.sleep_forever()

    Raises ConfigurationError where the extra `metrics` is not installed, ListenError where the
    address cannot be had, and LocalProtocolError where the broker has such a server already.
    """
    if options.listen is None:
        yield None
        return
    exposition_class = await trio.to_thread.run_sync(load_exposition)
    # First what refuses a second one for the same broker: nothing is open then.
    with broker.timing(options.timed) as timing:
        exposition = exposition_class(broker, timing)
        server = HttpServer(
            _Pages(broker, exposition).respond,
            connections=options.maximum_connections,
            timeout=options.timeout,
        )
        listeners = await _open(options)
        url = http_url(listeners[0].socket.getsockname())
        async with tasks_beside() as nursery:
            nursery.start_soon(exposition.follow_lag)
            nursery.start_soon(server.run, listeners)
            logger.info("Metrics are served at %s/metrics", url)
            yield MetricsServer(url, exposition)


async def _open(options: MetricsOptions) -> list[trio.SocketListener]:
    host, port = options.host_and_port
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        reason = error.strerror or error
        raise ListenError(f"Metrics cannot be served at {options.listen}: {reason}.") from error


def load_exposition() -> type[Exposition]:
    """What makes metrics; only those who want some wait until its packages are loaded.

    Raises ConfigurationError where these are not installed.
    """
    try:
        from trio_mqtt.monitoring.metrics import Exposition
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "prometheus_client":
            raise
        raise ConfigurationError(metrics_are_missing()) from None
    return Exposition


class _Pages:
    def __init__(self, broker: Broker, exposition: Exposition) -> None:
        self._broker = broker
        self._exposition = exposition

    async def respond(self, request: Request) -> Answer:
        """What a path is answered with."""
        match request.path:
            case "/metrics":
                body, content_type = await self._exposition.page(request.accept)
                return Answer(body, content_type=content_type)
            case "/healthz":
                return Answer(b"ok\n")
            case "/readyz":
                problems = (await self._broker.readings()).problems
                if problems:
                    return Answer("".join(f"{one}\n" for one in problems).encode(), 503)
                return Answer(b"ok\n")
            case "/":
                return Answer(_PATHS)
            case _:
                return Answer(b"There is nothing here. There is: " + _PATHS, 404)
