"""What a person gets to see of a broker's traffic: every event while it is quiet, else a sample.

Sans-IO: what happened goes in with the time, lines come out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import trio_mqtt
from tmqtt.broker.library_log import Notice
from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape, escape_payload
from tmqtt.terminal.figures import counted, rate
from tmqtt.terminal.looks import Line, Part
from trio_mqtt.events import (
    BrokerEvent,
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    MessagePublished,
    Subscribed,
    Throttled,
    Unsubscribed,
)

# Lines in one second: more than that nobody reads.
MESSAGES_A_SECOND = 20
EVENTS_A_SECOND = 40
REFUSALS_A_SECOND = 20  # of their own: those who come and go hide none
# Of those, clients that are turned away: anybody can be one, and a log is not theirs to fill. What
# clients that are let in may not do, the library bounds in the same way.
TURNED_AWAY_A_MINUTE = 60
# Characters of a payload and of a client identifier or topic.
_PAYLOAD = 200
_NAME = 100
_SENTENCE = 1_000  # characters of what the library says
_RATE_SPAN = 5.0  # seconds over which rates are taken


# The kinds of events that are shown.
CLIENT_EVENTS = (
    ClientConnected,
    ClientRefused,
    ClientDisconnected,
    Subscribed,
    Unsubscribed,
    Throttled,
)
MESSAGES = (MessagePublished,)


class Traffic:
    """Turns a sample of a broker's events into lines, so many in a time; the rest it counts."""

    def __init__(self, started_at: float) -> None:
        self._second = self._minute = started_at
        self._messages = self._events = self._refusals = 0  # in this second
        self._turned_away = 0  # in this minute
        self._hidden_messages = self._hidden_events = self._hidden_refusals = 0

    @property
    def owes_a_count(self) -> bool:
        """Whether something was left out and not said yet."""
        return bool(self._hidden_messages or self._hidden_events or self._hidden_refusals)

    def room_for_messages(self, until: float) -> int:
        """How many messages can be shown of those that come before a time, in seconds."""
        if until - self._second >= 1.0:
            return MESSAGES_A_SECOND
        return MESSAGES_A_SECOND - self._messages

    def lines(
        self,
        events: Iterable[BrokerEvent | Notice],
        missed_messages: int,
        missed_events: int,
        now: float,
        time: Part,
        time_of_refusals: Part | None = None,
    ) -> list[Line]:
        """The lines for what happened since the last call.

        `missed_messages` and `missed_events` are those that the sample could not hold meanwhile.
        `now` is in seconds, `time` is how the lines begin; those of refusals may begin otherwise.
        """
        lines: list[Line] = []
        if now - self._minute >= 60.0:
            self._minute = now
            self._turned_away = 0
        if now - self._second >= 1.0:
            # Of refusals in their thousands not even the count is told each second.
            lines += self._counts(time, refusals=self._turned_away < TURNED_AWAY_A_MINUTE)
            self._second = now
            self._messages = self._events = self._refusals = 0
        self._hidden_messages += missed_messages
        self._hidden_events += missed_events
        for event in events:
            if isinstance(event, MessagePublished):
                if self._messages < MESSAGES_A_SECOND:
                    self._messages += 1
                    lines.append(_message_line(event, time))
                else:
                    self._hidden_messages += 1
            elif isinstance(event, (ClientRefused, Notice)):
                if self._has_room(event):
                    lines.append((time_of_refusals or time, *_refusal_parts(event)))
                else:
                    self._hidden_refusals += 1
            elif self._events < EVENTS_A_SECOND:
                self._events += 1
                lines.append((time, *_event_parts(event)))
            else:
                self._hidden_events += 1
        return lines

    def hide(self, events: Iterable[BrokerEvent | Notice]) -> None:
        """Count events without showing them: when they can be shown, their time is long over."""
        for event in events:
            if isinstance(event, MessagePublished):
                self._hidden_messages += 1
            elif isinstance(event, (ClientRefused, Notice)):
                self._hidden_refusals += 1
            else:
                self._hidden_events += 1

    def left_out(self, time: Part) -> list[Line]:
        """What was not shown since this was last said."""
        return self._counts(time, refusals=True)

    def _has_room(self, refusal: ClientRefused | Notice) -> bool:
        """Whether a refusal is shown; takes its place then."""
        turned_away = isinstance(refusal, ClientRefused)
        if self._refusals >= REFUSALS_A_SECOND:
            return False
        if turned_away and self._turned_away >= TURNED_AWAY_A_MINUTE:
            return False
        self._refusals += 1
        self._turned_away += turned_away
        return True

    def _counts(self, time: Part, *, refusals: bool) -> list[Line]:
        """What was not shown, those that were refused only if `refusals`."""
        counts = [
            (self._hidden_messages, "more message"),
            (self._hidden_events, "more client event"),
        ]
        self._hidden_messages = self._hidden_events = 0
        if refusals:
            counts.append((self._hidden_refusals, "more refusal"))
            self._hidden_refusals = 0
        return [
            (time, (f"… {counted(count, thing)} not shown", looks.NOTE))
            for count, thing in counts
            if count
        ]


