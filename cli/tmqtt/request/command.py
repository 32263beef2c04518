"""`tmqtt request`: ask, and print what is answered, or how long a thousand answers took."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any, cast

import trio

import trio_mqtt
from tmqtt.connecting.opening import open_connection, unanswered
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.messages.payload_input import whole_file
from tmqtt.messages.printing import lines_for
from tmqtt.terminal.sentences import TIMED_OUT, CommandError
from tmqtt.terminal.terminal import Terminal

_PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What to ask. `timeout` is in seconds."""

    topic: str
    message: str
    file: str | None
    count: int
    timeout: float
    qos: int
    properties: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool


async def ask(options: RequestOptions, connection: ConnectionOptions, terminal: Terminal) -> None:
    """Ask, once or several times; a single answer is printed, of several the times."""
    problem = trio_mqtt.topic_name_problem(options.topic)
    if problem is not None:
        raise CommandError(f"The topic {options.topic!r} {problem}.")
    payload = os.fsencode(options.message)
    if options.file is not None:
        payload = await whole_file(options.file)
    times: list[float] = []
    silent = 0
    end = trio.current_time() + options.timeout
    with trio.CancelScope(deadline=end) as connecting:
        async with open_connection(connection, terminal, reconnect=False) as client:
            connecting.deadline = inf
            try:
                for _ in range(options.count):
                    began = trio.current_time()
                    # One is to be answered within the time from the beginning, of several each.
                    left = max(end - began, 0.001) if options.count == 1 else options.timeout
                    try:
                        answer = await client.request(
                            options.topic,
                            payload,
                            timeout=left,
                            qos=options.qos,
                            properties=cast(trio_mqtt.Properties, options.properties) or None,
                        )
                    except TimeoutError:
                        silent += 1
                        if options.count == 1:
                            raise CommandError(
                                f"No response came within {options.timeout:g} s.", TIMED_OUT
                            ) from None
                        continue
                    times.append(trio.current_time() - began)
                    if options.count == 1:
                        line = lines_for(terminal.output, with_topic=options.verbose)
                        terminal.output.put(line(answer.topic, answer.payload, answer.retain))
            finally:
                if options.count > 1:
                    for text in summary(times, silent):
                        terminal.output.line(text)
    if connecting.cancelled_caught:
        raise unanswered(connection, options.timeout)
    if silent:
        raise CommandError(f"No response came to {silent:,} of {options.count:,}.", TIMED_OUT)


def summary(times: list[float], silent: int) -> list[str]:
    """How long the answers took (in seconds), as lines in milliseconds."""
    lines = [f"{len(times):,} responses, {silent:,} without"]
    if times:
        ordered = sorted(times)
        for percent in _PERCENTILES:
            rank = max(ceil(len(ordered) * percent / 100), 1)
            lines.append(f"p{percent:g}".ljust(6) + f"{ordered[rank - 1] * 1000:10.2f} ms")
        lines.append(f"{'max':6}{ordered[-1] * 1000:10.2f} ms")
    return lines
