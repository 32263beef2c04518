"""`tmqtt broker`: a broker, and what happens in it."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

import trio_mqtt
from tmqtt.broker.data import Data, check_folder_of_one
from tmqtt.broker.levels import Level
from tmqtt.broker.library_log import EXPOSED, LibraryLog, library_log
from tmqtt.broker.listening import ListenAt
from tmqtt.broker.output_keeper import OutputKeeper, OutputTroubles
from tmqtt.broker.remedies import Remedies
from tmqtt.broker.restoring import shown_restoring
from tmqtt.broker.settings import as_command_error, warnings
from tmqtt.broker.starting import told_starting
from tmqtt.broker.systemd import Notifier, take_sockets
from tmqtt.broker.traffic import CLIENT_EVENTS, MESSAGES
from tmqtt.broker.view import TICK, BrokerView
from tmqtt.broker.welcome import exposed
from tmqtt.terminal.running import collect_less_often
from tmqtt.terminal.terminal import Terminal
from trio_mqtt.configuration import (
    Configuration,
    InvalidConfiguration,
    RunningConfiguration,
)

if TYPE_CHECKING:
    from trio_mqtt.monitoring import LogOptions, LogWriter

logger = logging.getLogger("trio_mqtt.broker")

_SAMPLE = 200  # events that are looked at in one tick; messages fill half of it


async def serve(
    listen_at: ListenAt,
    terminal: Terminal,
    *,
    configuration: Configuration,
    level: Level | None = None,
    welcomes: bool = True,
) -> None:
    """Be a broker until told to stop, and show what happens, as much as `level` says.

    So does the log, where one is configured. Without a level the log has its own, and what is shown
    is everything, but no messages where a file says how to serve and nobody looks on.

    `listen_at` says where, to which it adds the sockets of systemd. One that does not `welcome` is
    like another that does: where it listens, and what may be wrong with that, is told once.
    """
    collect_less_often()
    listen_at = replace(listen_at, inherited=take_sockets(os.environ))
    plugin = configuration.settings.plugins.storage
    data = Data(
        configuration.settings.storage,
        None if plugin is None else plugin.factory,
        Remedies(configuration.path),
        configuration.settings.cluster is not None,
    )
    if data.settings.path is not None and plugin is None:
        check_folder_of_one(Path(data.settings.path))
    notifier = Notifier(os.environ)
    is_looked_at = configuration.path is None or terminal.output.is_terminal
    shown = level or (Level.ALL if is_looked_at else Level.INFO)
    with ExitStack() as last:
        # Before anything is read: files give cause for warnings, and are read by a thread.
        log = last.enter_context(library_log())
        last.callback(_tell_the_rest, log, terminal)
        writer = None
        if configuration.settings.logging is not None:
            from trio_mqtt.monitoring import logging_to  # most have no log of their own to write

            log_options = _log_options(configuration.settings.logging, level)
            writer = last.enter_context(logging_to(log_options))
            if log_options.goes_to in ("stderr", "journal") and not terminal.output.is_terminal:
                shown = Level.ERROR  # the log is what is read there, and has it all
        async with (
            shown_restoring(terminal, notifier.restoring) as restoring,
            told_starting(log, terminal, shown, notifier.waiting) as starting,
            _running(
                configuration,
                listeners=listen_at,
                progress=restoring.progress,
                change_log=partial(_change_log, writer, level) if writer else None,
            ) as running,
            trio.open_nursery() as nursery,
        ):
            starting.end()
            broker = running.broker
            for sentence in warnings(configuration, os.environ) if welcomes else ():
                logger.warning("%s", sentence)
            for sentence in exposed(broker) if welcomes else ():
                logger.warning("%s", sentence, extra={"event": EXPOSED})
            restored = data.restored(broker.restored, restoring.end())
            view = BrokerView(broker, terminal, log, shown)
            _outlast_output(terminal, view, OutputTroubles(notifier))
            await nursery.start(_reload_when_told, running, terminal, notifier, view, writer)
            nursery.start_soon(notifier.keep_watchdog_quiet)
            with notifier.serving():
                url = running.metrics_url
                served = "" if url is None else f"Metrics are at {url}/metrics."
                web_url = running.web_url
                web = (
                    ""
                    if web_url is None
                    else f"Its page is at {web_url}, with the API at {web_url}/api/v1."
                )
                known = configuration.settings.web
                nobody = (
                    ""
                    if web_url is None or known.roles or known.tokens
                    else "Nobody may log in there: web.roles in the configuration says who may, or"
                    " --password-file FILE --set web.roles.NAME=administrate."
                )
                if welcomes:
                    view.begin(
                        data.remedies,
                        *filter(
                            None, (served, web, nobody, restored, data.promise(broker.cluster))
                        ),
                    )
                await _show(broker, terminal, last, view, shown, data)


def _log_options(options: LogOptions, level: Level | None) -> LogOptions:
    """What the log is to have and where it goes, with the `level` that an option says."""
    return options if level is None else replace(options, level=level.in_logs)


def _change_log(
    writer: LogWriter, level: Level | None, options: LogOptions
) -> AbstractContextManager[Callable[[], None]]:
    return writer.changing(_log_options(options, level))


@asynccontextmanager
async def _running(
    configuration: Configuration,
    *,
    listeners: Callable[[Sequence[trio_mqtt.Listen]], Sequence[trio_mqtt.Listen]],
    progress: Callable[[float], None],
    change_log: Callable[[LogOptions], AbstractContextManager[Callable[[], None]]] | None,
) -> AsyncIterator[RunningConfiguration]:
    """The broker that is configured. Raises CommandError where a part of it cannot be made."""
    try:
        async with configuration.run(
            listeners=listeners, progress=progress, change_log=change_log
        ) as running:
            yield running
    except InvalidConfiguration as error:
        raise as_command_error(error) from None


def _tell_the_rest(log: LibraryLog, terminal: Terminal) -> None:
    """Tell what was logged before there was a view, where there never came to be one."""
    for notice in log.take():
        terminal.warn(notice.text)


def _outlast_output(terminal: Terminal, view: BrokerView, troubles: OutputTroubles) -> None:
    """Have clients served on where the log's disk is full, or its reader has gone."""
    terminal.output.outlive(OutputKeeper("The output", troubles, view.warn, view.note))
    if terminal.messages is not terminal.output:
        terminal.messages.outlive(OutputKeeper("The error output", troubles, view.note, view.warn))


