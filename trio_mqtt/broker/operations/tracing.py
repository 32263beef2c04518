"""Traces: the packets of one client, or what becomes of a topic; and events, as they happen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.connections.offers import RefusedPublish
from trio_mqtt.broker.events import kinds
from trio_mqtt.broker.events.kinds import (
    BrokerEvent,
    MessageAcknowledged,
    MessageDelivered,
    MessagePublished,
    MessageRefused,
)
from trio_mqtt.broker.operations.ending import EndsWithBroker
from trio_mqtt.broker.operations.finding import link_of
from trio_mqtt.broker.operations.forms.tracing import EventQuery, TraceEntry, TraceQuery
from trio_mqtt.broker.sessions.delivery_state import session_key
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packets import AckRun, Connect, Publish, PublishRun
from trio_mqtt.protocol.topics import topic_matches_filter

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.events.streams import EventStream
    from trio_mqtt.broker.routing.published import Published
    from trio_mqtt.broker.traces import Direction

MOST = 16  # traces at one time: each costs the broker for every packet that it sees

_OF_MESSAGES = (MessagePublished, MessageDelivered, MessageAcknowledged, MessageRefused)
# Commands that may say passwords.
_HIDDEN = "$CONTROL/"
# What one follows who does not say what: what happens a few times for each client.
_LESS = frozenset({MessagePublished, MessageDelivered, MessageAcknowledged, kinds.Pinged})


class Trace:
    """What was seen, for `async for`, as long as the context and the broker last.

    What comes while as much waits as may is left out, and counted in `missed`.
    """

    __slots__ = ("_asked", "_receive", "_send", "client_id", "missed")

    def __init__(self, asked: TraceQuery) -> None:
        self._asked = asked
        self.client_id: str | None = asked.client_id
        self.missed: int = 0
        self._send, self._receive = trio.open_memory_channel[TraceEntry](asked.limit)

    def __aiter__(self) -> AsyncIterator[TraceEntry]:
        return self._receive

    def packets(self, direction: Direction, packets: Sequence[object]) -> None:
        """The client has said this, or is sent it."""
        for packet in packets:
            if self._room <= 0:  # in a flood most is left out, and need not be made
                self.missed += len(packet) if isinstance(packet, PublishRun) else 1
            elif isinstance(packet, PublishRun):
                for message in packet.messages:
                    self._packet(direction, message)
            else:
                self._packet(direction, packet)

    @property
    def _room(self) -> int:
        statistics = self._send.statistics()
        return self._asked.limit - statistics.current_buffer_used

    def is_about(self, topic: str) -> bool:
        """Whether what becomes of messages of a topic is traced."""
        topic_filter = self._asked.topic_filter
        return topic_filter is not None and topic_matches_filter(topic, topic_filter)

    def event(self, event: BrokerEvent) -> None:
        """This has become of a message."""
        topic = getattr(event, "topic", None)
        if topic is None or not self.is_about(topic):
            return
        match event:
            case MessagePublished(client_id, topic, payload, qos, retain):
                self._tell(
                    client_id, "in", "PUBLISH", {"topic": topic, "qos": qos, "retain": retain},
                    payload,
                )  # fmt: skip
            case MessageDelivered(client_id, topic, qos):
                self._tell(client_id, "out", "DELIVERED", {"topic": topic, "qos": qos})
            case MessageAcknowledged(client_id, topic, qos):
                self._tell(client_id, "in", "ACKNOWLEDGED", {"topic": topic, "qos": qos})
            case MessageRefused(client_id, topic, reason):
                self._tell(client_id, "in", "REFUSED", {"topic": topic, "reason": reason})

    def end(self) -> None:
        """There is nothing more to come."""
        self._send.close()

    def _packet(self, direction: Direction, packet: object) -> None:
        kind = type(packet).__name__.upper()
        payload: bytes | None = None
        details: dict[str, object]
        if isinstance(packet, Publish):
            names = ("topic", "qos", "retain", "dup", "packet_id", "properties")
            details = {name: _plain(getattr(packet, name)) for name in names}
            payload = b"" if packet.topic.startswith(_HIDDEN) else packet.payload
        elif isinstance(packet, AckRun):
            kind = packet.kind.name
            details = {"packet_ids": list(packet.packet_ids)}
        elif isinstance(packet, RefusedPublish):
            kind = "PUBLISH"
            details = {"topic": packet.topic, "qos": packet.qos, "refused": packet.reason}
        else:
            details = _details(packet)
        self._tell(self.client_id, direction, kind, details, payload)

    def _tell(
        self,
        client_id: str | None,
        direction: Direction,
        kind: str,
        details: dict[str, object],
        payload: bytes | None = None,
    ) -> None:
        entry = TraceEntry(
            at=time.time(),
            client_id=client_id,
            direction=direction,
            kind=kind,
            details=details,
            payload=None if payload is None else bytes(payload[: self._asked.payload]),
            size=None if payload is None else len(payload),
        )
        try:
            self._send.send_nowait(entry)
        except trio.WouldBlock:
            self.missed += 1


class _TopicFollower:
    """Hands what becomes of messages to a trace."""

    def __init__(self, trace: Trace) -> None:
        self.kinds: frozenset[type[BrokerEvent]] = frozenset(_OF_MESSAGES)
        self._trace = trace

    def tell(self, event: BrokerEvent) -> None:
        self._trace.event(event)

    def tell_published(self, client_id: str | None, batch: Published) -> None:
        for message in batch.messages:
            if self._trace.is_about(message.topic):  # most are not, and no event is made of them
                self._trace.event(kinds.message_published(client_id, message))

    def end(self) -> None:
        self._trace.end()


class Tracing:
    """The traces of one broker."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @contextmanager
    def trace(self, asked: TraceQuery) -> Iterator[Trace]:
        core = self._core
        if core.traces >= MOST:
            raise LocalProtocolError(f"{MOST} traces are running already: end one of them first.")
        core.traces += 1
        trace = Trace(asked)
        try:
            if asked.client_id is None:
                with core.event_streams.followed_by(_TopicFollower(trace)):
                    yield trace
            else:
                with (
                    core.event_streams.followed_by(EndsWithBroker(trace.end)),
                    self._client(asked, trace),
                ):
                    yield trace
        finally:
            core.traces -= 1
            trace.end()

    @contextmanager
    def _client(self, asked: TraceQuery, trace: Trace) -> Iterator[None]:
        core, key = self._core, session_key(asked.client_id or "", asked.mount_point)
        followers = core.traced.setdefault(key, [])
        followers.append(trace)
        link = self._link(key)
        if link is not None:
            link.observe().followers = followers
        try:
            yield
        finally:
            followers.remove(trace)
            if not followers:
                core.traced.pop(key, None)
            link = self._link(key)
            if link is not None:
                link.look_whether_observed()

    def _link(self, key: str) -> Link | None:
        session = self._core.sessions.get(key)
        return None if session is None else link_of(session)

    def follow(self, asked: EventQuery) -> AbstractContextManager[EventStream]:
        """Follow what happens."""
        names = {kind.__name__: kind for kind in kinds.ALL_KINDS}
        unknown = [name for name in asked.kinds if name not in names]
        if unknown:
            raise LocalProtocolError(f"There are no events of the kind {unknown[0]!r}.")
        wanted = [names[name] for name in asked.kinds] or sorted(
            kinds.ALL_KINDS - _LESS, key=lambda kind: kind.__name__
        )
        return self._core.event_streams.stream(wanted, asked.limit)


def _details(packet: object) -> dict[str, object]:
    """What a packet says, by its fields; never a password."""
    if not dataclasses.is_dataclass(packet):
        return {}
    found = {
        field.name: _plain(getattr(packet, field.name)) for field in dataclasses.fields(packet)
    }
    if isinstance(packet, Connect) and packet.password is not None:
        found["password"] = "(not shown)"  # noqa: S105 # which is none
    return found


def _plain(value: object) -> object:
    """A value as JSON has it; bytes are text where they are, else hexadecimal digits."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    if dataclasses.is_dataclass(value):
        return _details(value)
    if isinstance(value, dict):
        hidden = {"authentication_data"}
        return {key: "(not shown)" if key in hidden else _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return value
