"""A broker with metrics, and who asks for them by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import h11
import trio
import trio.testing
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from trio_mqtt import MemoryStorage
from trio_mqtt.monitoring import MetricsOptions, serving_metrics
from trio_mqtt.testing import MemoryBroker, open_memory_broker

LOCAL = MetricsOptions(listen="127.0.0.1:0", timed=1)


class Got(trio.abc.AsyncResource):
    """One HTTP client."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._connection = h11.Connection(h11.CLIENT)

    async def get(
        self, path: str, method: str = "GET", accept: str = "*/*"
    ) -> tuple[int, str, dict[str, str]]:
        connection = self._connection
        if connection.our_state is h11.DONE:
            connection.start_next_cycle()
        headers = [(b"Host", b"x"), (b"Accept", accept.encode("latin-1"))]
        data = connection.send(h11.Request(method=method, target=path, headers=headers)) or b""
        await self.stream.send_all(data + (connection.send(h11.EndOfMessage()) or b""))
        body, response = b"", None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await self.stream.receive_some())
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                assert response is not None
                assert response.reason.decode() == HTTPStatus(response.status_code).phrase
                found = {name.decode(): value.decode() for name, value in response.headers}
                return response.status_code, body.decode(), found

    async def aclose(self) -> None:
        await self.stream.aclose()


@asynccontextmanager
async def watched(
    options: MetricsOptions = LOCAL, storage: MemoryStorage | None = None
) -> AsyncIterator[tuple[MemoryBroker, Callable[[], Awaitable[Got]]]]:
    async with (
        open_memory_broker(storage=storage) as memory,
        serving_metrics(memory.broker, options) as server,
    ):
        assert server is not None
        port = int(server.url.rpartition(":")[2])

        async def connect() -> Got:
            return Got(await trio.open_tcp_stream("127.0.0.1", port))

        yield memory, connect


def families_of(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def samples(text: str) -> dict[str, float]:
    """Each sample with its labels, as Prometheus reads it."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sample.labels.items()): (
            sample.value
        )
        for family in families_of(text)
        for sample in family.samples
    }
