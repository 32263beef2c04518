"""What happens, in the log: by the standard logging module, one line for each event.

The loggers are `trio_mqtt.connections`, `.sessions`, `.subscriptions` and `.messages`; what access
refuses is in `trio_mqtt.access`. Records have what they are about as attributes, as far as there
is: `event`, `client_id`, `address`, `username`, `topic`, `qos`, `reason` and the like.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from trio_mqtt.broker.events.kinds import (
    BrokerEvent,
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    ConnectionOpened,
    MessageAcknowledged,
    MessageDelivered,
    MessagePublished,
    MessageRefused,
    MessagesDropped,
    Pinged,
    RetainedChanged,
    SessionEnded,
    SlowConsumer,
    Subscribed,
    SubscriptionRefused,
    Throttled,
    Unsubscribed,
    WillPublished,
    message_published,
)
from trio_mqtt.broker.log_lines import LogLines, shown
from trio_mqtt.broker.sources import source_of

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.published import Published
    from trio_mqtt.broker.timers import Timers

_connections = logging.getLogger("trio_mqtt.connections")
_sessions = logging.getLogger("trio_mqtt.sessions")
_subscriptions = logging.getLogger("trio_mqtt.subscriptions")
_messages = logging.getLogger("trio_mqtt.messages")
# Payloads are confidential: they are logged where this logger has a level of its own, not as all
# the others are.
PAYLOADS = logging.getLogger("trio_mqtt.messages.payloads")
_PAYLOAD = 200  # bytes of one that a line has


class _Way(NamedTuple):
    """How events of some kinds get into the log, with the lines that all of them have a minute."""

    logger: logging.Logger
    level: int
    kinds: tuple[type[BrokerEvent], ...]
    lines: int
    lines_of_one: int


# A fleet that comes back is listed whole; who comes and goes each second is not. Who was not let in
# can be anybody: the log is not theirs to fill.
_WAYS = (
    _Way(_connections, logging.INFO, (ClientConnected, ClientDisconnected), 1_000, 20),
    _Way(_connections, logging.INFO, (ClientRefused, Throttled), 60, 5),
    _Way(_connections, logging.DEBUG, (ConnectionOpened, Pinged), 1_000, 100),
    _Way(_sessions, logging.INFO, (SessionEnded,), 300, 5),
    _Way(_subscriptions, logging.INFO, (Subscribed, Unsubscribed, SubscriptionRefused), 1_000, 50),
    _Way(_messages, logging.WARNING, (SlowConsumer,), 60, 5),
    _Way(_messages, logging.INFO, (MessageRefused, MessagesDropped, WillPublished), 300, 5),
    _Way(
        _messages,
        logging.DEBUG,
        (MessagePublished, MessageDelivered, MessageAcknowledged, RetainedChanged),
        6_000,
        1_000,
    ),
)

_logs: WeakSet[EventLog] = WeakSet()


def levels_changed() -> None:
    """Have all brokers of this process look at once at the levels that their loggers have now."""
    for log in list(_logs):
        log.look()


class EventLog:
    """Follows the events of one broker as far as the loggers take them, and writes them there.

    Of others no event is made for it. Where levels are changed, that counts from the next `look`.
    """

    __slots__ = ("__weakref__", "_changed", "_lines", "_with_payloads", "kinds")

    def __init__(self, timers: Timers, changed: Callable[[], None]) -> None:
        """`changed` is called where other `kinds` are followed than before."""
        self._changed = changed
        self._lines: dict[type[BrokerEvent], tuple[_Way, LogLines[str]]] = {}
        for way in _WAYS:
            lines: LogLines[str] = LogLines(
                way.logger,
                way.level,
                timers,
                _summing_up(way),
                lines=way.lines,
                lines_of_one=way.lines_of_one,
            )
            self._lines.update(dict.fromkeys(way.kinds, (way, lines)))
        self.kinds: frozenset[type[BrokerEvent]] = frozenset()
        self._with_payloads = False
        _logs.add(self)

    def look(self) -> None:
        """Follow what the loggers take now."""
        self._with_payloads = logging.NOTSET < PAYLOADS.level <= logging.DEBUG
        kinds = frozenset(
            kind for way in _WAYS if way.logger.isEnabledFor(way.level) for kind in way.kinds
        )
        if kinds != self.kinds:
            self.kinds = kinds
            self._changed()

    def tell(self, event: BrokerEvent) -> None:
        """An event has happened (the broker says so)."""
        if getattr(event, "by_access", False):
            return  # the log has it, with the rule
        way, lines = self._lines[type(event)]
        verb, who, count = _about(event)
        if lines.take(who, verb, count):
            text = line_of(event)
            about = {"event": _as_field(verb), **_fields(event)}
            if self._with_payloads and isinstance(event, MessagePublished):
                about["payload"] = payload = bytes(event.payload[:_PAYLOAD])
                text = f"{text}: {payload!r}"
            way.logger.log(way.level, "%s", text, extra=about)

    def tell_published(self, client_id: str | None, batch: Published) -> None:
        """Messages were taken (the broker says so)."""
        _, lines = self._lines[MessagePublished]
        who = _named(client_id)
        if not lines.left_for(who):
            lines.take(who, "published", batch.count)
            return
        for message in batch.messages:
            self.tell(message_published(client_id, message))

    def end(self) -> None:
        """There is nothing more to come: what was left out is summed up now."""
        for _, lines in self._lines.values():
            lines.sum_up()


def _about(event: BrokerEvent) -> tuple[str, str, int]:
    """What has happened, who counts as one in the log, and for how many events it stands."""
    verb = _WORDS[type(event)][0]
    if isinstance(event, (ClientRefused, ConnectionOpened)):
        # Who has not been let in may call itself anything each time.
        return verb, source_of(event.address), 1
    count = event.count if isinstance(event, MessagesDropped) else 1
    if isinstance(event, RetainedChanged):
        return verb, "the broker", count
    return verb, _named(getattr(event, "client_id", None)), count


def _fields(event: BrokerEvent) -> dict[str, object]:
    """What an event is about, by the names that it has in records."""
    return {
        "topic" if name == "topic_filter" else name: getattr(event, name)
        for name in event.__dataclass_fields__  # type: ignore[attr-defined]
        if name not in ("by_access", "payload")
    }


def line_of(event: BrokerEvent) -> str:
    """What happened, in one line, whoever reads it."""
    return _WORDS[type(event)][1](event)


def _as_field(verb: str) -> str:
    return verb.replace(" ", "_")


def _named(client_id: str | None) -> str:
    return "the broker" if client_id is None else shown(client_id)


def _came(event: ClientConnected) -> str:
    user = "" if event.username is None else f", user {shown(event.username)}"
    session = ", session resumed" if event.session_present else ""
    version = event.protocol_version
    return f"{shown(event.client_id)} connected from {event.address}, MQTT {version}{user}{session}"


def _went(event: ClientDisconnected) -> str:
    reason = event.reason or "it said goodbye"
    return f"{shown(event.client_id)} ({event.address}) disconnected: {reason}"


def _turned_away(event: ClientRefused) -> str:
    user = "" if event.username is None else f", user {shown(event.username)}"
    who = "" if event.client_id is None else f"{shown(event.client_id)} at "
    return f"{who}{event.address}{user} was turned away: {event.reason}"


def _throttled(event: Throttled) -> str:
    if event.direction == "in":
        return f"{shown(event.client_id)} sends more than its rate: it is read from more slowly"
    return f"{shown(event.client_id)} is sent more than its rate: its messages wait"


def _published(event: MessagePublished) -> str:
    retained = ", retained" if event.retain else ""
    return (
        f"{_named(event.client_id)} published {len(event.payload):,} bytes to"
        f" {shown(event.topic)} at QoS {event.qos}{retained}"
    )


def _dropped(event: MessagesDropped) -> str:
    messages = "a message" if event.count == 1 else f"{event.count:,} messages"
    return f"{shown(event.client_id)} does not get {messages}: {event.reason}"


def _slow(event: SlowConsumer) -> str:
    how = "takes less than comes for it" if event.is_connected else "is away, and its queue is full"
    return (
        f"{shown(event.client_id)} {how}: {event.queued_messages:,} messages wait for it, of"
        f" {event.queued_bytes:,} bytes"
    )


def _refused(event: SubscriptionRefused) -> str:
    who, topic = shown(event.client_id), shown(event.topic_filter)
    return (
        f"{who} was refused to subscribe to {topic}: {event.reason or event.reason_code.sentence}"
    )


# What happened in a word, and in a line. What clients choose is quoted, so that it stays one line.
_WORDS: dict[type[BrokerEvent], tuple[str, Callable[[Any], str]]] = {
    ConnectionOpened: (
        "opened",
        lambda one: f"A connection from {one.address} was opened at {one.listener}",
    ),
    ClientConnected: ("connected", _came),
    ClientDisconnected: ("disconnected", _went),
    ClientRefused: ("turned away", _turned_away),
    Pinged: ("pinged", lambda one: f"{shown(one.client_id)} pinged"),
    Throttled: ("throttled", _throttled),
    SessionEnded: (
        "session ended",
        lambda one: f"The session of {shown(one.client_id)} ended: {one.reason}",
    ),
    Subscribed: (
        "subscribed",
        lambda one: (
            f"{shown(one.client_id)} subscribed to {shown(one.topic_filter)} at QoS {one.qos}"
        ),
    ),
    Unsubscribed: (
        "unsubscribed",
        lambda one: f"{shown(one.client_id)} unsubscribed from {shown(one.topic_filter)}",
    ),
    SubscriptionRefused: ("refused to subscribe", _refused),
    MessagePublished: ("published", _published),
    MessageRefused: (
        "refused to publish",
        lambda one: (
            f"{shown(one.client_id)} was refused to publish to {shown(one.topic)}: {one.reason}"
        ),
    ),
    MessageDelivered: (
        "delivered",
        lambda one: f"{shown(one.client_id)} was sent {shown(one.topic)} at QoS {one.qos}",
    ),
    MessageAcknowledged: (
        "acknowledged",
        lambda one: f"{shown(one.client_id)} acknowledged {shown(one.topic)}, QoS {one.qos}",
    ),
    MessagesDropped: ("dropped", _dropped),
    SlowConsumer: ("slow", _slow),
    WillPublished: (
        "will published",
        lambda one: f"The will of {shown(one.client_id)} was published to {shown(one.topic)}",
    ),
    RetainedChanged: (
        "retained",
        lambda one: (
            f"The retained message of {shown(one.topic)} {'went' if one.removed else 'came'}"
        ),
    ),
}


def _summing_up(way: _Way) -> Callable[[int, list[tuple[str, str, int]], set[str]], None]:
    """What writes how much a minute's lines have left out."""

    def sum_up(left_out: int, most: list[tuple[str, str, int]], verbs: set[str]) -> None:
        named = "; ".join(f"{who} {verb}: {count:,}" for who, verb, count in most)
        event = _as_field(next(iter(verbs))) if len(verbs) == 1 else None
        way.logger.log(
            way.level,
            "%s more in the last minute are not shown. Most of them: %s",
            f"{left_out:,}",
            named,
            extra={"event": event, "count": left_out},
        )

    return sum_up
