"""`tmqtt top`: read a broker's $SYS topics, and show them."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import trio

import trio_mqtt
from tmqtt.connecting import open_connection, public_url
from tmqtt.groups import first_of
from tmqtt.output import STDOUT, encoded
from tmqtt.running import CommandError, Terminal
from tmqtt.settings import ConnectionOptions
from tmqtt.sparkline import BARS
from tmqtt.top.readings import FILTER, SETTLE, Readings

_PATIENCE = 3.0  # seconds that a broker has to tell something at all
_ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen, without a cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _ALL = "\x1b[H", "\x1b[K", "\x1b[2J"


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
        readings.take(message.topic, message.payload, trio.current_time())
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
        from tmqtt.looks import Painter

        painter = Painter()
        live = painter if painter.can_redraw else None
    if live is None:
        once = interval is None and not (terminal.output.is_terminal and not as_json)
        await _tell(readings, url, terminal, interval or 1.0, once=once, as_json=as_json)
        return
    from tmqtt.top.layout import screen

    unicode = _can_show(BARS)
    with _alternate_screen(terminal):
        size = os.terminal_size((0, 0))
        while True:
            readings.settle(trio.current_time())
            before, size = size, os.get_terminal_size(STDOUT)
            await terminal.output.flush()  # a terminal that is slow is drawn less often
            state = "" if client.connected else "The connection is lost: trying again. "
            lines = screen(readings, url, state, *size, unicode=unicode)
            text = f"{_REST_OF_LINE}\r\n".join(map(live.paint_within, lines))
            clear = _ALL if size != before else ""
            terminal.output.put(encoded(f"{_HOME}{clear}{text}{_REST_OF_LINE}"))
            with trio.move_on_after(interval or 1.0):
                await _resized()


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
        from tmqtt.looks import clock, plain
        from tmqtt.top.layout import one_line, screen
    while True:
        readings.settle(trio.current_time())
        if as_json:
            terminal.output.line(json.dumps({"url": url, **readings.snapshot()}))
        elif once:
            lines = screen(readings, url, "", 80, 22, unicode=_can_show(BARS))[:-1]
            for line in lines:
                terminal.output.line(plain(line).rstrip())
        else:
            terminal.output.line(f"{clock()[0]}{one_line(readings)}")
        if once:
            return
        await trio.sleep(interval)


@contextmanager
def _alternate_screen(terminal: Terminal) -> Iterator[None]:
    """A screen of its own; what was on the terminal before comes back, whatever happens."""
    terminal.output.put(_ENTER.encode())
    try:
        yield
    finally:
        terminal.output.put(_LEAVE.encode())


async def _resized() -> None:
    """Wait until the terminal has another size."""
    if not hasattr(signal, "SIGWINCH"):
        await trio.sleep_forever()
    with trio.open_signal_receiver(signal.SIGWINCH) as signals:
        async for _ in signals:
            return


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
