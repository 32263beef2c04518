"""Who comes and goes, and what they subscribe to, as messages under the names of aedes.

They are published below `$SYS/NAME/`, where the option names the broker, and only while somebody
subscribes to something below `$SYS`: `heartbeat` (its payload is NAME), `new/clients` and
`disconnect/clients` (the client identifier), `new/subscribes` and `new/unsubscribes` (JSON, with
`clientId` and `subs`), and, which aedes has not, `slow/clients`: who takes less than comes for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import (
    BrokerEvent,
    ClientConnected,
    ClientDisconnected,
    SlowConsumer,
    Subscribed,
    Unsubscribed,
)
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.published import Published
from trio_mqtt.broker.system_topics import ROOT
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.options import BrokerOptions
    from trio_mqtt.broker.routing.router import Router
    from trio_mqtt.broker.timers import Timers

_KINDS: frozenset[type[BrokerEvent]] = frozenset(
    {ClientConnected, ClientDisconnected, SlowConsumer, Subscribed, Unsubscribed}
)
# Events that are gathered until they are published, a moment later: who brings them is not to wait.
_GATHERED = 10_000


class EventTopics:
    """Follows a broker's events, and publishes them."""

    __slots__ = ("_changed", "_gathered", "_is_beating", "_options", "_router", "_timers", "kinds")

    def __init__(
        self, options: BrokerOptions, timers: Timers, router: Router, changed: Callable[[], None]
    ) -> None:
        """`changed` is called where other `kinds` are followed than before."""
        self._options = options
        self._timers = timers
        self._router = router
        self._changed = changed
        self._gathered: list[BrokerEvent] = []
        self._is_beating = False
        self.kinds: frozenset[type[BrokerEvent]] = frozenset()

    def look(self) -> None:
        """Do as the options say now. The broker runs, or is about to."""
        wanted = _KINDS if self._name is not None else frozenset()
        if wanted != self.kinds:
            self.kinds = wanted
            self._changed()
        if wanted and not self._is_beating:
            self._is_beating = True
            self._timers.after(self._options.heartbeat_interval, self._beat)

    @property
    def _name(self) -> str | None:
        return self._options.event_topics

    def _beat(self) -> None:
        name = self._name
        self._is_beating = name is not None
        if name is None:
            return
        self._publish([(f"{ROOT}/{name}/heartbeat", name)])
        self._timers.after(self._options.heartbeat_interval, self._beat)

    def tell(self, event: BrokerEvent) -> None:
        """An event has happened (the broker says so)."""
        if not self._router.index.has_below(ROOT) or len(self._gathered) >= _GATHERED:
            return
        if not self._gathered:
            self._timers.after(0, self._tell_gathered)
        self._gathered.append(event)

    def tell_published(self, client_id: str | None, batch: Published) -> None:
        """Messages were taken: they are no events here."""

    def end(self) -> None:
        """There is nothing more to come."""
        self._gathered.clear()

    def _tell_gathered(self) -> None:
        """Publish what has happened, all that one client subscribes to at once as one message."""
        events, self._gathered = self._gathered, []
        name = self._name
        if name is None:
            return
        prefix = f"{ROOT}/{name}"
        found: list[tuple[str, str]] = []
        last: tuple[str, str] | None = None  # of whom, and what, the subscriptions are gathered
        subs: list[object] = []
        for event in events:
            match event:
                case ClientConnected(client_id):
                    found.append((f"{prefix}/new/clients", client_id))
                case ClientDisconnected(client_id):
                    found.append((f"{prefix}/disconnect/clients", client_id))
                case SlowConsumer(client_id, is_connected, messages, size):
                    slow = {
                        "clientId": client_id,
                        "connected": is_connected,
                        "messages": messages,
                        "bytes": size,
                    }
                    found.append((f"{prefix}/slow/clients", json.dumps(slow, ensure_ascii=False)))
                case Subscribed(client_id, topic_filter, qos):
                    key = client_id, "subscribes"
                    if key != last:
                        found.append((f"{prefix}/new/subscribes", ""))
                        last, subs = key, []
                    subs.append({"topic": topic_filter, "qos": qos})
                case Unsubscribed(client_id, topic_filter):
                    key = client_id, "unsubscribes"
                    if key != last:
                        found.append((f"{prefix}/new/unsubscribes", ""))
                        last, subs = key, []
                    subs.append(topic_filter)
            if isinstance(event, (Subscribed, Unsubscribed)):
                told = {"clientId": event.client_id, "subs": subs}
                found[-1] = found[-1][0], json.dumps(told, ensure_ascii=False)
            else:
                last = None
        self._publish(found)

    def _publish(self, found: list[tuple[str, str]]) -> None:
        if found and self._router.index.has_below(ROOT):
            messages = [Publish(topic, payload.encode(), 0) for topic, payload in found]
            self._router.publish(Batch(messages, received_at=trio.current_time()))
