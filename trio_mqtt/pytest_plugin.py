"""Fixtures for tests of programs that use MQTT: `mqtt_broker`, `mqtt_network`, `mqtt_client` …

pytest loads this wherever trio-mqtt is installed, so nothing is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType

    from trio_mqtt import Client, sync
    from trio_mqtt.testing import BrokerInThread, BrokerNetwork

    BrokerFactory = Callable[..., AbstractContextManager[BrokerInThread]]

_URL = "mqtt_broker_url"
_LINES = 50  # of a broker's log that the report of a failed test has

# The brokers that run, whose logs go with the report of a test that fails.
_running: list[BrokerInThread] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and settings of these fixtures."""
    says = "where the brokers of mqtt_broker listen (mqtt://127.0.0.1:0, a free port)"
    group = parser.getgroup("mqtt", "MQTT brokers of tests")
    group.addoption("--mqtt-broker-url", dest=_URL, metavar="URL", default=None, help=says)
    parser.addini(_URL, says, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line(
        "markers",
        "mqtt_broker(**options): what the broker of this test is to be, such as"
        ' users={"ann": "secret"}, tls="expired", data=True, limits=trio_mqtt.Limits(...)',
    )


@pytest.hookimpl(hookwrapper=True)  # as older versions of pytest have it too
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """Have the report of a test that failed show what happened in its brokers."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    if report.failed:
        for broker in _running:
            lines = broker.log[-_LINES:]
            report.sections.append((f"MQTT broker at {broker.url}", "\n".join(lines)))


@pytest.fixture(scope="session")
def mqtt_broker_options() -> dict[str, Any]:
    """What all brokers of these fixtures are to be: to be overridden, in a conftest.py.

    The options are those of `trio_mqtt.testing.broker_in_thread`; those of a marker come on top.
    """
    return {}


@pytest.fixture(scope="session")
def mqtt_broker_factory(
    request: pytest.FixtureRequest,
    mqtt_broker_options: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> BrokerFactory:
    """Runs brokers, for fixtures of any scope and for tests that need several.

    `with mqtt_broker_factory(users={"ann": "secret"}) as broker:` runs one for as long as the block
    lasts. The options are those of the marker.
    """
    config = request.config
    url = config.getoption(_URL) or config.getini(_URL)

    @contextmanager
    def run(**options: Any) -> Iterator[BrokerInThread]:
        from trio_mqtt.testing import broker_in_thread

        options = {**mqtt_broker_options, **options}
        if url:
            options.setdefault("url", url)
        if options.get("data") == "disk":
            options["data"] = tmp_path_factory.mktemp("mqtt-broker")
        with broker_in_thread(**options) as broker:
            _running.append(broker)
            try:
                yield broker
            finally:
                _running.remove(broker)

    return run


@pytest.fixture
def mqtt_broker(
    request: pytest.FixtureRequest, mqtt_broker_factory: BrokerFactory
) -> Iterator[BrokerInThread]:
    """A real MQTT broker on a free port of this machine: its `url`, `host` and `port`.

    It runs in a thread, so that tests of any kind and clients of any library can use it. Each test
    gets a new one, with no sessions and no retained messages. `@pytest.mark.mqtt_broker(...)` says
    what it is to be; `mqtt_broker_module` and `mqtt_broker_session` are shared by many tests.
    """
    with mqtt_broker_factory(**_marked(request.node)) as broker:
        yield broker


@pytest.fixture(scope="module")
def mqtt_broker_module(
    request: pytest.FixtureRequest, mqtt_broker_factory: BrokerFactory
) -> Iterator[BrokerInThread]:
    """As mqtt_broker, one for all tests of a module, which `pytestmark` says what it is to be."""
    with mqtt_broker_factory(**_marked(request.node)) as broker:
        yield broker


@pytest.fixture(scope="session")
def mqtt_broker_session(mqtt_broker_factory: BrokerFactory) -> Iterator[BrokerInThread]:
    """As mqtt_broker, one for all tests; what a test leaves there, the next one finds."""
    with mqtt_broker_factory() as broker:
        yield broker


@pytest.fixture
def mqtt_network(mqtt_broker: BrokerInThread) -> BrokerNetwork:
    """The network before mqtt_broker: clients of its `url` can be disturbed by the test."""
    return mqtt_broker.network


@pytest.fixture
def mqtt_client(mqtt_broker: BrokerInThread) -> Callable[..., OpeningClient]:
    """Opens clients of `mqtt_broker`, with the options of `trio_mqtt.open_client`.

    In a synchronous test, `with mqtt_client() as client:` gives one of `trio_mqtt.sync`; in a test
    on Trio or asyncio, `async with mqtt_client() as client:` gives a `trio_mqtt.Client`.
    """

    def open_client(**options: Any) -> OpeningClient:
        if mqtt_broker.ca_file is not None:
            from trio_mqtt import TlsOptions

            options.setdefault("tls", TlsOptions(ca=mqtt_broker.ca_file))
        return OpeningClient(mqtt_broker.url, options)

    return open_client


def _marked(node: pytest.Item | pytest.Module) -> dict[str, Any]:
    """What markers say of a test's broker; the closest come last."""
    options: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("mqtt_broker"))):
        if marker.args:
            raise pytest.UsageError("mqtt_broker takes options by name, such as tls=True.")
        options.update(marker.kwargs)
    return options


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
