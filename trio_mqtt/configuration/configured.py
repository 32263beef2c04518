"""A configuration that was read: its settings, where each comes from, and the broker it opens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.listen import Listen
from trio_mqtt.broker.persistence import Progress
from trio_mqtt.broker.server import open_broker
from trio_mqtt.configuration.description import find
from trio_mqtt.configuration.parts import Maker, Parts
from trio_mqtt.configuration.places import Place
from trio_mqtt.configuration.sections import Settings
from trio_mqtt.configuration.sources import File, Layers, Source


class Configuration:
    """What `trio_mqtt.configuration.load` has read. It does not change."""

    def __init__(self, settings: Settings, layers: Layers, file: File | None) -> None:
        self._settings = settings
        self._layers = layers
        self._file = file

    @property
    def settings(self) -> Settings:
        """The settings, checked, with defaults for all that is not given."""
        return self._settings

    @property
    def path(self) -> str | None:
        """The file that was read."""
        return None if self._file is None else self._file.path

    def source_of(self, setting: str | Place) -> Source:
        """Where a setting's value comes from, such as that of `limits.maximum_connections`."""
        place = find(setting.split("."))[1] if isinstance(setting, str) else setting
        return self._layers.source_of(place) or Source("default")

    def make_parts(self) -> Parts:
        """The storage, what checks who connects, and plugins, which are imported and made now.

        Raises InvalidConfiguration with all that cannot be made.
        """
        return Maker(self._settings, self._layers).parts()

    @asynccontextmanager
    async def open(
        self,
        *,
        listeners: Callable[[Sequence[Listen]], Sequence[str | Listen]] | None = None,
        progress: Progress | None = None,
        metrics: Callable[[str], None] | None = None,
    ) -> AsyncIterator[Broker]:
        """Run the broker that is configured, for as long as the context lasts.

        `listeners` makes of those that are configured where to listen; `progress` and all else is
        as `open_broker` has it. `metrics` is told the URL at which metrics are served, if they are.
        The log is not written here: `trio_mqtt.monitoring.logging_to(settings.logging)` does that,
        before all else. Raises InvalidConfiguration where a plugin or a part cannot be
        made, and what `open_broker` raises.
        """
        parts = await trio.to_thread.run_sync(self.make_parts)
        settings = self._settings
        async with open_broker(
            *(parts.listeners if listeners is None else listeners(parts.listeners)),
            limits=settings.limits,
            options=settings.options,
            storage=parts.storage,
            progress=progress,
            authenticators=parts.authenticators,
            authentication_required=settings.access.authentication_required,
            security=parts.security,
        ) as broker:
            if settings.metrics.listen is None:
                yield broker
                return
            # Only those wait for its packages who want metrics.
            from trio_mqtt.monitoring.metrics_server import serving_metrics

            async with serving_metrics(broker, settings.metrics) as server:
                if metrics is not None and server is not None:
                    metrics(server.url)
                yield broker
