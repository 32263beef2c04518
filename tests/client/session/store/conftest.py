"""A client with a store, in real time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.client.fake_broker import FakeBroker
from trio_mqtt import Client


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """In real time: virtual time would not wait for the disk."""
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "client.db"


@pytest.fixture
def client(broker: FakeBroker, path: Path) -> Callable[..., AbstractAsyncContextManager[Client]]:
    """Opens a client with the store."""
    return lambda **options: broker.client(store=path, **options)
