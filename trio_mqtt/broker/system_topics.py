"""`$SYS`: how the broker fares, as retained messages under the names that Mosquitto gives them.

They are made when somebody subscribes, and from then on those that have changed, as often as the
option says. While nobody subscribes, only the averages are kept going.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.retained import Retained, RetainedMessages
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.version import __version__

if TYPE_CHECKING:
    from trio_mqtt.broker.options import BrokerOptions
    from trio_mqtt.broker.routing.router import Router
    from trio_mqtt.broker.sessions.registry import Sessions
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.broker.timers import Timer, Timers

ROOT = "$SYS"
_PREFIX = "$SYS/broker/"
_MINUTES = (1, 5, 15)
_PAGE = mmap.PAGESIZE

# What is averaged, as a total since the start, by the name of its topics.
_LOADS: dict[str, Callable[[Statistics], int]] = {
    "bytes/received": lambda now: now.bytes_received,
    "bytes/sent": lambda now: now.bytes_sent,
    "messages/received": lambda now: now.packets_received,
    "messages/sent": lambda now: now.packets_sent,
    "publish/received": lambda now: now.publishes_received,
    "publish/sent": lambda now: now.messages_sent,
    "publish/dropped": lambda now: now.messages_dropped,
    "connections": lambda now: now.clients_accepted,
    "sockets": lambda now: now.connections_accepted,
}


class _Load:
    """One total's growth in a minute, on average over the last minutes."""

    __slots__ = ("averages", "total")

    def __init__(self) -> None:
        self.total = 0
        self.averages = [0.0 for _ in _MINUTES]

    def update(self, total: int, seconds: float) -> None:
        """`total` is what it is `seconds` after the last time."""
        rate = (total - self.total) * 60 / seconds
        self.total = total
        for index, minutes in enumerate(_MINUTES):
            kept = math.exp(-seconds / (60 * minutes))
            self.averages[index] = rate * (1 - kept) + self.averages[index] * kept


class SystemTopics:
    """The system topics of one broker, renewed as often as its options say."""

    def __init__(
        self,
        options: BrokerOptions,
        statistics: Statistics,
        timers: Timers,
        router: Router,
        retained: RetainedMessages,
        sessions: Sessions,
    ) -> None:
        self._options = options
        self._next: Timer | None = None  # look at how the broker fares
        self._statistics = statistics
        self._timers = timers
        self._router = router
        self._retained = retained
        self._sessions = sessions
        self._began = self._at = 0.0  # on Trio's clock: when the broker did, and of the last look
        self._loads = {name: _Load() for name in _LOADS}
        # Those that others add, by name, such as a cluster's.
        self.more: list[Callable[[], Iterable[tuple[str, str]]]] = []
        self._most_clients = 0
        self._most_heap = 0
        self._messages: dict[str, Publish] = {}
        # What whoever subscribes has been told, by name; nothing while nobody subscribes.
        self._told: dict[str, Publish] = {}
        self._kept = RetainedMessages(
            Limits(maximum_retained_messages=1_000, maximum_retained_bytes=1024 * 1024)
        )

    def begin(self) -> None:
        """The broker begins: from now on the topics are renewed."""
        self._began = self._at = trio.current_time()
        self.interval_changed()

    def interval_changed(self) -> None:
        """From now on the topics are renewed as often as the options say, or not at all."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        interval = self._options.system_topics_interval
        if interval > 0:
            self._next = self._timers.after(interval, self._tick)
        else:
            self._told.clear()

    def search(self, topic_filter: str) -> Iterator[Retained | None]:
        """The messages as they are now whose topics match, each with the time when it was made."""
        if self._options.system_topics_interval > 0:
            self._renew(trio.current_time())
            if not self._told:
                self._told = self._messages.copy()
        return self._kept.search(topic_filter)

    def _tick(self) -> None:
        self._next = None
        now = trio.current_time()
        elapsed = now - self._at
        self._at = now
        statistics = self._statistics
        for name, total in _LOADS.items():
            self._loads[name].update(total(statistics), elapsed)
        self._most_clients = max(self._most_clients, statistics.clients_connected)
        if self._router.index.has_below(ROOT):
            self._renew(now)
            told, self._told = self._told, self._messages.copy()
            changed = [one for name, one in self._told.items() if told.get(name) is not one]
            if changed:
                self._router.publish(Batch(changed, received_at=now))
        else:
            self._told.clear()
        self.interval_changed()

    def _renew(self, now: float) -> None:
        """Keep the values as they are now."""
        for name, value in self._current(now):
            payload = value.encode()
            known = self._messages.get(name)
            if known is None or known.payload != payload:
                message = Publish(_PREFIX + name, payload, 0, retain=True)
                self._messages[name] = message
                self._kept.store(message, now)

    def _current(self, now: float) -> Iterator[tuple[str, str]]:
        statistics = self._statistics
        retained = self._retained
        connected, sessions = statistics.clients_connected, statistics.sessions
        self._most_clients = max(self._most_clients, connected)
        numbers = {
            "clients/connected": connected,
            "clients/active": connected,
            "clients/disconnected": sessions - connected,
            "clients/inactive": sessions - connected,
            "clients/total": sessions,
            "clients/maximum": self._most_clients,
            "clients/expired": statistics.sessions_expired,
            "clients/slow": statistics.slow_consumers,
            "subscriptions/count": statistics.subscriptions - statistics.shared_subscriptions,
            "shared_subscriptions/count": statistics.shared_subscriptions,
            "retained messages/count": len(retained),
            "retained messages/bytes": retained.bytes,
            # Messages are packets of any kind here; PUBLISH alone has names of its own.
            "messages/received": statistics.packets_received,
            "messages/sent": statistics.packets_sent,
            "publish/bytes/received": statistics.payload_bytes_received,
            "publish/bytes/sent": statistics.payload_bytes_sent,
            "publish/messages/received": statistics.publishes_received,
            "publish/messages/sent": statistics.messages_sent,
            "publish/messages/dropped": statistics.messages_dropped,
            "deliveries/refused": statistics.deliveries_refused,
            "bytes/received": statistics.bytes_received,
            "bytes/sent": statistics.bytes_sent,
            "connections/count": statistics.connections_accepted,
        }
        queued = [(one.queued_messages, one.queued_bytes) for one in self._sessions.all()]
        numbers["queues/messages/count"] = sum(messages for messages, _ in queued)
        numbers["queues/messages/bytes"] = sum(size for _, size in queued)
        numbers["messages/stored"] = numbers["store/messages/count"] = (
            len(retained) + numbers["queues/messages/count"]
        )
        numbers["store/messages/bytes"] = retained.bytes + numbers["queues/messages/bytes"]
        heap = _heap()
        if heap is not None:
            self._most_heap = max(self._most_heap, heap)
            numbers["heap/current"] = heap
            numbers["heap/maximum"] = self._most_heap
        for name, number in numbers.items():
            yield name, str(number)
        for name, load in self._loads.items():
            for minutes, average in zip(_MINUTES, load.averages, strict=True):
                yield f"load/{name}/{minutes}min", f"{average:.2f}"
        yield "uptime", f"{now - self._began:.0f} seconds"
        for more in self.more:
            yield from more()
        yield "version", f"trio-mqtt version {__version__}"


def _heap() -> int | None:
    """Bytes of memory that the process holds for itself; None where the system does not tell.

    What it shares with others, such as libraries, does not count.
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            _, resident, shared, *_ = file.read().split()
        return (int(resident) - int(shared)) * _PAGE
    except (OSError, ValueError):
        return None
