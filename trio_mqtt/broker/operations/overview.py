"""The broker as a whole, in figures."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker import samples
from trio_mqtt.broker.operations.finding import time_of_day
from trio_mqtt.broker.operations.forms.overview import Overview, OverviewQuery
from trio_mqtt.broker.operations.forms.series import Series, SeriesQuery
from trio_mqtt.broker.readings import readings_of
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.version import __version__

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.listeners import Listeners


class Overviews:
    """How one broker is."""

    def __init__(self, core: Core, listeners: Listeners) -> None:
        self._core = core
        self._listeners = listeners

    async def overview(self, _asked: OverviewQuery) -> Overview:
        core, statistics = self._core, self._core.statistics
        readings = await readings_of(
            core,
            len(self._listeners.connections),
            is_listening=all(one.listener.is_open for one in self._listeners.open),
        )
        return Overview(
            version=__version__,
            at=time.time(),
            uptime=core.uptime,
            listeners=tuple(listen.url for listen in self._listeners.all()),
            problems=tuple(readings.problems),
            connections=readings.connections,
            clients=statistics.clients_connected,
            sessions=statistics.sessions,
            subscriptions=statistics.subscriptions,
            queued_messages=readings.queued_messages,
            queued_bytes=statistics.queued_bytes,
            in_flight=readings.in_flight,
            retained=readings.retained,
            retained_bytes=readings.retained_bytes,
            bans=len(core.bans),
            loop_lag=statistics.loop_lag,
            memory=statistics.memory,
            totals={
                field.name: value
                for field in fields(Statistics)
                if isinstance(value := getattr(statistics, field.name), int)
            },
        )

    async def series(self, asked: SeriesQuery) -> Series:
        await trio.lowlevel.checkpoint()
        rows = self._core.samples.since(asked.since - time_of_day(0.0))
        figures = {
            name: tuple(int(row[place]) for row in rows)
            for place, name in enumerate(samples.FIGURES, samples.FIRST)
        }
        return Series(
            at=tuple(time_of_day(row[samples.AT]) for row in rows),
            clients=figures.pop("clients_connected"),
            retained=tuple(int(row[samples.RETAINED]) for row in rows),
            loop_lag=tuple(row[samples.LATE] for row in rows),
            **figures,
        )
