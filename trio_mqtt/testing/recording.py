"""What has happened in a broker of a test: the messages that it took, and all else in lines."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.events.kinds import (
    BrokerEvent,
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    MessagePublished,
    MessageRefused,
    MessagesDropped,
    SessionEnded,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
    WillPublished,
)
from trio_mqtt.broker.events.log import line_of
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.records import record

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.published import Published

_MESSAGES = 10_000  # that are remembered, the latest
_BYTES = 64 * 1024 * 1024  # of their payloads
_LINES = 200  # of what else has happened

_KINDS: frozenset[type[BrokerEvent]] = frozenset(
    {
        ClientConnected,
        ClientDisconnected,
        ClientRefused,
        MessagePublished,
        MessageRefused,
        MessagesDropped,
        SessionEnded,
        Subscribed,
        SubscriptionRefused,
        Unsubscribed,
        WillPublished,
    }
)

T = TypeVar("T")


@with_attribute_docs
@record
class RecordedMessage:
    """A message that the broker has taken, as `published` and `assert_published` give it."""

    topic: str
    """Its topic."""
    payload: bytes
    """Its payload."""
    qos: int
    """The QoS at which it was published."""
    retain: bool
    """Whether it was to be retained."""
    client_id: str | None
    """Who published it; None is the broker itself."""
    properties: Properties = field(default_factory=Properties, compare=False)
    """Its properties (MQTT 5.0 §3.3.2.3)."""
    at: float = field(default=0.0, compare=False)
    """When it came: seconds since the broker was first started."""

    @property
    def text(self) -> str:
        """The payload as UTF-8 text; what is not UTF-8 shows as U+FFFD."""
        return self.payload.decode(errors="replace")

    def json(self) -> Any:  # noqa: ANN401 # whatever the publisher wrote
        """The payload as JSON. Raises ValueError where it is none."""
        return json.loads(self.payload)


class Recording:
    """Follows one broker after the other, and remembers what happened; used where they run."""

    kinds = _KINDS

    def __init__(self) -> None:
        self.began = trio.current_time()
        self.lines: deque[tuple[float, str]] = deque(maxlen=_LINES)
        self._messages: deque[RecordedMessage] = deque()
        self._bytes = 0
        self._forgotten = 0  # messages before the first that is remembered
        self._connections: Counter[str] = Counter()
        self._news = trio.Event()

    @property
    def elapsed(self) -> float:
        """Seconds since the first broker was started."""
        return trio.current_time() - self.began

    @property
    def messages(self) -> list[RecordedMessage]:
        """The messages that are remembered, the earliest first."""
        return list(self._messages)

    @property
    def connected(self) -> list[str]:
        """The identifiers of the clients that are connected now."""
        return sorted(self._connections)

    @property
    def next_number(self) -> int:
        """The number of the next message."""
        return self._forgotten + len(self._messages)

    def since(self, number: int) -> list[RecordedMessage]:
        """The messages from that number on, as far as they are remembered."""
        return list(islice(self._messages, max(0, number - self._forgotten), None))

    def forget(self) -> None:
        """Forget all messages that have come so far."""
        self._forgotten += len(self._messages)
        self._messages.clear()
        self._bytes = 0

    def note(self, line: str) -> None:
        """Something happened that is no event of a broker."""
        self.lines.append((self.elapsed, line))

    def gone(self) -> None:
        """The broker is no more, and nobody is connected."""
        self._connections.clear()
        self._has_news()

    async def until(self, found: Callable[[], Awaitable[T | None]], within: float) -> T | None:
        """What `found` finds, asked again with each thing that happens.

        None where it does not find it in so many seconds.
        """
        news = self._news
        result = await found()
        with trio.move_on_after(within):
            while result is None:
                await news.wait()
                news = self._news
                result = await found()
        return result

    # -- what the broker tells ------------------------------------------------------------------

    def tell(self, event: BrokerEvent) -> None:
        """An event has happened."""
        self.lines.append((self.elapsed, line_of(event)))
        if isinstance(event, ClientConnected):
            self._connections[event.client_id] += 1
        elif isinstance(event, ClientDisconnected):
            self._connections[event.client_id] -= 1
            if self._connections[event.client_id] <= 0:
                del self._connections[event.client_id]
        self._has_news()

    def tell_published(self, client_id: str | None, batch: Published) -> None:
        """Messages were taken."""
        at = self.elapsed
        for one in batch.messages:
            properties = one.properties.copy() if one.properties else Properties()
            self._messages.append(
                RecordedMessage(
                    one.topic, one.payload, one.qos, one.retain, client_id, properties, at
                )
            )
            self._bytes += len(one.payload)
        while len(self._messages) > _MESSAGES or self._bytes > _BYTES:
            self._bytes -= len(self._messages.popleft().payload)
            self._forgotten += 1
        self._has_news()

    def end(self) -> None:
        """There is nothing more to come of this broker: another may follow."""

    def _has_news(self) -> None:
        self._news.set()
        self._news = trio.Event()
