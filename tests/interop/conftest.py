"""The brokers, the cable to them, and the client under test."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import trio_mqtt

from .brokers import run_aedes, run_mosquitto
from .cable import Cable, open_cable
from .node import NodeClients
from .peers import Connect, Connecting, Message, OpenPeer, Peer, Server, Version

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)


@pytest.fixture(scope="session")
def trio_portal() -> Iterator[BlockingPortal]:
    """A thread that runs Trio."""
    with start_blocking_portal("trio") as portal:
        yield portal


@pytest.fixture(scope="session")
def asyncio_portal() -> Iterator[BlockingPortal]:
    """A thread that runs asyncio."""
    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="session")
def broker(trio_portal: BlockingPortal) -> Iterator[trio_mqtt.Broker]:
    """Our broker, on a free port."""
    opening = trio_mqtt.open_broker("mqtt://127.0.0.1:0")
    with trio_portal.wrap_async_context_manager(opening) as broker:
        yield broker


@pytest.fixture
def our_broker(broker: trio_mqtt.Broker, caplog: pytest.LogCaptureFixture) -> Iterator[Server]:
    """Where our broker listens. It may not log anything worse than a warning meanwhile."""
    host, port = broker.url.removeprefix("mqtt://").split(":")
    yield Server(host, int(port))
    errors = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name.startswith("trio_mqtt") and record.levelno >= logging.ERROR
    ]
    assert errors == []


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Mosquitto, on a free port."""
    with run_mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


@pytest.fixture(scope="session")
def aedes() -> Iterator[Server]:
    """Aedes, on a free port."""
    with run_aedes() as server:
        yield server


@pytest.fixture(scope="session")
def node_clients() -> Iterator[NodeClients]:
    """The process in which all MQTT.js clients live."""
    with NodeClients() as clients:
        yield clients


@pytest.fixture
def server(our_broker: Server) -> Server:
    """The broker under test: ours, where a file does not say otherwise."""
    return our_broker


@pytest.fixture(params=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> Version:
    """The version that the clients speak."""
    chosen: Version = request.param
    return chosen


@pytest.fixture
def topic() -> str:
    """A topic that no other test uses."""
    return f"interop/{secrets.token_hex(6)}"


@pytest.fixture
def cable(server: Server, trio_portal: BlockingPortal) -> Iterator[Cable]:
    """A cable to the broker under test."""
    with open_cable(server, trio_portal) as cable:
        yield cable


@pytest.fixture
def connect(open_peer: OpenPeer, server: Server, version: Version) -> Connect:
    """Connect the client under test: `open_peer`, a fixture of its file, opens it."""

    def connect(
        client_id: str | None = None,
        *,
        at: Server | None = None,
        clean: bool = True,
        will: Message | None = None,
    ) -> AbstractContextManager[Peer]:
        client_id = client_id or f"interop-{secrets.token_hex(4)}"
        return open_peer(Connecting(at or server, version, client_id, clean, will))

    return connect
