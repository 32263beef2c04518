"""Opening a broker: its listeners, its tasks, and their orderly end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.connections.registry import Connections
from trio_mqtt.broker.core import Core
from trio_mqtt.broker.holdings import Holdings
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.listen import Listen, listens_of
from trio_mqtt.broker.listeners import Listeners
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.persistence import Progress, restore
from trio_mqtt.cluster.engine.loading import load_open_engine
from trio_mqtt.cluster.settings import Cluster
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.history.settings import HistorySettings
from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.storage.rows import Storage

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.cluster_node import ClusterNode
    from trio_mqtt.broker.looking_back import LookingBack

DEFAULT_URL = "mqtt://127.0.0.1:1883"

# What asks the process to read its settings again; Windows knows no such signal.
RELOADS = tuple(getattr(signal, name) for name in ("SIGHUP",) if hasattr(signal, name))

logger = logging.getLogger("trio_mqtt.broker")


@asynccontextmanager
async def open_broker(
    *listeners: str | Listen,
    limits: Limits | None = None,
    options: BrokerOptions | None = None,
    storage: Storage | None = None,
    progress: Progress | None = None,
    security: Security | None = None,
    cluster: Cluster | None = None,
    history: HistorySettings | None = None,
) -> AsyncIterator[Broker]:
    """Run an MQTT broker for as long as the context lasts.

    It listens at all `listeners` (none: mqtt://127.0.0.1:1883; port 0 takes a free one, and `url`
    of the broker says which): a URL such as mqtt://0.0.0.0 or "mqtts://0.0.0.0?cert=server.pem", or
    a `Listen`. At the end wills are published and clients told (MQTT 5.0 §4.13).
    `limits` are its bounds, `options` what it offers. `storage` keeps sessions and retained
    messages for the broker that uses it next, such as `SqliteStorage(path)`: what this one has
    acknowledged is then there, however it ends; by default it ends with the broker. Before any
    client is served, what an earlier broker has left is restored, and `progress` told meanwhile how
    far that is, from 0 to 1, by any thread; `Broker.restored` says how much it was.
    `security` says who may connect, and what they may do: by default everybody, but from this
    machine only. `cluster` makes it a node of a cluster: brokers that share an engine (Redis or
    Valkey), and behave as one; the engine keeps what a storage would, so it takes none. One that
    cannot be reached is waited for, as `Cluster.wait` says. `history` says of which topics the
    broker keeps what comes, to look back (`Broker.history`): in the storage's folder, or at a path
    of its own.

        async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
            print(broker.url)

    Raises InvalidUrlError for an address that is not one, ListenError where the broker cannot
    listen, and ConfigurationError for files that cannot be used and for listeners that would let in
    everybody without being told so. Raises StoreError where the storage cannot be used; at the end
    as well, where it could not keep what was left; EngineError where a cluster's engine cannot be
    used; TypeError for arguments of other kinds, and RuntimeError where it is not Trio that runs.
    """
    _check_kinds(
        storage,
        limits=(limits, Limits),
        options=(options, BrokerOptions),
        security=(security, Security),
        cluster=(cluster, Cluster),
        history=(history, HistorySettings),
    )
    if cluster is not None and storage is not None:
        raise ConfigurationError(
            "A node of a cluster takes no storage: the cluster's engine keeps what must outlive it."
        )
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError("A broker runs on Trio, by trio.run(...); clients run on asyncio too.")
    wanted = listens_of(listeners or (DEFAULT_URL,))
    async with _joined(cluster) as node:
        core = Core(
            limits or Limits(),
            options,
            security=security,
            storage=storage,
            journal=None if node is None else node.journal,
        )
        if node is None:
            async with (
                _looking_back(core, history, storage) as back,
                _listening(core, wanted, progress, back) as broker,
            ):
                yield broker
        else:
            node.bind(core)
            async with (
                _looking_back(core, history, storage) as back,
                node.belonging(),
                _listening(core, wanted, progress, back) as broker,
            ):
                node.drain = broker.drain
                yield broker


@asynccontextmanager
async def _looking_back(
    core: Core, settings: HistorySettings | None, storage: Storage | None
) -> AsyncIterator[LookingBack | None]:
    """A broker's history, which is open before anybody connects, and until all have gone."""
    if settings is None:
        yield None
        return
    # Loaded only here: few brokers have one.
    from trio_mqtt.broker.looking_back import LookingBack
    from trio_mqtt.history.history import keeping, path_of

    path = getattr(storage, "path", None)  # that of a file
    folder = os.path.dirname(path) if isinstance(path, str) else None
    async with keeping(path_of(settings, folder), settings, core.statistics) as history:
        back = LookingBack(core, history)
        async with tasks_beside() as nursery:
            nursery.start_soon(back.run)
            yield back


@asynccontextmanager
async def _joined(cluster: Cluster | None) -> AsyncIterator[ClusterNode | None]:
    """What makes a broker a node of a cluster; None where it belongs to none."""
    if cluster is None:
        yield None
        return
    # Loaded only here: what speaks with engines takes a while.
    from trio_mqtt.broker.clustering.cluster_node import ClusterNode

    open_engine = load_open_engine()

    async def keep(task_status: trio.TaskStatus[tuple[ClusterNode, trio.CancelScope]]) -> None:
        with trio.CancelScope() as scope:
            async with open_engine(cluster, patience=cluster.wait) as engine:
                # Whoever cancels the broker wants it to end in order, for which it needs that.
                scope.shield = True
                task_status.started((ClusterNode(engine), scope))
                await trio.sleep_forever()

    async with tasks_beside() as nursery:
        node, scope = await nursery.start(keep)
        try:
            yield node
        finally:
            scope.cancel()


