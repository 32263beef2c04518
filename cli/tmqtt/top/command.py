"""`tmqtt top`: read a broker's $SYS topics, and show them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trio

import trio_mqtt
from tmqtt.connecting.opening import open_connection, public_url
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.terminal.error_groups import first_of
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.sparkline import BARS
from tmqtt.terminal.streams import can_show
from tmqtt.terminal.terminal import Terminal
from tmqtt.top.readings import FILTER, SETTLE, Readings

if TYPE_CHECKING:
    from tmqtt.terminal.looks import Line, Painter

_PATIENCE = 3.0  # seconds that a broker has to tell something at all


async def top(
    connection: ConnectionOptions, terminal: Terminal, *, interval: float | None, as_json: bool
) -> None:
    """Show how a broker fares: live in a terminal; elsewhere once, or every `interval` seconds."""
    url = public_url(connection.broker)
    readings = Readings()
    failure: BaseException | None = None
    try:
        async with (
            open_connection(connection, terminal, reconnect=True) as client,
            client.subscribe(FILTER, unsubscribe=False) as messages,
            trio.open_nursery() as nursery,
        ):
            news = trio.Event()
            nursery.start_soon(_read, messages, readings, news)
            with trio.move_on_after(_PATIENCE):
                await news.wait()
            if not len(readings):
                raise _nothing(url)
            await trio.sleep(SETTLE)
            await _show(readings, client, url, terminal, interval, as_json=as_json)
            nursery.cancel_scope.cancel()
    except* (trio_mqtt.MqttError, CommandError) as group:
        failure = first_of(group)
    if failure is not None:
        raise failure  # by itself, not in the nursery's group


def _nothing(url: str) -> CommandError:
    return CommandError(
        f"The broker at {url} tells nothing below $SYS/broker: it has no such topics, or does not"
        " let this user read them (Mosquitto: sys_interval, and the access file)."
    )


async def _read(messages: trio_mqtt.Messages, readings: Readings, news: trio.Event) -> None:
    async for message in messages:
        readings.take(message.topic, message.payload, trio.current_time(), retained=message.retain)
        news.set()


async def _show(
    readings: Readings,
    client: trio_mqtt.Client,
    url: str,
    terminal: Terminal,
    interval: float | None,
    *,
    as_json: bool,
) -> None:
    live = None
    if terminal.output.is_terminal and not as_json:
        from tmqtt.terminal.looks import Painter

        painter = Painter()
        live = painter if painter.can_redraw else None
    if live is None:
        once = interval is None and not (terminal.output.is_terminal and not as_json)
        await _tell(readings, url, terminal, interval or 1.0, once=once, as_json=as_json)
        return
    await _draw(readings, client, url, terminal, interval or 1.0, live)


async def _draw(
    readings: Readings,
    client: trio_mqtt.Client,
    url: str,
    terminal: Terminal,
    interval: float,
    painter: Painter,
) -> None:
    """A screen, until the person ends it."""
    from tmqtt.terminal.browsing import Browser
    from tmqtt.terminal.full_screen import full_screen
    from tmqtt.top.layout import screen
    from tmqtt.top.rows import Figure, Figures

    unicode = can_show(BARS)
    figures = Figures(readings, url, unicode=unicode)
    browser = Browser[Figure](figures)
    with full_screen(terminal, painter) as full:
        terminal.tell = _nobody  # how the connection is, the last line says all the time

        def look(_now: float) -> None:
            readings.settle(trio.current_time())
            browser.refresh()

        def frame(now: float, width: int, height: int) -> list[Line]:
            figures.lost = not client.connected
            if full.has_keys:
                return browser.frame(now, width, height)
            hint = "Ctrl-C ends it."
            if figures.lost:
                hint = f"The connection is lost: trying again. {hint}"
            return screen(readings, url, hint, width, height, unicode=unicode)

        await full.show(look, frame, browser.press, every=interval)


def _nobody(_sentence: str) -> None:
    """Where nothing is to be told."""


async def _tell(
    readings: Readings,
    url: str,
    terminal: Terminal,
    interval: float,
    *,
    once: bool,
    as_json: bool,
) -> None:
    """Line by line, or once."""
    if not as_json:
        from tmqtt.terminal.looks import clock, plain
        from tmqtt.top.layout import one_line, screen
    while True:
        readings.settle(trio.current_time())
        if as_json:
            terminal.output.line(json.dumps({"url": url, **readings.snapshot()}))
        elif once:
            lines = screen(readings, url, "", 80, 22, unicode=can_show(BARS))[:-1]
            for line in lines:
                terminal.output.line(plain(line).rstrip())
        else:
            terminal.output.line(f"{clock()[0]}{one_line(readings)}")
        if once:
            return
        await trio.sleep(interval)
