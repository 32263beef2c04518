"""`tmqtt explore`: subscribe, and let a person go through what comes."""

from __future__ import annotations

import time
from functools import partial

import trio

import trio_mqtt
from tmqtt.connecting.api import Api
from tmqtt.connecting.opening import open_connection
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.explore.clients import ClientRows
from tmqtt.explore.explorer import Explorer
from tmqtt.explore.form import Request
from tmqtt.explore.watching import Watch
from tmqtt.terminal import looks
from tmqtt.terminal.error_groups import first_of
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.full_screen import FullScreen, full_screen
from tmqtt.terminal.running import collect_less_often
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.sparkline import ASCII_BARS, BARS
from tmqtt.terminal.streams import can_show
from tmqtt.terminal.terminal import Terminal
from tmqtt.topics.numbers import Path

_BATCH = 256  # messages that are taken at once


async def explore(
    filters: tuple[str, ...],
    path: Path | None,
    connection: ConnectionOptions,
    terminal: Terminal,
    api: Api | None = None,
) -> None:
    """Show the topics of the filters until a key ends it, and clients where an API tells of them.

    Raises CommandError without a screen.
    """
    for topic_filter in filters:
        problem = trio_mqtt.topic_filter_problem(topic_filter)
        if problem is not None:
            raise CommandError(f"The topic filter {topic_filter!r} {problem}.", 2)
    painter = looks.Painter() if terminal.output.is_terminal else None
    if painter is None or not painter.can_redraw:
        raise CommandError(
            "explore draws a screen and takes keys, which needs a terminal. Elsewhere,"
            " `tmqtt sub --tree` gathers the topics and prints them at its end.",
            2,
        )
    collect_less_often()
    failure: BaseException | None = None
    try:
        async with (
            open_connection(connection, terminal, reconnect=True, patient=True) as client,
            client.subscribe(*filters, unsubscribe=False) as messages,
        ):
            title = f"{', '.join(filters)} at {client.url}"
            bars = BARS if can_show(BARS) else ASCII_BARS
            clients = None if api is None else ClientRows()
            explorer = Explorer(title, time.monotonic(), path, bars, clients)
            watch = None if api is None or clients is None else Watch(api, clients)
            try:
                with full_screen(terminal, painter) as screen:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_follow, messages, explorer)
                        if watch is not None:
                            nursery.start_soon(watch.run)
                        await _browse(explorer, screen, client, nursery, watch)
                        nursery.cancel_scope.cancel()
            finally:
                screen.leave(partial(explorer.last_frame, time.monotonic()))
    except* (trio_mqtt.MqttError, CommandError) as group:
        failure = first_of(group)
    if failure is not None:
        raise failure  # by itself, not in the nursery's group


async def _follow(messages: trio_mqtt.Messages, explorer: Explorer) -> None:
    while True:
        try:
            batch = await messages.take(_BATCH)
        except StopAsyncIteration:
            return
        explorer.add_all(batch, time.time())


async def _browse(
    explorer: Explorer,
    screen: FullScreen,
    client: trio_mqtt.Client,
    nursery: trio.Nursery,
    watch: Watch | None,
) -> None:
    def press(key: str) -> bool:
        ends = explorer.press(key)
        screen.sentence = explorer.notice
        for request in explorer.take_requests():
            if isinstance(request, Request):
                nursery.start_soon(_publish, client, request, screen)
            elif watch is not None:
                nursery.start_soon(watch.disconnect, request, screen)
        if watch is not None:
            watch.pressed(shown=explorer.shows_clients)
        return ends

    await screen.show(explorer.look, explorer.frame, press, is_behind=lambda: explorer.is_behind)


async def _publish(client: trio_mqtt.Client, request: Request, screen: FullScreen) -> None:
    """Publish what a person has typed, and say what became of it."""
    topic = escape(request.topic)
    screen.sentence = f"Publishing to {topic} …"
    try:
        code = await client.publish(
            request.topic, request.payload, qos=request.qos, retain=request.retain
        )
    except (trio_mqtt.MqttError, ValueError) as error:
        screen.sentence = escape(f"Not published to {request.topic}: {error}")
        return
    nobody = code is trio_mqtt.ReasonCode.NO_MATCHING_SUBSCRIBERS
    screen.sentence = f"Published to {topic}{', which nobody has subscribed to' * nobody}."
