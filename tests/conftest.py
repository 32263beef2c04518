"""Which tests run under Trio, decided by folder; those under AnyIO say so themselves."""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, settings

import trio_mqtt
from tests.compilation import is_extension, modules_to_compile
from tests.hanging import tell_tasks_as_time_is_up
from tests.standing_time import let_time_stand

# Else each of the hundreds of processes that tests start would compile the package anew, and each
# that runs tests would compile those: longer than all else that it does before the first of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples in every run: a failure is a defect, never luck; nor is a machine that is busy.
settings.register_profile(
    "tests", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

# Everything in these folders that is a coroutine runs under pytest-trio. `trio_mode` would take
# over the AnyIO tests too, and run their asyncio case on Trio without a word.
TRIO_FOLDERS = tuple(
    Path(__file__).parent / name
    for name in (
        "broker",
        "cluster",
        "history",
        "monitoring",
        "storage",
        "transport/listeners",
        "web",
    )
)

# What `--storage` is for.
KEPT_FOLDERS = tuple(Path(__file__).parent / name for name in ("broker", "conformance"))

# They run commands in pseudo-terminals, end processes by signals, or start programs of Unix:
# Windows cannot even load them. Elsewhere `posix` marks what needs such a thing.
UNIX_TESTS = tuple(
    Path(__file__).parent / name
    for name in (
        "cli",
        "client/session/store/test_killed.py",
        "cluster",
        "deploy",
        "durability",
        "fuzz",
        "history/test_killed.py",
        "interop",
        "soak",
        "transport/connectors/test_unix_sockets.py",
        "transport/listeners/test_unix_sockets.py",
    )
)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Whether tests are left out that this system cannot run; None leaves it to others."""
    return (sys.platform == "win32" and collection_path in UNIX_TESTS) or None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--storage",
        choices=("sqlite",),
        help="what keeps what outlives a broker, where its tests and statements say nothing of it",
    )
    parser.addoption(
        "--engine",
        choices=("single", "masters"),
        default="single",
        help="what the tests of clusters stand on, where they say nothing of it: one process, or"
        " a Redis Cluster of three masters",
    )
    parser.addoption(
        "--compiled",
        action="store_true",
        help="test the package as it is installed compiled, and nothing else",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--compiled"):
        pure = [name for name in modules_to_compile() if not is_extension(name)]
        if pure:
            raise pytest.UsageError(f"These are to be tested compiled, and are not: {pure}")


@pytest.fixture(autouse=True)
def _brokers_that_nobody_follows(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests look at brokers as programs run them, which nobody follows: they record nothing."""
    memory = sys.modules.get("trio_mqtt.testing.memory")
    if memory is not None and any(map(request.path.is_relative_to, TRIO_FOLDERS)):
        monkeypatch.setattr(memory, "Recording", lambda: None)


@pytest.fixture(autouse=True)
def _storage_underneath(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    without = request.node.get_closest_marker("without_storage") is not None or not any(
        map(request.path.is_relative_to, KEPT_FOLDERS)
    )
    if without or request.config.getoption("--storage") is None:
        yield
        return
    from tests.storage.in_loop import InLoop
    from trio_mqtt.broker.core import Core

    begin = Core.__init__

    def begin_with_storage(self: Core, *arguments: Any, **options: Any) -> None:
        with suppress(RuntimeError):  # outside of Trio there are no clients, and nothing to keep
            trio.lowlevel.current_task()
            if type(self) is Core and options.get("storage") is None:
                options["storage"] = InLoop(Path(folders.enter_context(TemporaryDirectory())))
        begin(self, *arguments, **options)

    with ExitStack() as folders:
        monkeypatch.setattr(Core, "__init__", begin_with_storage)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and _is_in_a_trio_folder(item.path)
            and inspect.iscoroutinefunction(item.obj)
        ):
            item.add_marker(pytest.mark.trio)
        if sys.platform == "win32" and item.get_closest_marker("posix") is not None:
            item.add_marker(pytest.mark.skip(reason="needs what Windows does not have"))
        for marker in item.iter_markers("pure"):
            reason = f"tests pure Python alone: {marker.args[0]}"
            item.add_marker(pytest.mark.skipif(trio_mqtt.is_compiled, reason=reason))


@cache
def _is_in_a_trio_folder(path: Path) -> bool:
    return any(map(path.is_relative_to, TRIO_FOLDERS))


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Each of several workers begins with files of its own, and finds those of the others ready.

    Else all of them would rewrite the asserts of one file after the other, all at one time.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    folders = [Path(argument) for argument in session.config.args]
    if not worker.isdecimal() or not all(map(Path.is_dir, folders)):
        return
    ignored = [Path(path).resolve() for path in session.config.getoption("ignore") or ()]
    files = sorted(path.resolve() for folder in folders for path in folder.rglob("test_*.py"))
    for path in files[int(worker) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]:
        if not any(map(path.is_relative_to, ignored)):
            name = ".".join(path.relative_to(session.config.rootpath).with_suffix("").parts)
            with suppress(Exception, pytest.skip.Exception):  # which is told when it is collected
                importlib.import_module(name)


def pytest_collection_finish() -> None:
    """Leave what stays until the end out of each look for garbage: a million objects by now."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _virtual_time_waits_for_threads() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        let_time_stand(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tasks_are_told_as_time_is_up() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        tell_tasks_as_time_is_up(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _hangup_as_in_a_shell() -> Iterator[None]:
    """Processes that the tests start take SIGHUP, even where the tests run under nohup.

    They would inherit that it is ignored; what has a handler here is as usual again there.
    """
    number = getattr(signal, "SIGHUP", None)
    before = None if number is None else signal.getsignal(number)
    if number is not None and before is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
    yield
    if number is not None and before is signal.SIG_IGN:
        signal.signal(number, before)
