"""Wills (MQTT 5.0 §3.1.2.5): published once, when a client leaves without a goodbye."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import trio

from trio_mqtt.broker.events.kinds import WillPublished
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.protocol.packets import Publish, Will

if TYPE_CHECKING:
    from trio_mqtt.broker.access.refusals import RefusedAction
    from trio_mqtt.broker.events.fan_out import EventStreams
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.statistics import Statistics


class Route(Protocol):
    """How a message goes through the broker."""

    def __call__(self, batch: Batch, retained: Sequence[Publish] = ...) -> Sequence[Publish]: ...


class CountRefused(Protocol):
    """What becomes of messages that a client may not publish."""

    def __call__(
        self, session: Session, messages: Sequence[Publish], action: RefusedAction
    ) -> None: ...


class Wills:
    """Publishes the wills of one broker's sessions."""

    __slots__ = ("_count_refused", "_event_streams", "_route", "_statistics", "known")

    def __init__(
        self,
        statistics: Statistics,
        event_streams: EventStreams,
        route: Route,
        count_refused: CountRefused,
    ) -> None:
        self._statistics = statistics
        self._event_streams = event_streams
        self._route = route
        self._count_refused = count_refused
        self.known: Callable[[Session, Will], AbstractContextManager[None]] | None = None
        """In a cluster, another broker may publish a will that this one has: within this, what is
        published is known to be the same.
        """

    def publish(self, session: Session) -> None:
        """Publish a session's will, if it has one, once."""
        will = session.will
        session.will = None
        if will is None:
            return
        properties = will.properties
        if "will_delay_interval" in properties:
            properties = properties.copy()
            del properties["will_delay_interval"]
        message = Publish(will.topic, will.payload, will.qos, will.retain, properties=properties)
        self._statistics.messages_without_packet += 1
        if session.permissions is not None and not session.permissions.may_publish(will.topic):
            self._count_refused(session, [message], "will")
            return
        batch = Batch([message], sender=session, received_at=trio.current_time())
        if self.known is None:
            self._route(batch, [message] * will.retain)
        else:
            with self.known(session, will):
                self._route(batch, [message] * will.retain)
        if WillPublished in self._event_streams.wanted:
            self._event_streams.tell(WillPublished(session.client_id, will.topic))