def _message_line(message: MessagePublished, time: Part) -> Line:
    client_id = message.client_id
    notes = [f"QoS {message.qos}"] * (message.qos > 0) + ["retained"] * message.retain
    return (
        time,
        (_name(client_id) if client_id is not None else "the broker", looks.CLIENT),
        (" → ", looks.NOTE),
        (_name(message.topic), looks.TOPIC),
        (f" {escape_payload(message.payload, _PAYLOAD)}", looks.PLAIN),
        (f" ({', '.join(notes)})" if notes else "", looks.NOTE),
    )


def _event_parts(event: BrokerEvent) -> tuple[Part, ...]:
    match event:
        case ClientConnected():
            user = f", user {_name(event.username)}" if event.username else ""
            session = ", session resumed" if event.session_present else ""
            return (
                (_name(event.client_id), looks.CLIENT),
                (" connected", looks.GOOD),
                (
                    f" from {event.address}, MQTT {event.protocol_version}{user}{session}",
                    looks.NOTE,
                ),
            )
        case ClientDisconnected():
            return (
                (_name(event.client_id), looks.CLIENT),
                (" disconnected", looks.WARNING if event.reason else looks.PLAIN),
                (f": {_name(event.reason)}" if event.reason else "", looks.NOTE),
            )
        case Subscribed():
            return (
                (_name(event.client_id), looks.CLIENT),
                (" subscribed to ", looks.PLAIN),
                (_name(event.topic_filter), looks.TOPIC),
                (f" (QoS {event.qos})" if event.qos else "", looks.NOTE),
            )
        case Unsubscribed():
            return (
                (_name(event.client_id), looks.CLIENT),
                (" unsubscribed from ", looks.PLAIN),
                (_name(event.topic_filter), looks.TOPIC),
            )
        case Throttled():
            sends = event.direction == "in"
            how = "sends more than its rate" if sends else "is sent more than its rate"
            what = "it is read from more slowly" if sends else "its messages wait"
            return (
                (_name(event.client_id), looks.CLIENT),
                (f" {how}", looks.WARNING),
                (f": {what}", looks.NOTE),
            )
        case _:
            raise AssertionError(f"{event} is not shown, or has a line of its own")


def _refusal_parts(event: ClientRefused | Notice) -> tuple[Part, ...]:
    if isinstance(event, Notice):
        return ((_cut(event.text, _SENTENCE), looks.WARNING),)
    who = f"{_name(event.client_id)} at " if event.client_id else ""
    user = f", user {_name(event.username)}," if event.username else ""
    return (
        (f"{who}{event.address}", looks.CLIENT),
        (f"{user} turned away", looks.WARNING),
        (f": {_cut(event.reason, _SENTENCE)}", looks.NOTE),
    )


def _name(text: str) -> str:
    return _cut(text, _NAME)


def _cut(text: str, length: int) -> str:
    shown = escape(text[:length])
    return f"{shown}…" if len(text) > length else shown


class Rates:
    """Messages a second, in and out, over the last few seconds."""

    def __init__(self) -> None:
        self._moments: deque[tuple[float, int, int]] = deque()

    def update(self, received: int, sent: int, now: float) -> tuple[float, float]:
        """The rates now, from the totals; to be called several times a second."""
        moments = self._moments
        moments.append((now, received, sent))
        while len(moments) > 2 and now - moments[1][0] >= _RATE_SPAN:
            moments.popleft()
        then, received_then, sent_then = moments[0]
        span = now - then
        if span <= 0:
            return 0.0, 0.0
        return (received - received_then) / span, (sent - sent_then) / span

    def rest(self, received: int, sent: int, now: float) -> None:
        """Nothing has changed for longer than rates look back: they begin anew."""
        self._moments.clear()
        self._moments.append((now, received, sent))


def status_line(statistics: trio_mqtt.Statistics, incoming: float, outgoing: float) -> Line:
    """The broker's state in one line."""
    separator = (" · ", looks.NOTE)
    return (
        (counted(statistics.clients_connected, "client"), looks.STRONG),
        separator,
        (counted(statistics.subscriptions, "subscription"), looks.STRONG),
        separator,
        (f"{rate(incoming)}/s in, {rate(outgoing)}/s out", looks.STRONG),
        separator,
        (f"{counted(statistics.messages_received, 'message')} in all", looks.STRONG),
        *(
            (separator, (f"{statistics.messages_dropped:,} dropped", looks.WARNING))
            if statistics.messages_dropped
            else ()
        ),
    )
