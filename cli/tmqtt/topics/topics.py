"""What is known of each topic: how many messages, how fast, the last value, a row of numbers.

Sans-IO, and split for speed: a message costs `add_all` alone; the rest is for each look.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
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
        self.count = 0  # messages
        self.rate = 0.0  # messages a second, of all topics
        self.not_kept = 0  # messages of topics beyond the bound
        self.changed: list[Topic] = []  # topics that had messages before the last look
        self._fresh: list[Topic] = []
        self._path = path
        self._began = now
        self._rated_at = now
        self._rated = 0

    def add_all(self, messages: Iterable[ShownMessage]) -> None:
        """Messages have come."""
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

    def look(self, now: float) -> None:
        """Bring times, numbers and rates up to now."""
        fresh, self._fresh = self._fresh, []
        self.changed = fresh
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
        total = 0
        for topic in self.all.values():
            count = topic.count
            total += count
            if count != topic.counted or topic.rate:
                rate = topic.rate + ((count - topic.counted) / span - topic.rate) * fade
                topic.rate = rate if rate >= _NO_RATE else 0.0
                topic.counted = count
        total += self.not_kept
        self.count = total
        self.rate += ((total - self._rated) / span - self.rate) * fade
        self._rated = total
        self._rated_at = now

    def total(self) -> int:
        """All messages so far."""
        return sum(topic.count for topic in self.all.values()) + self.not_kept

    def sorted(self, order: Sort) -> list[Topic]:
        """All topics: the fastest, the first by name, or those with the latest message first."""
        topics: Iterable[Topic] = self.all.values()
        if order == "topic":
            return sorted(topics, key=lambda topic: topic.name)
        if order == "age":
            return sorted(topics, key=lambda topic: (-topic.at, topic.name))
        return sorted(topics, key=lambda topic: (-topic.rate, topic.name))
