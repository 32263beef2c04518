"""An engine for the tests of clusters: one for each worker, with a fresh name for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.cluster.redis import RedisServer, redis_server
from trio_mqtt import Cluster

_numbers = count(1)


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """An engine that all tests of a worker share; who ends it starts one of its own instead."""
    with redis_server() as server:
        yield server


@pytest.fixture
def cluster(redis: RedisServer) -> Cluster:
    """A cluster of this test's own: `dataclasses.replace` makes others of it."""
    return Cluster(url=redis.url, name=f"test-{next(_numbers)}")
