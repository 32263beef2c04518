"""What a subscription yields: messages, and the bounded queue that they wait in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint

from trio_mqtt.client.message import Acknowledgement, Message, Publisher
from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.packets import Publish

# What happens to messages that come faster than they are taken.
Overflow: TypeAlias = Literal["wait", "drop_oldest", "drop_newest"]

# While something else that the client waits for is behind in the stream, a queue may grow to so
# many times its buffer before messages of QoS 0 are dropped.
OVERFLOW = 10
# Messages taken in a row without waiting, after which other tasks get their turn.
_FAIR_SHARE = 64


class Messages:
    """The messages of one `subscribe`, in the order of their arrival: iterate over it.

    Several tasks may iterate; each message goes to one of them. A message is taken only when the
    iteration hands it over: cancelling loses none. Iteration ends when the subscription is closed
    and raises the client's error where the connection has failed for good.

    `buffer` bounds what waits here. Of QoS 1 and 2, what comes above the bound is held
    unacknowledged until it has room, and of such messages the broker sends no more than the receive
    maximum. Messages of QoS 0 cannot be held back so: when one stands above the bound, the client
    stops reading from its connection, and TCP slows the broker down; what the last read brought
    along (up to 256 KiB) is kept. While this client awaits an answer (an acknowledgement, SUBACK)
    it reads on, since the answer comes behind messages in the same stream: then messages of QoS 0
    are kept up to ten times `buffer`, after that dropped and counted in `dropped`.

    That is `overflow="wait"`. With "drop_oldest" or "drop_newest", the bound is kept by dropping
    what has waited longest, or what has just come, of any QoS (acknowledged all the same), and
    `dropped` counts it: what one read brings is queued before anybody can take of it.
    """

    def __init__(
        self,
        filters: tuple[str, ...],
        buffer: int,
        relieved: Callable[[], None],
        *,
        manual: bool = False,
        publisher: Publisher | None = None,
    ) -> None:
        self.filters = filters
        self.buffer = buffer
        self.dropped: int = 0
        self._manual = manual
        self._publisher = publisher  # by which responses are sent
        self._low = buffer // 2
        self._limit = buffer * OVERFLOW
        self._relieved = relieved
        self._queue: deque[Publish] = deque()
        # Acknowledgements that wait for room, each with the count of messages taken that makes it;
        # or, if they are the program's to give, one for each message of QoS 1 and 2.
        self._owed: deque[tuple[int, Acknowledgement]] = deque()
        self._taken = 0
        self._yielded = False  # other tasks have had their turn since the last fair share
        self._full = False
        self._waiting: anyio.Event | None = None
        self._closed = False
        self._error: MqttError | None = None

    def __len__(self) -> int:
        """How many messages wait to be taken."""
        return len(self._queue)

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Message:
        queue = self._queue
        while True:
            if queue:
                if self._taken % _FAIR_SHARE or self._yielded:
                    break
                self._yielded = True
                await checkpoint()
                continue
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            if self._waiting is None:
                self._waiting = anyio.Event()
            await self._waiting.wait()
        self._yielded = False
        return self._take()

    async def take(self, limit: int) -> list[Message]:
        """Up to `limit` messages that are here, at least one: it waits for that as iterating does.

        Raises StopAsyncIteration where iterating would end.
        """
        queue = self._queue
        if queue:
            # Other tasks get their turn, and what is here is had without any time all the same.
            await cancel_shielded_checkpoint()
        taken: list[Message] = []
        if not queue:
            taken.append(await self.__anext__())
        while queue and len(taken) < limit:
            taken.append(self._take())
        return taken

    def _take(self) -> Message:
        queue = self._queue
        publish = queue.popleft()
        self._taken += 1
        if self._full and len(queue) <= self._low:
            self._full = False
            self._relieved()
        owed = None
        if self._owed:
            if not self._manual:
                while self._owed and self._owed[0][0] <= self._taken:
                    self._owed.popleft()[1].settle()
            elif publish.qos:
                owed = self._owed.popleft()[1]
        return self.message(publish, owed)

    def message(self, publish: Publish, owed: Acknowledgement | None = None) -> Message:
        """A message as the program sees it."""
        return Message(
            publish.topic,
            publish.payload,
            publish.qos,
            publish.retain,
            publish.dup,
            publish.properties,
            owed,
            self._publisher,
            publish.packet_id,
        )

    # What follows is the client's side.

    @property
    def is_full(self) -> bool:
        """Whether a message that cannot be held back stands above the bound.

        Once it is, it stays so until half of the buffer is free.
        """
        if not self._full and len(self._queue) - len(self._owed) > self.buffer:
            self._full = not self._closed
        return self._full

    def push(self, publish: Publish) -> None:
        """Queue a message, whatever the bound; `wake` tells those who wait."""
        self._queue.append(publish)

    def extend(self, run: Sequence[Publish]) -> None:
        """Queue several messages, whatever the bound."""
        self._queue.extend(run)

    def offer(self, run: Sequence[Publish]) -> None:
        """Queue messages of QoS 0 until the queue overflows."""
        room = max(0, self._limit - len(self._queue))
        self._queue.extend(run if room >= len(run) else run[:room])
        self.dropped += max(0, len(run) - room)

    def has_room(self) -> bool:
        """Whether the next message may be acknowledged at once."""
        return not self._manual and len(self._queue) < self.buffer

    def owe(self, acknowledgement: Acknowledgement) -> None:
        """Settle `acknowledgement` once the message pushed last stands within the bound.

        Or, with manual acknowledgement, once the program says so.
        """
        self._owed.append((self._taken + len(self._queue) - self.buffer, acknowledgement))

    def wake(self) -> None:
        """Let those who wait look again."""
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

    def close(self, error: MqttError | None = None) -> None:
        """End the iteration: with `error` after what is queued, without one at once."""
        if self._closed:
            return
        self._closed = True
        self._error = error
        if error is None:
            self._queue.clear()
            if not self._manual:
                # What nobody will take is acknowledged: it did reach this client.
                while self._owed:
                    self._owed.popleft()[1].settle()
            self._owed.clear()
        if self._full:
            self._full = False
            self._relieved()
        self.wake()


class LatestMessages(Messages):
    """`overflow="drop_oldest"`: a full queue loses what has waited longest."""

    is_full = False  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def push(self, publish: Publish) -> None:
        self.extend((publish,))

    def extend(self, run: Sequence[Publish]) -> None:
        queue = self._queue
        queue.extend(run)
        excess = len(queue) - self.buffer
        if excess > 0:
            self.dropped += excess
            for _ in range(excess):
                queue.popleft()

    offer = extend

    def has_room(self) -> bool:
        return True


class EarliestMessages(Messages):
    """`overflow="drop_newest"`: a full queue loses what comes."""

    is_full = False  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def push(self, publish: Publish) -> None:
        self.extend((publish,))

    def extend(self, run: Sequence[Publish]) -> None:
        room = max(0, self.buffer - len(self._queue))
        self._queue.extend(run[:room])
        self.dropped += max(0, len(run) - room)

    offer = extend

    def has_room(self) -> bool:
        return True


KINDS: dict[str, type[Messages]] = {
    "wait": Messages,
    "drop_oldest": LatestMessages,
    "drop_newest": EarliestMessages,
}
