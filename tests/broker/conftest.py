"""A broker without a port, clients for it, and virtual time: no test here waits for real."""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.broker.passes import LOOKS
from tests.broker.raw import V5, V311, Raw
from trio_mqtt import Broker
from trio_mqtt.broker import turns
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.turns import TURN
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.testing import MemoryBroker, open_memory_broker

_BELOW = f"{Path(__file__).parent}{os.sep}"


def in_virtual_time(function: Callable[..., Awaitable[Any]], *arguments: object) -> None:
    """Run a coroutine function as the tests here run."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(function, *arguments, clock=clock)


def run_in_virtual_time(
    function: Callable[..., Awaitable[Any]],
    *,
    clock: object,
    instruments: Sequence[trio.abc.Instrument],
) -> object:
    """Time jumps to the next deadline whenever everybody waits."""
    return trio.run(
        function,
        clock=trio.testing.MockClock(autojump_threshold=0),
        instruments=instruments,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and str(item.path).startswith(_BELOW)
            and inspect.iscoroutinefunction(item.obj)
            and item.get_closest_marker("trio") is None  # which asks for real time
        ):
            item.add_marker(pytest.mark.trio(run=run_in_virtual_time))


Join = Callable[..., Awaitable[Raw]]


@pytest.fixture
def limits() -> Limits:
    """The broker's limits; a test that needs others overrides this."""
    return Limits()


@pytest.fixture
def options() -> BrokerOptions:
    """What the broker offers; a test that needs something else overrides this."""
    return BrokerOptions()


@pytest.fixture
async def memory(limits: Limits, options: BrokerOptions) -> AsyncIterator[MemoryBroker]:
    async with open_memory_broker(limits=limits, options=options) as memory:
        yield memory


@pytest.fixture
def broker(memory: MemoryBroker) -> Broker:
    return memory.broker


@pytest.fixture(params=[V311, V5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> ProtocolVersion:
    """Each version to which the behaviour applies."""
    version: ProtocolVersion = request.param
    return version


@pytest.fixture
def opened(memory: MemoryBroker) -> Callable[..., Raw]:
    """A new connection on which nothing was said yet."""

    def opened(version: ProtocolVersion = V5, *, lockstep: bool = False) -> Raw:
        return Raw(memory.connect(lockstep=lockstep), version)

    return opened


@pytest.fixture
def join(memory: MemoryBroker) -> Join:
    """A client that is connected."""

    async def join(
        client_id: str = "c",
        version: ProtocolVersion = V5,
        *,
        lockstep: bool = False,
        **options: Any,
    ) -> Raw:
        client = Raw(memory.connect(lockstep=lockstep), version)
        await client.connect(client_id, **options)
        return client

    return join


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock finds a tenth of a turn gone: so much work is between two of them."""
    ticks = itertools.count()
    monkeypatch.setattr(turns, "clock", lambda: next(ticks) * TURN / LOOKS)
