"""Loading what speaks with engines only where there is one: it takes long, and may be missing."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from trio_mqtt.errors import ConfigurationError
from trio_mqtt.optional import cluster_is_missing

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.settings import Cluster


class OpenEngine(Protocol):
    """What reaches an engine, and waits for it `patience` seconds."""

    def __call__(
        self, settings: Cluster, *, patience: float = ...
    ) -> AbstractAsyncContextManager[Engine]: ...


def load_open_engine() -> OpenEngine:
    """What reaches a cluster's engine. Raises ConfigurationError where its package is missing."""
    try:
        from trio_mqtt.cluster.engine.engine import open_engine
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "coredis":
            raise
        raise ConfigurationError(cluster_is_missing()) from None
    return open_engine
