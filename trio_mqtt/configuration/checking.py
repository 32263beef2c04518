"""Whether a broker would open: all that can be looked at without listening or keeping anything."""

from __future__ import annotations

from importlib.util import find_spec

import trio

from trio_mqtt.broker.core import Core
from trio_mqtt.broker.operations.passwords import without_password
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.problems import (
    NO_FOLDER_FOR_SOCKET,
    InvalidConfiguration,
    Problem,
)
from trio_mqtt.configuration.running import Configuration
from trio_mqtt.configuration.sections import ListenerAccess
from trio_mqtt.errors import ConfigurationError, EngineError, MqttError
from trio_mqtt.monitoring.log_destinations import check_destination
from trio_mqtt.monitoring.metrics_server import load_exposition
from trio_mqtt.optional import cluster_is_missing
from trio_mqtt.transport.listeners.listener import check_endpoint
from trio_mqtt.web.server import check_installed, warn_of_users


async def check(configuration: Configuration) -> None:
    """Look at all files that a configuration names and where its log goes, and make its plugins.

    What remains is what only the start tells: whether ports are free, and the storage whole. Raises
    InvalidConfiguration with all that is wrong.
    """
    parts = await trio.to_thread.run_sync(configuration.make_parts)
    settings = configuration.settings
    core = Core(
        settings.limits,
        settings.options,
        security=parts.security,
    )
    problems: list[Problem] = []

    def wrong(place: Place, error: MqttError) -> None:
        source = configuration.source_of(place)
        given = None if source.kind == "default" else source
        for sentence in str(error).split("\n"):
            problems.append(Problem(dotted(place), sentence, given))

    try:
        await core.access.load()
    except MqttError as error:
        wrong(_file_in(settings.access, (), error), error)
    for number, listen in enumerate(parts.listeners):
        place: Place = ("listeners", number)
        try:
            own = core.settings.at(listen).access
            await trio.to_thread.run_sync(check_endpoint, listen)
            if own is not core.access:
                await own.load()
            own.check_exposure(listen)
        except MqttError as error:
            wrong(_file_in(settings.listeners[number].access, place, error), error)
    if settings.cluster is not None:
        try:
            await trio.to_thread.run_sync(settings.cluster.current_password)
            if find_spec("coredis") is None:  # its import takes long
                wrong(("cluster", "url"), EngineError(cluster_is_missing()))
        except MqttError as error:
            wrong(("cluster", "password_file"), error)
    if settings.logging is not None:
        try:
            await trio.to_thread.run_sync(check_destination, settings.logging)
        except MqttError as error:
            wrong(("logging", "file" if settings.logging.file else "destination"), error)
    if settings.metrics.listen is not None:
        try:
            await trio.to_thread.run_sync(load_exposition)
        except MqttError as error:
            wrong(("metrics", "listen"), error)
    if settings.web.listen is not None or settings.web.socket:
        try:
            await trio.to_thread.run_sync(check_installed)
        except MqttError as error:
            wrong(("web", "listen" if settings.web.listen is not None else "socket"), error)
    if settings.web.socket and settings.storage.path is None:
        wrong(("web", "socket"), ConfigurationError(NO_FOLDER_FOR_SOCKET))
    if problems:
        raise InvalidConfiguration(problems)
    if settings.web.listen is not None:
        warn_of_users(without_password(core, settings.web.roles))


def _file_in(access: ListenerAccess | None, place: Place, error: MqttError) -> Place:
    """The setting of an access at a place whose file an error is about; else the place."""
    for name in ("passwords", "rules", "dynamic"):
        path = getattr(access, name, None)
        if path is not None and str(path) in str(error):
            return (*place, "access", name)
    return place
