"""The broker that a configuration opens, and what it keeps to, which may be read again."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import trio

from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.listen import Listen
from trio_mqtt.broker.persistence import Progress
from trio_mqtt.broker.server import (
    DEFAULT_URL,
    interrupts_put_back,
    open_broker,
    until_told_to_stop,
)
from trio_mqtt.configuration.configured import Configured
from trio_mqtt.configuration.parts import Maker, Parts
from trio_mqtt.configuration.problems import (
    NO_FOLDER_FOR_SOCKET,
    InvalidConfiguration,
    Problem,
)
from trio_mqtt.configuration.sections import Settings
from trio_mqtt.configuration.sources import File, Layers
from trio_mqtt.monitoring.log_options import LogOptions

if TYPE_CHECKING:
    from trio_mqtt.configuration.difference import Change
    from trio_mqtt.monitoring.metrics_server import MetricsServer

logger = logging.getLogger("trio_mqtt.broker")

_T = TypeVar("_T")

# What makes of the listeners that are configured where to listen.
ChooseListeners: TypeAlias = Callable[[Sequence[Listen]], Sequence[str | Listen]]

# What has the log be written by other options within its context, if what it gives is called.
ChangeLog: TypeAlias = Callable[[LogOptions], AbstractContextManager[Callable[[], None]]]

# What holds from the start of a broker to its end.
_FIXED = ("storage.", "cluster.", "plugins.storage.", "metrics.", "web.", "history.path")


def _configured_or_default(listeners: Sequence[Listen]) -> Sequence[str | Listen]:
    return listeners or (DEFAULT_URL,)


async def _in_thread(function: Callable[[], _T]) -> _T:
    """What reads files or makes plugins: who gives up waits for none of them."""
    return await trio.to_thread.run_sync(function, abandon_on_cancel=True)


@asynccontextmanager
async def _entered_in_thread(context: AbstractContextManager[_T]) -> AsyncIterator[_T]:
    """A context that is entered where it may wait for a disk; who gives up leaves it all the same.

    It is left where it was asked for, or in the thread, where nobody waits for that any more.
    """
    lock, entered, given_up = threading.Lock(), False, False

    def enter() -> _T:
        nonlocal entered
        value = context.__enter__()
        with lock:
            entered = True
            if given_up:
                context.__exit__(None, None, None)
        return value

    try:
        value = await _in_thread(enter)
    except trio.Cancelled:
        with lock:
            given_up = True
            if entered:
                context.__exit__(None, None, None)
        raise
    with ExitStack() as stack:
        stack.push(context.__exit__)
        yield value


def _warn(configuration: Configured) -> None:
    for warning in configuration.warnings:
        logger.warning("%s", warning)


class Configuration(Configured):
    """What `trio_mqtt.configuration.load` has read, and the broker that it opens."""

    def __init__(
        self,
        settings: Settings,
        layers: Layers,
        file: File | None,
        read_again: Callable[[], Configuration],
    ) -> None:
        super().__init__(settings, layers, file)
        self._read_again = read_again

    def read_again(self) -> Configuration:
        """The same file as it is now, below the same environment and overrides.

        Raises InvalidConfiguration.
        """
        return self._read_again()

    def make_parts(self, before: Parts | None = None) -> Parts:
        """The storage, what checks who connects, and plugins, which are imported and made now.

        Those of `before` that have the same settings are used on. Raises InvalidConfiguration with
        all that cannot be made.
        """
        return Maker(self._settings, self._layers, before).parts()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Broker]:
        """Run the broker that is configured, for as long as the context lasts.

        Raises InvalidConfiguration where a plugin or a part cannot be made, and what `open_broker`
        raises.
        """
        async with self.run() as running:
            yield running.broker

    async def serve(
        self, *, task_status: trio.TaskStatus[Broker] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Be the broker that is configured until the process is told to stop, as `trio_mqtt.serve`.

        At SIGHUP the file is read again (`RunningConfiguration.try_reload`).

            trio.run(trio_mqtt.configuration.load("broker.toml").serve)

        Errors are those of `open`.
        """
        with interrupts_put_back():
            async with self.run() as running:
                await until_told_to_stop(
                    running.broker, reload=running.try_reload, task_status=task_status
                )

    @asynccontextmanager
    async def run(
        self,
        *,
        listeners: ChooseListeners = _configured_or_default,
        progress: Progress | None = None,
        change_log: ChangeLog | None = None,
    ) -> AsyncIterator[RunningConfiguration]:
        """Run the broker as `open` does, with what it keeps to, for those that read it again.

        `listeners` makes of those that are configured where to listen, now and whenever it is read
        again; `progress` is told how far the storage is. The log is not written here:
        `trio_mqtt.monitoring.logging_to(settings.logging)` does that, before all else, and what it
        gives has the function for `change_log`, `LogWriter.changing`.
        """
        parts = await _in_thread(self.make_parts)
        _warn(self)
        settings = self._settings
        async with (
            open_broker(
                *listeners(parts.listeners),
                limits=settings.limits,
                options=settings.options,
                storage=parts.storage,
                progress=progress,
                security=parts.security,
                cluster=settings.cluster,
                history=settings.history,
            ) as broker,
            _metrics_of(broker, settings) as metrics,
            _web_of(broker, settings, metrics) as web_url,
        ):
            yield RunningConfiguration(
                broker,
                self,
                parts,
                listeners,
                change_log=change_log,
                metrics_url=None if metrics is None else metrics.url,
                web_url=web_url,
            )


