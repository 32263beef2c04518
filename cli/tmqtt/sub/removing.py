"""`sub --remove-retained`: have the broker forget the retained messages that come."""

from __future__ import annotations

from collections.abc import Sequence

import trio

import trio_mqtt
from tmqtt.messages.message import ShownMessage
from tmqtt.sub.views import View
from tmqtt.terminal.figures import counted
from tmqtt.terminal.terminal import Terminal


class Remover(View):
    """Publishes an empty retained message to the topic of each message that was retained."""

    def __init__(self, client: trio_mqtt.Client, terminal: Terminal, *, dry_run: bool) -> None:
        self._client = client
        self._terminal = terminal
        self._dry_run = dry_run
        self._found = 0
        self._removed = 0
        self._failure: trio_mqtt.MqttError | None = None

    async def show(self, messages: Sequence[ShownMessage], moment: int) -> None:
        """Remove what was retained, and wait until the broker has answered."""
        del moment
        topics = dict.fromkeys(
            message.topic for message in messages if message.retain and message.payload
        )
        self._found += len(topics)
        if self._dry_run:
            return
        self._failure = None
        qos = min(1, self._client.server_properties.get("maximum_qos", 1))
        async with trio.open_nursery() as nursery:
            for topic in topics:
                nursery.start_soon(self._remove, topic, qos)
        if self._failure is not None:
            raise self._failure

    async def _remove(self, topic: str, qos: int) -> None:
        try:
            await self._client.publish(topic, b"", qos=qos, retain=True)
        except trio_mqtt.RequestRefusedError as error:
            self._terminal.warn(str(error))
        except trio_mqtt.MqttError as error:
            self._failure = error  # raised outside of the nursery, which would wrap it
        else:
            self._removed += 1

    def end(self) -> None:
        """Say how many there were, if there were any."""
        if not self._found:
            return
        if self._dry_run:
            self._terminal.say(f"{counted(self._found, 'retained message')} would be removed.")
        else:
            self._terminal.say(f"{counted(self._removed, 'retained message')} removed.")
