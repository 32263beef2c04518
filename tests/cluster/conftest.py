"""An engine for the tests of clusters: one for each worker, with a fresh name for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.cluster.redis import RedisServer, redis_server
from tests.cluster.redis_groups import RedisCluster, redis_cluster
from trio_mqtt import Cluster

_numbers = count(1)


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """An engine that all tests of a worker share; who ends it starts one of its own instead."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def three_masters() -> Iterator[RedisCluster]:
    """A Redis Cluster that all tests of a worker share."""
    with redis_cluster() as masters:
        yield masters


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A cluster of this test's own: `dataclasses.replace` makes others of it.

    Its engine is that of `redis`, unless `--engine masters` says otherwise for tests that do not
    ask for `redis` themselves.
    """
    is_single = request.config.getoption("--engine") == "single"
    engine = "redis" if is_single or "redis" in request.fixturenames else "three_masters"
    return Cluster(url=request.getfixturevalue(engine).url, name=f"test-{next(_numbers)}")
