"""Fixtures for tests of programs that use MQTT: `mqtt_broker` and `mqtt_client`.

pytest loads this wherever trio-mqtt is installed, so nothing is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType

    from trio_mqtt import Client, sync
    from trio_mqtt.testing import BrokerAddress


@pytest.fixture
def mqtt_broker() -> Iterator[BrokerAddress]:
    """A real MQTT broker on a free port of this machine: its `url`, `host` and `port`.

    It runs in a thread, so that tests of any kind and clients of any library can use it. Each test
    gets a new one, with no sessions and no retained messages.
    """
    from trio_mqtt.testing import broker_in_thread

    with broker_in_thread() as broker:
        yield broker


@pytest.fixture
def mqtt_client(mqtt_broker: BrokerAddress) -> Callable[..., OpeningClient]:
    """Opens clients of `mqtt_broker`, with the options of `trio_mqtt.open_client`.

    In a synchronous test, `with mqtt_client() as client:` gives one of `trio_mqtt.sync`; in a test
    on Trio or asyncio, `async with mqtt_client() as client:` gives a `trio_mqtt.Client`.
    """
    return lambda **options: OpeningClient(mqtt_broker.url, options)


class OpeningClient:
    """A client that is opened by `with` or by `async with`."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._url = url
        self._options = options
        self._held: AbstractContextManager[sync.Client] | None = None
        self._held_async: AbstractAsyncContextManager[Client] | None = None

    def __enter__(self) -> sync.Client:
        from trio_mqtt import sync

        self._held = sync.open_client(self._url, **self._options)
        return self._held.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        held, self._held = self._held, None
        return held.__exit__(kind, error, traceback) if held is not None else None

    async def __aenter__(self) -> Client:
        from trio_mqtt import open_client

        self._held_async = open_client(self._url, **self._options)
        return await self._held_async.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        held, self._held_async = self._held_async, None
        return await held.__aexit__(kind, error, traceback) if held is not None else None
