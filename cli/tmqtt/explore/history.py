"""The last messages of each topic, within bounds. Sans-IO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tmqtt.messages.message import ShownMessage

MESSAGES = 100  # of a topic
_BYTES = 32 * 1024 * 1024  # of all topics
_OVERHEAD = 200  # bytes of a message beside its payload
_TOPICS = 100_000


class Kept(NamedTuple):
    """A message, and when it came, in seconds since 1970."""

    at: float
    payload: bytes
    qos: int
    retained: bool


class History:
    """What came last, topic by topic; where there is too much of it, the older half goes."""

    def __init__(self, limit: int = _BYTES) -> None:
        self._topics: dict[str, list[Kept]] = {}
        self._limit = limit
        self._bytes = 0

    def add_all(self, messages: Iterable[ShownMessage], at: float) -> None:
        """Messages have come."""
        topics = self._topics
        for message in messages:
            kept = topics.get(message.topic)
            if kept is None:
                if len(topics) >= _TOPICS:
                    continue
                kept = topics[message.topic] = []
            kept.append(Kept(at, message.payload, message.qos, message.retain))
            self._bytes += len(message.payload) + _OVERHEAD
            if len(kept) > MESSAGES:
                self._bytes -= len(kept.pop(0).payload) + _OVERHEAD
        while self._bytes > self._limit and self._halve():
            pass

    def of(self, topic: str) -> Sequence[Kept]:
        """What came last in a topic, the newest at the end."""
        return self._topics.get(topic, ())

    def _halve(self) -> bool:
        """Forget the older half of each topic; of what is alone, nothing. Whether some went."""
        before = self._bytes
        for kept in self._topics.values():
            gone = kept[: len(kept) // 2]
            del kept[: len(gone)]
            self._bytes -= sum(len(one.payload) + _OVERHEAD for one in gone)
        return self._bytes < before
