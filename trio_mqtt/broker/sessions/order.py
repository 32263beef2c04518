"""In which order what waits for one session has come, where the oldest goes for what is new."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.sizes import MESSAGE, size_of

PIECE = 64  # messages of a batch that stay together once a part of it has gone
_FEW = 64  # entries that nobody looks at


class Waiting(Protocol):
    """What waits in one subscription, as far as the order of all knows of it."""

    def first_unsent(self, batch: Batch) -> int | None:
        """From which message on a batch was not sent; None if it is not what is sent next."""

    @property
    def batches(self) -> int:
        """How many batches wait."""

    def drop(self, batch: Batch, start: int, count: int) -> list[Batch]:
        """Let go of so many messages from `start` on of what is sent next; its rest, in pieces."""


class Order:
    """Who got what, oldest first. What was sent meanwhile is found out when its turn comes."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: deque[tuple[Waiting, Batch]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, queue: Waiting, batch: Batch, messages: int) -> None:
        """A batch is the last one of a queue; so many `messages` wait in all."""
        self._entries.append((queue, batch))
        if len(self._entries) > 2 * messages + _FEW:
            self._forget_what_was_sent()

    def _forget_what_was_sent(self) -> None:
        """Of each queue, its last entries are those that wait."""
        left: dict[Waiting, int] = {}
        waiting: deque[tuple[Waiting, Batch]] = deque()
        for entry in reversed(self._entries):
            queue = entry[0]
            count = left.get(queue)
            left[queue] = count = (queue.batches if count is None else count) - 1
            if count >= 0:
                waiting.appendleft(entry)
        self._entries = waiting

    def drop(self, count: int, size: int, *, only_qos_0: bool) -> int:
        """Drop of the oldest batch what makes room for so many messages and bytes.

        Returns how many messages have gone: 0 where there is nothing that may go.
        """
        entries = self._entries
        while True:
            if not entries:
                return 0
            queue, batch = entries[0]
            start = queue.first_unsent(batch)
            if start is not None:
                break
            entries.popleft()  # it was sent, or withdrawn
        gone = 0
        for message in batch.messages[start : start + PIECE]:
            if (count <= 0 and size <= 0) or (only_qos_0 and message.qos):
                break
            gone += 1
            count -= 1
            size -= size_of(message) + MESSAGE
        if gone:
            entries.popleft()
            rest = queue.drop(batch, start, gone)
            entries.extendleft((queue, piece) for piece in reversed(rest))
        return gone