async def _show(
    broker: trio_mqtt.Broker,
    terminal: Terminal,
    last: ExitStack,
    view: BrokerView,
    level: Level,
    data: Data,
) -> None:
    """Show what happens; what is to be done when the broker has ended goes to `last`."""
    # Both outlast the broker, so that the goodbyes are seen as well.
    watching = last.enter_context(ExitStack())
    kinds = CLIENT_EVENTS + MESSAGES * level.tells(Level.ALL)
    sample = watching.enter_context(broker.sample(*kinds, limit=_SAMPLE))
    watching.callback(lambda: view.end(sample, data.forgotten(broker.holdings())))
    while not terminal.output.closed:
        await trio.sleep(TICK)
        view.tick(sample)
        await view.rest(sample)
    watching.close()
    while True:
        await trio.sleep(TICK)
        view.hear()
        await view.rest()


async def _reload_when_told(
    running: RunningConfiguration,
    terminal: Terminal,
    notifier: Notifier,
    view: BrokerView,
    writer: LogWriter | None,
    task_status: trio.TaskStatus[None],
) -> None:
    """Read all settings and files again at each SIGHUP, and say so; what fails is a warning."""
    tell, told = trio.open_memory_channel[None](1)

    def on_signal() -> None:
        with suppress(trio.WouldBlock):  # it is told already
            tell.send_nowait(None)

    terminal.on_reload(on_signal)
    task_status.started()
    async for _ in told:
        if writer is not None:
            writer.reopen()
        with notifier.reloading():
            done = await running.try_reload()
        if done:
            for change in running.changes:
                view.tell(str(change))
            view.tell("The settings were read again.")
