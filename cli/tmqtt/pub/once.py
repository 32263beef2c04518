"""One message, quietly, by a client: through TLS, to several topics, or when a broker is there.

It runs on asyncio, which is loaded sooner than Trio.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, cast

import anyio

import trio_mqtt
from tmqtt.connecting.opening import open_connection
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.pub.plan import PubOptions, message_payload, topic_templates
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.sentences import CommandError, tell
from tmqtt.terminal.streams import STDERR, write_error

if TYPE_CHECKING:
    from tmqtt.terminal.looks import Line, Painter


class _Messages:
    """Says things on stderr."""

    _passing = ""
    _painter: Painter | None = None

    def say(self, sentence: str) -> None:
        write_error(f"{escape(sentence)}\n")

    def pass_by(self, sentence: str) -> None:
        if sentence and not self._passing:
            self.say(sentence)
        self._passing = sentence

    def detail(self, line: Line) -> bool:
        from tmqtt.terminal.looks import Painter, plain  # few want it

        if self._painter is None and os.isatty(STDERR):
            self._painter = Painter(stderr=True)
        write_error(f"{plain(line) if self._painter is None else self._painter.paint(line)}\n")
        return True


def publish_once(options: PubOptions, connection: ConnectionOptions) -> NoReturn:
    """Publish, and end the process with its exit code."""
    # Who wants the library's log gets it in sentences.
    logging.getLogger("trio_mqtt").addHandler(logging.NullHandler())
    try:
        code = anyio.run(_publish, options, connection, backend="asyncio")
    except (trio_mqtt.MqttError, CommandError) as error:
        code = tell(error)
    sys.exit(code)


async def _publish(options: PubOptions, connection: ConnectionOptions) -> int:
    topics = [template.text(1) for template in topic_templates(options)]
    payload = message_payload(options)
    failure: trio_mqtt.MqttError | CommandError | None = None
    asked_to_stop: list[int] = []
    with anyio.CancelScope() as scope:
        _handle_signals(asked_to_stop, scope)
        try:
            async with open_connection(
                connection, _Messages(), reconnect=connection.wait is True
            ) as client:
                for topic in topics:
                    try:
                        await client.publish(
                            topic,
                            payload,
                            qos=options.qos,
                            retain=options.retain,
                            properties=cast(trio_mqtt.Properties, options.properties) or None,
                        )
                    except trio_mqtt.RequestRefusedError as error:
                        failure = error
        except (trio_mqtt.MqttError, CommandError) as error:
            failure = error
    if failure is not None:
        raise failure
    return 128 + asked_to_stop[0] if asked_to_stop else 0


def _handle_signals(asked_to_stop: list[int], scope: anyio.CancelScope) -> None:
    loop = asyncio.get_running_loop()

    def stop(number: int, _frame: FrameType | None) -> None:
        if asked_to_stop:
            os._exit(128 + number)
        asked_to_stop.append(number)
        loop.call_soon_threadsafe(scope.cancel)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
