"""What is known of each topic: how many messages, how fast, the last value, a row of numbers.

Sans-IO, and split for speed: a message costs `add_all` alone; the rest is for each look.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal

from tmqtt.messages.message import ShownMessage
from tmqtt.topics.numbers import Path, number_in

Sort = Literal["rate", "topic", "age"]
SORTS: tuple[Sort, ...] = ("topic", "rate", "age")
MAX_TOPICS = 100_000  # topics that are kept; messages of others are counted
POINTS = 40  # numbers of a topic that are kept
_RATE_EVERY = 1.0  # seconds
_RATE_SPAN = 5.0  # seconds that a rate looks back, more or less
_NO_RATE = 0.005  # messages a second that show as 0


class Topic:
    """What is known of one topic."""

    __slots__ = (
        "at", "count", "counted", "fresh", "name", "numbers", "payload", "rate", "summed",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.payload = b""
        self.fresh = False
        self.at = 0.0  # when the last message was looked at, in seconds
        self.rate = 0.0  # messages a second
        self.counted = 0  # of `count`, those that the rate knows
        self.summed = 0  # of `count`, those that the tree knows
        self.numbers: deque[float] | None = None


class Topics:
    """All topics. `add_all` messages, then `look` from time to time."""

    def __init__(self, now: float, path: Path = ()) -> None:
        self.all: dict[str, Topic] = {}
        self.rate = 0.0  # messages a second, of all topics
        self.not_kept = 0  # messages of topics beyond the bound
        self.changed: list[Topic] = []  # topics that had messages before the last look
        self._fresh: list[Topic] = []
        self._came = 0
        self._moving: dict[Topic, None] = {}  # topics that have a rate, or had messages
        self._path = path
        self._began = now
        self._rated_at = now
        self._rated = 0

    @property
    def waiting(self) -> bool:
        """Whether topics have news that nobody has looked at."""
        return bool(self._fresh)

    def add_all(self, messages: Sequence[ShownMessage]) -> None:
        """Messages have come."""
        self._came += len(messages)
        known = self.all
        for message in messages:
            topic = known.get(message.topic)
            if topic is None:
                if len(known) >= MAX_TOPICS:
                    self.not_kept += 1
                    continue
                topic = known[message.topic] = Topic(message.topic)
            topic.count += 1
            topic.payload = message.payload
            if not topic.fresh:
                topic.fresh = True
                self._fresh.append(topic)

    def look(self, now: float, most: int | None = None) -> None:
        """Bring times, numbers and rates up to now; of topics with news, so many at `most`."""
        fresh, self._fresh = self._fresh, []
        if most is not None and len(fresh) > most:
            fresh, self._fresh = fresh[:most], fresh[most:]
        self.changed = fresh
        self._moving.update(dict.fromkeys(fresh))
        for topic in fresh:
            topic.fresh = False
            topic.at = now
            number = number_in(topic.payload, self._path)
            if number is not None:
                if topic.numbers is None:
                    topic.numbers = deque(maxlen=POINTS)
                topic.numbers.append(number)
        if now - self._rated_at >= _RATE_EVERY:
            self._rate(now)

    def _rate(self, now: float) -> None:
        span = now - self._rated_at
        # At first the mean since the beginning, later what fades with time.
        fade = max(1 - math.exp(-span / _RATE_SPAN), span / (now - self._began))
        moving: dict[Topic, None] = {}
        for topic in self._moving:
            count = topic.count
            rate = topic.rate + ((count - topic.counted) / span - topic.rate) * fade
            topic.rate = rate if rate >= _NO_RATE else 0.0
            topic.counted = count
            if topic.rate:
                moving[topic] = None
        self._moving = moving
        total = self._came
        self.rate += ((total - self._rated) / span - self.rate) * fade
        self._rated = total
        self._rated_at = now

    def total(self) -> int:
        """All messages so far."""
        return self._came

    def sorted(self, order: Sort) -> list[Topic]:
        """All topics: the fastest, the first by name, or those with the latest message first."""
        topics: Iterable[Topic] = self.all.values()
        if order == "topic":
            return sorted(topics, key=lambda topic: topic.name)
        if order == "age":
            return sorted(topics, key=lambda topic: (-topic.at, topic.name))
        return sorted(topics, key=lambda topic: (-topic.rate, topic.name))