@asynccontextmanager
async def _metrics_of(broker: Broker, settings: Settings) -> AsyncIterator[MetricsServer | None]:
    """Metrics are served, if that is asked for."""
    if settings.metrics.listen is None:
        yield None
        return
    # Only those wait for its packages who want metrics.
    from trio_mqtt.monitoring.metrics_server import serving_metrics

    async with serving_metrics(broker, settings.metrics) as server:
        yield server


@asynccontextmanager
async def _web_of(
    broker: Broker, settings: Settings, metrics: MetricsServer | None
) -> AsyncIterator[str | None]:
    """The HTTP API is served, if that is asked for, metrics among it; where."""
    web, folder = settings.web, settings.storage.path
    if web.listen is None and not web.socket:
        yield None
        return
    from trio_mqtt.web.server import SOCKET, serving_web

    if web.socket and folder is None:
        raise InvalidConfiguration([Problem("web.socket", NO_FOLDER_FOR_SOCKET)])
    path = None if folder is None else os.path.join(folder, SOCKET)
    async with serving_web(broker, web, unix_socket=path, metrics=metrics) as url:
        yield url


class RunningConfiguration:
    """A broker, and the configuration that it keeps to. `Configuration.run` makes one."""

    def __init__(
        self,
        broker: Broker,
        configuration: Configuration,
        parts: Parts,
        listeners: ChooseListeners,
        *,
        change_log: ChangeLog | None = None,
        metrics_url: str | None = None,
        web_url: str | None = None,
    ) -> None:
        self._change_log = change_log
        self._metrics_url = metrics_url
        self._web_url = web_url
        self._broker = broker
        self._configuration = configuration
        self._parts = parts
        self._listeners = listeners
        self._changes: tuple[Change, ...] = ()

    @property
    def broker(self) -> Broker:
        """The broker."""
        return self._broker

    @property
    def configuration(self) -> Configuration:
        """What it keeps to."""
        return self._configuration

    @property
    def metrics_url(self) -> str | None:
        """Where metrics are served, if they are."""
        return self._metrics_url

    @property
    def web_url(self) -> str | None:
        """Where the HTTP API is served, if it is served at an address."""
        return self._web_url

    @property
    def changes(self) -> tuple[Change, ...]:
        """What it keeps to since the last `reload`, otherwise than before."""
        return self._changes

    async def reload(self) -> None:
        """Read the file again, and all files that it names: `changes` has what is different.

        The environment and overrides are what they were. A plugin stays what it is while its
        settings are the same. Raises InvalidConfiguration with all that is wrong, or cannot change
        while the broker runs, and what `Broker.reconfigure` raises: then nothing has changed.
        """
        from trio_mqtt.configuration.difference import differences  # not needed to begin

        after = await _in_thread(self._configuration.read_again)
        changes = differences(self._configuration, after)
        fixed = [change for change in changes if self._is_fixed(change.setting, after)]
        if fixed:
            raise InvalidConfiguration(
                Problem(change.setting, f"{change} That holds only after a new start.")
                for change in fixed
            )
        parts = await _in_thread(partial(after.make_parts, self._parts))
        settings = after.settings
        async with _entered_in_thread(self._log_of(after)) as change_log:

            def in_force() -> None:
                change_log()
                self._configuration, self._parts, self._changes = after, parts, changes
                _warn(after)
                for change in changes:
                    # An event of its own, so that many of them are not summed up as one storm.
                    about = {"event": "setting_changed", "setting": change.setting}
                    logger.info("%s", change, extra=about)

            await self._broker.reconfigure(
                *self._listeners(parts.listeners),
                limits=settings.limits,
                options=settings.options,
                security=parts.security,
                history=settings.history,
                in_force=in_force,
            )

    def _is_fixed(self, setting: str, after: Configuration) -> bool:
        """Whether a setting holds from the start of the broker to its end."""
        if setting.startswith("logging."):
            logs = self._configuration.settings.logging, after.settings.logging
            return self._change_log is None or None in logs
        if setting.startswith("history."):
            histories = self._configuration.settings.history, after.settings.history
            return setting.startswith(_FIXED) or None in histories
        return setting.startswith(_FIXED)

    def _log_of(self, after: Configuration) -> AbstractContextManager[Callable[[], None]]:
        """What has the log be written as a configuration says, where that is otherwise than now."""
        log = after.settings.logging
        if self._change_log is None or log is None or log == self._configuration.settings.logging:
            return nullcontext(lambda: None)
        return self._change_log(log)

    async def try_reload(self) -> bool:
        """Do `reload` as at SIGHUP; whether it could be done.

        Where it could not, the log says so, again each hour, and all is as it was.
        """
        return await self._broker.try_reload(self.reload)
