"""Raw clients of the broker under test: ours in memory, or with `--broker URL` any broker."""

from __future__ import annotations

import inspect
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.broker.conftest import run_in_virtual_time
from tests.broker.raw import V5, V311, Closed, Raw
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Packet
from trio_mqtt.testing import open_memory_broker
from trio_mqtt.transport.urls import parse_url

_BELOW = f"{Path(__file__).parent}{os.sep}"
PATIENCE = 8.0  # seconds in which a foreign broker must have answered
QUIET = 0.25  # seconds after which a foreign broker is taken to have nothing more to say


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--broker", metavar="URL", help="test this broker from outside, in real time")


def foreign_broker(config: pytest.Config) -> str | None:
    """The URL of the broker to test, or None for ours."""
    url: str | None = config.getoption("--broker", None)
    return url


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    foreign = foreign_broker(config) is not None
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and str(item.path).startswith(_BELOW)
            and inspect.iscoroutinefunction(item.obj)
        ):
            mark = pytest.mark.trio if foreign else pytest.mark.trio(run=run_in_virtual_time)
            item.add_marker(mark)


class Outsider(Raw):
    """A raw client of a broker that runs in real time and in another process."""

    async def receive(self) -> Packet | Closed:
        with trio.fail_after(PATIENCE):
            return await super().receive()

    async def expect_nothing(self, seconds: float = QUIET) -> None:
        await super().expect_nothing(max(seconds, QUIET))

    async def drain(self, seconds: float = QUIET) -> list[Packet]:
        return await super().drain(max(seconds, QUIET))

    async def drop(self) -> None:
        await super().drop()
        await trio.sleep(QUIET)


Open = Callable[..., Awaitable[Raw]]
Join = Callable[..., Awaitable[Raw]]


@pytest.fixture(params=[V311, V5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> ProtocolVersion:
    """Each version to which the statement applies."""
    version: ProtocolVersion = request.param
    return version


@pytest.fixture
def name() -> str:
    """A word that no other test uses, for topics and client identifiers: letters and digits."""
    return "t" + secrets.token_hex(5)


@pytest.fixture
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Open a connection on which nothing was said yet."""
    url = foreign_broker(request.config)
    if url is None:
        async with open_memory_broker() as memory:

            async def in_memory(version: ProtocolVersion = V5) -> Raw:
                return Raw(memory.connect(), version)

            yield in_memory
    else:
        address = parse_url(url)
        clients: list[Raw] = []

        async def over_tcp(version: ProtocolVersion = V5) -> Raw:
            stream = await trio.open_tcp_stream(address.host, address.port)
            clients.append(Outsider(stream, version))
            return clients[-1]

        yield over_tcp
        for client in clients:
            await client.stream.aclose()


@pytest.fixture
def join(opened: Open) -> Join:
    """A client that is connected."""

    async def join(client_id: str, version: ProtocolVersion = V5, **options: Any) -> Raw:
        client = await opened(version)
        await client.connect(client_id, **options)
        return client

    return join
