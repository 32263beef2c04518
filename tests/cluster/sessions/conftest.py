from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.cluster.sessions.nodes import Nodes
from trio_mqtt import Cluster
from trio_mqtt.cluster.engine.engine import Engine, open_engine


@pytest.fixture
async def engine(cluster: Cluster) -> AsyncIterator[Engine]:
    async with open_engine(cluster) as opened:
        yield opened


@pytest.fixture
async def nodes(engine: Engine) -> Nodes:
    return Nodes(engine, await engine.call("TIME"))
