"""`tmqtt sub`: subscribe, and show each message as it arrives."""

from __future__ import annotations

from dataclasses import dataclass

import trio_mqtt
from tmqtt.connecting import open_connection
from tmqtt.printing import lines_for
from tmqtt.running import CommandError, Terminal
from tmqtt.settings import ConnectionOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOptions:
    """What to subscribe to. After `count` messages it is enough; None goes on for ever."""

    filters: tuple[str, ...]
    qos: int
    count: int | None
    verbose: bool


async def subscribe(options: SubOptions, connection: ConnectionOptions, terminal: Terminal) -> None:
    """Show the messages of the filters: in a terminal for people, else the payloads as they are."""
    for topic_filter in options.filters:
        problem = trio_mqtt.topic_filter_problem(topic_filter)
        if problem is not None:
            raise CommandError(
                f"The topic filter {topic_filter!r} {problem}: filters read home/kitchen,"
                " home/+/light or home/#."
            )
    output = terminal.output
    line = lines_for(output, with_topic=options.verbose)
    shown = 0
    async with (
        open_connection(connection, terminal, reconnect=True) as client,
        # The session ends with the connection: nobody need wait for the answer to UNSUBSCRIBE.
        client.subscribe(*options.filters, qos=options.qos, unsubscribe=False) as messages,
    ):
        if output.is_terminal:
            filters = ", ".join(options.filters)
            terminal.say(f"Subscribed to {filters} at {client.url}. Ctrl-C ends it.")
        async for message in messages:
            output.put(line(message.topic, message.payload, message.retain))
            shown += 1
            if shown == options.count:
                break
            if output.full:
                await output.room()
