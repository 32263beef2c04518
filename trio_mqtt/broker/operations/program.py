"""A subscriber within the program: what it has no room for holds back whoever publishes it.

It loses nothing, and no queue grows: a client whose messages it does not take is not read from
until it does, as if the network were slow. What waits is bounded by `limit`, and by one read of
each publisher.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.operations.ending import EndsWithBroker
from trio_mqtt.broker.operations.forms.subscriptions import check_filter
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.errors import LocalProtocolError

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.published import Author
    from trio_mqtt.broker.routing.spreading import Spreading
    from trio_mqtt.protocol.packets import Publish


class Reader:
    """Whom the messages reach, as routing knows sessions."""

    def __init__(self) -> None:
        self.client_id = self.key = "\0program"  # which no client can be called
        self.mount_point = ""
        self.permissions = self.journal = None
        self.outlet: object = self  # it is there
        self.queued_messages = 0
        self.sender: Sequence[object] = ()


class ProgramMessages:
    """The messages, for `async for`: each as `Publish`, with topic, payload and properties.

    It ends when the broker does.
    """

    def __init__(self, spreading: Spreading, reader: Reader, limit: int) -> None:
        self._spreading = spreading
        self._limit = limit
        self._reader = reader
        self._waiting: deque[Publish] = deque()
        self._held: dict[Author | None, None] = {}  # who is not read from now
        self._arrived = trio.Event()
        self.is_closed: bool = False

    def __aiter__(self) -> ProgramMessages:
        return self

    async def __anext__(self) -> Publish:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._waiting:
            if self.is_closed:
                raise StopAsyncIteration
            if self._arrived.is_set():  # else others wait for it
                self._arrived = trio.Event()
            await self._arrived.wait()
        message = self._waiting.popleft()
        self._reader.queued_messages = len(self._waiting)
        if self._held and len(self._waiting) * 2 <= self._limit:
            self._let_go()
        return message

    @property
    def has_room(self) -> bool:
        """Whether nobody is to be held back."""
        return len(self._waiting) < self._limit

    @property
    def waiting(self) -> int:
        """How many messages wait to be taken."""
        return len(self._waiting)

    def close(self) -> None:
        """Nothing more comes; what waits can still be taken."""
        self.is_closed = True
        self._let_go()
        self._arrived.set()

    def take(self, batch: Batch) -> None:
        """Messages have come."""
        self._waiting.extend(batch.messages)
        self._reader.queued_messages = len(self._waiting)
        if len(self._waiting) >= self._limit and batch.sender not in self._held:
            self._held[batch.sender] = None
            self._spreading.hold_back(batch.sender)
        self._arrived.set()

    def _let_go(self) -> None:
        """Have those go on who are held back."""
        held, self._held = self._held, {}
        for author in held:
            self._spreading.let_on(author)


class _ProgramSubscription:
    """A subscription of the program, as routing knows subscriptions."""

    def __init__(self, messages: ProgramMessages, reader: Reader, text: str, qos: int) -> None:
        self.session = reader
        self.topic_filter = TopicFilter(text)
        self.serial = 0  # before any other of a session, of which there is none
        self._messages = messages
        shared = self.topic_filter if self.topic_filter.share else None
        self.target = Target(self, qos, True, (), False, shared)

    def offer(self, target: Target, batch: Batch) -> None:
        self._messages.take(batch)

    def begin_sending(self) -> int:
        return 0

    def has_room_for(self, count: int, size: int) -> bool:
        return self._messages.has_room


class ProgramSubscriptions:
    """The subscriptions within one program."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @contextmanager
    def subscribe(
        self, topic_filters: Sequence[str], limit: int, qos: int
    ) -> Iterator[ProgramMessages]:
        if not topic_filters:
            raise LocalProtocolError("a subscription has a topic filter")
        for text in topic_filters:
            check_filter(text)
        if limit < 1:
            raise LocalProtocolError("limit is 1 or more")
        core = self._core
        reader = Reader()
        messages = ProgramMessages(core.router.spreading, reader, limit)
        subscriptions = [
            _ProgramSubscription(messages, reader, text, qos)
            for text in dict.fromkeys(topic_filters)
        ]
        for one in subscriptions:
            if core.elsewhere is None:
                core.router.index.add(one)
            else:
                core.elsewhere.place(one)
        try:
            with core.event_streams.followed_by(EndsWithBroker(messages.close)):
                yield messages
        finally:
            for one in subscriptions:
                if core.elsewhere is None:
                    core.router.index.remove(one)
                else:
                    core.elsewhere.displace(one)
