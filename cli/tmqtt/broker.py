"""`tmqtt broker`: a broker, and what happens in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import trio

import trio_mqtt
from tmqtt.locks import Locks
from tmqtt.running import CommandError, Terminal, collect_less_often
from tmqtt.systemd import Notifier, listeners_for, take_sockets
from trio_mqtt.broker.server import DEFAULT_URL, reload

if TYPE_CHECKING:
    from tmqtt.screen import Screen

_TICK = 0.1  # seconds: ten times a second is as often as a person sees
_SAMPLE = 200  # events that are looked at in one tick; messages fill half of it


async def serve(
    urls: tuple[str, ...],
    terminal: Terminal,
    *,
    defaults: Mapping[str, str | Sequence[str]] = {},  # never changed
    locks: Locks,
    quiet: bool,
) -> None:
    """Be a broker until told to stop, and show what happens unless `quiet`.

    `defaults` are options for all listeners that can have them, as in their URLs.
    """
    collect_less_often()
    inherited = take_sockets(os.environ)
    listeners = listeners_for(urls or (() if inherited else (DEFAULT_URL,)), inherited, defaults)
    if "cert" in defaults and not any(listen.tls for listen in listeners):
        raise CommandError(
            "A certificate is given, but no listener uses TLS."
            " Listen at mqtts://, wss:// or any://, for example mqtts://localhost.",
            code=2,
        )
    notifier = Notifier(os.environ)
    with ExitStack() as last:
        async with (
            trio_mqtt.open_broker(*listeners, security=locks.security()) as broker,
            trio.open_nursery() as nursery,
        ):
            screen = None
            if not quiet:
                from tmqtt.screen import Screen  # Rich: not needed by a quiet broker

                screen = Screen(broker, terminal)
            await nursery.start(_reload_when_told, broker, terminal, notifier, screen)
            nursery.start_soon(notifier.keep_watchdog_quiet)
            with notifier.serving():
                await _show(broker, terminal, last, screen)


async def _show(
    broker: trio_mqtt.Broker, terminal: Terminal, last: ExitStack, screen: Screen | None
) -> None:
    """Show what happens; what is to be done when the broker has ended goes to `last`."""
    if screen is None:
        _tell_warnings(terminal.warn)
        await trio.sleep_forever()
    _tell_warnings(screen.warn if terminal.output.is_terminal else terminal.warn)
    # Both outlast the broker, so that the goodbyes are seen as well.
    watch = last.enter_context(broker.watch(_SAMPLE))
    last.callback(screen.end, watch)
    screen.begin()
    while True:
        await trio.sleep(_TICK)
        screen.tick(watch)


async def _reload_when_told(
    broker: trio_mqtt.Broker,
    terminal: Terminal,
    notifier: Notifier,
    screen: Screen | None,
    task_status: trio.TaskStatus[None],
) -> None:
    """Read all files again at each SIGHUP, and say so; what fails is told as a warning."""
    tell, told = trio.open_memory_channel[None](1)

    def on_signal() -> None:
        with suppress(trio.WouldBlock):  # it is told already
            tell.send_nowait(None)

    terminal.reload = on_signal
    task_status.started()
    async for _ in told:
        with notifier.reloading():
            done = await reload(broker)
        if done and screen is not None:
            screen.tell("The settings were read again.")


class _Warnings(logging.Handler):
    """Hands warnings on as sentences."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}: {record.exc_info[1]!r}"
        self._tell(text)


def _tell_warnings(tell: Callable[[str], None]) -> None:
    logging.getLogger("trio_mqtt").addHandler(_Warnings(tell))
