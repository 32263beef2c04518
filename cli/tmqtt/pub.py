"""`tmqtt pub`: publish a message, once or on a schedule."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass

import trio

import trio_mqtt
from tmqtt.connecting import open_connection
from tmqtt.printing import lines_for
from tmqtt.running import CommandError, Terminal
from tmqtt.schedule import Schedule
from tmqtt.settings import ConnectionOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class PubOptions:
    """What to publish. `every` is in seconds, `count` None goes on for ever."""

    topic: str
    message: str | None
    every: float | None
    count: int | None
    qos: int
    retain: bool


async def publish(options: PubOptions, connection: ConnectionOptions, terminal: Terminal) -> None:
    """Publish as the options say, and show each message that was."""
    problem = trio_mqtt.topic_name_problem(options.topic)
    if problem is not None:
        raise CommandError(
            f"The topic {options.topic!r} {problem}: a message goes to one topic,"
            " for example home/kitchen."
        )
    line = lines_for(terminal.output, with_topic=True)
    every = options.every
    async with open_connection(connection, terminal, reconnect=every is not None) as client:
        schedule = Schedule(trio.current_time(), every or 0.0)
        for _ in itertools.repeat(None) if options.count is None else range(options.count):
            if every is not None:
                await trio.sleep_until(schedule.next_due(trio.current_time()))
            payload = _payload(options.message)
            await client.publish(options.topic, payload, qos=options.qos, retain=options.retain)
            terminal.output.put(line(options.topic, payload, options.retain))
            await terminal.output.room()


def _payload(message: str | None) -> bytes:
    """The message as the bytes that were typed; without one, a greeting that tells the time."""
    if message is None:
        return b"Hello mqtt %d" % (time.time_ns() // 1_000_000)
    return os.fsencode(message)
