"""Every test runs on both backends, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client.fake_broker import FakeBroker
from tests.client.virtual_time import virtual_backend


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@pytest.fixture
def broker() -> FakeBroker:
    """A server that behaves until a test tells it not to."""
    return FakeBroker()
