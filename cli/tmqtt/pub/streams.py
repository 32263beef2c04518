"""Streams of messages, each on a schedule of its own, and whose turn it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, cast

import trio

import trio_mqtt
from tmqtt.pub.payloads import Payloads, Same, Written, payloads_of
from tmqtt.pub.plan import GREETING, PubOptions, seed_for, topic_templates
from tmqtt.pub.schedule import Schedule
from tmqtt.pub.templates import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Messages that go to the same topics in the same way, `every` so many seconds.

    Where `every` is None, one follows the other. It ends after `count` messages, None: never.
    """

    topics: Sequence[Template]
    payloads: Payloads
    every: float | None
    qos: int
    retain: bool
    properties: trio_mqtt.Properties
    count: int | None = None


async def streams_of(options: PubOptions) -> list[Stream]:
    """What the options ask for: one stream, or those of a simulation. Raises CommandError."""
    if not options.simulation:
        return [
            Stream(
                topics=topic_templates(options),
                payloads=await payloads_of(options),
                every=options.every,
                qos=options.qos,
                retain=options.retain,
                properties=cast(trio_mqtt.Properties, options.properties),
            )
        ]
    streams = []
    for place, topic in enumerate(options.simulation):
        properties: dict[str, Any] = dict(options.properties)
        if topic.content_type is not None:
            properties["content_type"] = topic.content_type
        text = GREETING if topic.payload is None else topic.payload
        payload = Template(text, seed_for(options, f"payload {place}"))
        constant = payload.is_constant
        streams.append(
            Stream(
                topics=[Template(topic.topic, seed_for(options, f"topic {place}"))],
                payloads=Same(payload.text(1).encode()) if constant else Written(payload),
                every=topic.every,
                qos=topic.qos,
                retain=topic.retain,
                properties=cast(trio_mqtt.Properties, properties),
                count=topic.count,
            )
        )
    return streams


class Turns:
    """Whose turn it is, and when: of several that are due, the one that is due first.

    It ends after `count` turns of all together (None: never), when all streams have ended, and at
    the moment `end`.
    """

    def __init__(self, streams: Sequence[Stream], *, count: int | None, end: float) -> None:
        self._left = math.inf if count is None else count
        self._end = end
        self._streams = streams
        self._numbers = [0] * len(streams)
        now = trio.current_time()
        self._schedules = [Schedule(now, stream.every or 0.0) for stream in streams]
        # When each is due, and its place; those whose turn it was before the next one is asked for.
        self._due: list[tuple[float, int]] = []
        self._gone = [*range(len(streams))]

    async def next(self) -> tuple[Stream, int] | None:
        """The stream whose message is due now, and its number, from 1; None after the last."""
        for place in self._gone:
            self._put(place)
        self._gone.clear()
        if not self._due or not self._left:
            return None
        due, place = self._due[0]
        stream = self._streams[place]
        if due >= self._end:
            return None
        if stream.every is not None:
            await trio.sleep_until(due)
        heappop(self._due)
        self._gone.append(place)
        self._left -= 1
        self._numbers[place] += 1
        return stream, self._numbers[place]

    def _put(self, place: int) -> None:
        stream = self._streams[place]
        if stream.count is not None and self._numbers[place] >= stream.count:
            return
        now = trio.current_time()
        due = now if stream.every is None else self._schedules[place].next_due(now)
        heappush(self._due, (due, place))
