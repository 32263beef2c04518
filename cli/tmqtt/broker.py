"""`tmqtt broker`: a broker, and what happens in it."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress

import trio

import trio_mqtt
from tmqtt.running import Terminal
from trio_mqtt.broker.server import reload

_TICK = 0.1  # seconds: ten times a second is as often as a person sees
_SAMPLE = 200  # events that are looked at in one tick; messages fill half of it


async def serve(
    urls: tuple[str, ...],
    terminal: Terminal,
    *,
    security: trio_mqtt.Security | None = None,
    quiet: bool,
) -> None:
    """Be a broker until told to stop, and show what happens unless `quiet`."""
    _collect_less_often()
    with ExitStack() as last:
        async with (
            trio_mqtt.open_broker(*urls, security=security) as broker,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_reload_when_told, broker, terminal)
            if quiet:
                _tell_warnings(terminal.warn)
                await trio.sleep_forever()
            from tmqtt.screen import Screen  # Rich: not needed by a quiet broker

            screen = Screen(broker, terminal)
            _tell_warnings(screen.warn if terminal.output.is_terminal else terminal.warn)
            # Both outlast the broker, so that the goodbyes are seen as well.
            watch = last.enter_context(broker.watch(_SAMPLE))
            last.callback(screen.end, watch)
            screen.begin()
            while True:
                await trio.sleep(_TICK)
                screen.tick(watch)


async def _reload_when_told(broker: trio_mqtt.Broker, terminal: Terminal) -> None:
    """Read the password and access files again at each SIGHUP; what fails is told as a warning."""
    tell, told = trio.open_memory_channel[None](1)

    def on_signal() -> None:
        with suppress(trio.WouldBlock):  # it is told already
            tell.send_nowait(None)

    terminal.reload = on_signal
    async for _ in told:
        await reload(broker)


def _collect_less_often() -> None:
    """Keep the garbage collector off the path of the messages.

    They leave no cycles behind, but each lets it look again at all that the clients hold: with
    hundreds of clients, a tenth of the processor's time. The process is the broker's own, so this
    is its own to decide.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


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
