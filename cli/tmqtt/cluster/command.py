"""`tmqtt cluster status`: ask a cluster's engine, and show what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import trio

import trio_mqtt
from tmqtt.cluster.layout import frame, lines_of
from tmqtt.terminal.error_groups import first_of
from tmqtt.terminal.looks import Line, Painter, plain
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import Terminal
from trio_mqtt.administration import ClusterAdministration, ClusterStatus, administer


async def show_status(
    cluster: trio_mqtt.Cluster, terminal: Terminal, *, interval: float | None, as_json: bool
) -> None:
    """Show how a cluster fares: once, or at each `interval` in seconds."""
    failure: BaseException | None = None
    try:
        async with administer(cluster) as administration:
            if interval is None:
                _tell(await administration.status(), terminal, as_json=as_json)
            elif terminal.output.is_terminal and not as_json and Painter().can_redraw:
                await _draw(administration, terminal, interval)
            else:
                await _repeat(administration, terminal, interval, as_json=as_json)
    except* (trio_mqtt.MqttError, CommandError) as group:
        failure = first_of(group)
    if failure is not None:
        raise failure  # by itself, not in the nursery's group


def _tell(status: ClusterStatus, terminal: Terminal, *, as_json: bool) -> None:
    if as_json:
        terminal.output.json(asdict(status))
        return
    painter = Painter() if terminal.output.is_terminal else None
    for line in lines_of(status):
        terminal.output.line(plain(line).rstrip() if painter is None else painter.paint(line))


async def _repeat(
    administration: ClusterAdministration, terminal: Terminal, interval: float, *, as_json: bool
) -> None:
    while not terminal.output.closed:
        _tell(await administration.status(), terminal, as_json=as_json)
        await trio.sleep(interval)


async def _draw(administration: ClusterAdministration, terminal: Terminal, interval: float) -> None:
    """A screen, until the person ends it; while the engine is away it shows what it knew."""
    from tmqtt.terminal.full_screen import full_screen

    status = await administration.status()
    failure = ""

    async def follow() -> None:
        nonlocal status, failure
        while True:
            await trio.sleep(interval)
            try:
                status, failure = await administration.status(), ""
            except trio_mqtt.EngineError as error:
                failure = f"{error} "

    with full_screen(terminal, Painter()) as full:

        def frame_now(_now: float, width: int, height: int) -> Sequence[Line]:
            hint = "q ends it." if full.has_keys else "Ctrl-C ends it."
            return frame(status, f"{failure}{hint}", width, height)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await full.show(lambda _now: None, frame_now, "q".__eq__)
            nursery.cancel_scope.cancel()