@asynccontextmanager
async def _listening(
    core: Core,
    wanted: Sequence[Listen],
    progress: Progress | None,
    looking_back: LookingBack | None = None,
) -> AsyncIterator[Broker]:
    """A broker that listens where it is wanted."""
    await core.access.load()
    settings = [core.settings.at(listen) for listen in wanted]
    for listen, own in zip(wanted, settings, strict=True):
        if own.access is not core.access:
            await own.access.load()
        own.access.check_exposure(listen)
    opened = Listeners(core, Connections(core))
    opened.put_in_force(await opened.prepare(settings), core.access)
    try:
        async with running(core, opened, progress, looking_back) as (broker, _):
            yield broker
    finally:
        opened.close()


def _check_kinds(storage: object, **arguments: tuple[object, type]) -> None:
    """Say what an argument should be, where it is something else: a dictionary, for example."""
    if isinstance(storage, str | os.PathLike):
        path = os.fspath(storage)
        raise TypeError(f"storage is no path, but a storage such as SqliteStorage({path!r}).")
    for name, (value, kind) in arguments.items():
        if value is not None and not isinstance(value, kind):
            shown = type(value).__name__
            raise TypeError(f"{name} is trio_mqtt.{kind.__name__}(...), not of type {shown}.")


@asynccontextmanager
async def running(
    core: Core,
    listeners: Listeners | None = None,
    progress: Progress | None = None,
    looking_back: LookingBack | None = None,
) -> AsyncIterator[tuple[Broker, trio.Nursery]]:
    """A broker of these parts, and its tasks: they end only after the clients were told.

    Without listeners, clients come only by `Broker.handle`.
    """
    if listeners is None:
        listeners = Listeners(core, Connections(core))
    restored = Holdings()
    journal = core.journal
    if journal is not None and core.elsewhere is None:
        began = time.monotonic()
        restored = await restore(core, journal, progress)
        logger.info(
            "Restored %s, %s on their way to them and %s in %.1f s",
            _counted(restored.sessions, "session"),
            _counted(restored.messages, "message"),
            _counted(restored.retained, "retained message"),
            time.monotonic() - began,
        )
    broker = Broker(core, listeners, restored, looking_back)
    async with tasks_beside() as owner:
        # Cancelled here, as while a storage was read, nobody would have the tasks to end them.
        with trio.CancelScope(shield=True):
            tasks: trio.Nursery = await owner.start(_run_tasks, core, listeners)
        try:
            yield broker, tasks
        finally:
            try:
                listeners.close()
                connected = _counted(core.statistics.clients_connected, "client")
                logger.info("Shutting down, with %s connected", connected)
                with trio.CancelScope(shield=True):
                    await broker.close()
                    if core.elsewhere is not None:
                        await core.elsewhere.let_go()
                    if journal is not None:
                        await journal.close()
            finally:
                core.tasks = None  # others may ask for something still, as this leaves a cluster
                tasks.cancel_scope.cancel()


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


async def _run_tasks(
    core: Core, listeners: Listeners, task_status: trio.TaskStatus[trio.Nursery]
) -> None:
    # Whoever cancels the broker cancels its user; these serve on until the clients were told.
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            core.tasks = nursery
            nursery.start_soon(core.run_timers)
            nursery.start_soon(core.subscriptions.letting_go.run)
            nursery.start_soon(core.checks.run)
            nursery.start_soon(core.router.spreading.run)
            if core.journal is not None:
                nursery.start_soon(core.journal.run)
            listeners.begin(nursery)
            task_status.started(nursery)


async def serve(
    *listeners: str | Listen,
    limits: Limits | None = None,
    options: BrokerOptions | None = None,
    storage: Storage | None = None,
    progress: Progress | None = None,
    security: Security | None = None,
    cluster: Cluster | None = None,
    history: HistorySettings | None = None,
    task_status: trio.TaskStatus[Broker] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Be a broker until the process is told to stop: by Ctrl-C, SIGTERM or cancellation.

    It ends in order then; told twice, the process ends at once. SIGHUP makes it read its
    certificates, password and access files again (`Broker.try_reload`).

    `trio.run(trio_mqtt.serve)` is a whole program. Arguments and errors are those of `open_broker`.
    """
    with interrupts_put_back():
        async with open_broker(
            *listeners,
            limits=limits,
            options=options,
            storage=storage,
            progress=progress,
            security=security,
            cluster=cluster,
            history=history,
        ) as broker:
            await until_told_to_stop(broker, reload=broker.try_reload, task_status=task_status)


async def until_told_to_stop(
    broker: Broker,
    *,
    reload: Callable[[], Awaitable[bool]],
    task_status: trio.TaskStatus[Broker],
) -> None:
    """Wait until SIGINT or SIGTERM; SIGHUP has the settings read again."""
    if threading.current_thread() is not threading.main_thread():
        task_status.started(broker)
        await trio.sleep_forever()  # signals reach the main thread only
    tell, told = trio.open_memory_channel[None](1)

    async def reload_when_told() -> None:
        async for _ in told:
            await reload()

    # Beside the signals: where a file does not answer any more, the end comes all the same.
    async with tasks_beside() as nursery:
        nursery.start_soon(reload_when_told)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *RELOADS) as signals:
            task_status.started(broker)
            async for number in signals:
                if number not in RELOADS:
                    break
                with suppress(trio.WouldBlock):  # it is told already
                    tell.send_nowait(None)
    # Asked twice, a process ends at once: by SIGTERM it does so anyway, and by Ctrl-C an exception
    # would wait for the clients as well. `interrupts_put_back` is around this.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def interrupts_put_back() -> Iterator[None]:
    """What SIGINT does is afterwards what it was before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
