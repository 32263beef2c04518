"""The broker's screen: what happens scrolls by above one line that says how things stand."""

from __future__ import annotations

import time
from collections import deque

import trio_mqtt
from tmqtt import looks, welcome
from tmqtt.escaping import escape
from tmqtt.looks import Line
from tmqtt.output import encoded
from tmqtt.running import Terminal
from tmqtt.traffic import Rates, Traffic, status_line

_CLEAR_LINE = "\r\x1b[2K"
_SENTENCES = 20  # kept until the next look


class Screen:
    """Shows a broker's traffic in a terminal, or line by line in a pipe.

    The broker pays for a bounded sample and for nothing else: a terminal that is slow is shown less
    often, and what it misses is counted.
    """

    def __init__(self, broker: trio_mqtt.Broker, terminal: Terminal) -> None:
        self._broker = broker
        self._output = terminal.output
        self._painter = looks.Painter() if self._output.is_terminal else None
        self._redraws = self._painter is not None and self._painter.can_redraw
        now = time.monotonic()
        self._traffic = Traffic(now)
        self._rates = Rates()
        self._missed_messages = 0
        self._missed_events = 0
        self._told: deque[tuple[str, str]] = deque(maxlen=_SENTENCES)
        # The totals at the last look, and whether all of them had been shown and rates were none:
        # then there is nothing to do until they change.
        self._state: tuple[int, ...] = ()
        self._at_rest = False
        # The status line as it stands on the screen.
        self._status: Line = ()

    def begin(self) -> None:
        """Say where the broker listens, and who may connect."""
        lines = welcome.lines_of(self._broker)
        if self._output.is_terminal:
            lines.append((("Ctrl-C stops it.", looks.NOTE),))
        self._draw(lines, ())

    def warn(self, text: str) -> None:
        """Show a warning with the next look."""
        self._told.append((f"Warning: {text}", looks.WARNING))

    def tell(self, text: str) -> None:
        """Show a sentence with the next look."""
        self._told.append((text, looks.NOTE))

    def tick(self, watch: trio_mqtt.Watch) -> None:
        """Show what is new. Called ten times a second."""
        if not self._output.idle:
            return  # the terminal is busy with what it got: it gets a summary later
        now = time.monotonic()
        statistics = self._broker.statistics
        received, sent = statistics.messages_received, statistics.messages_sent
        state = (
            received,
            sent,
            statistics.messages_dropped,
            statistics.clients_connected,
            statistics.subscriptions,
            watch.missed_events,
        )
        events = watch.take()
        if self._at_rest and not events and not self._told and state == self._state:
            self._rates.rest(received, sent, now)
            return
        self._state = state
        lines = self._new_lines(events, watch, now)
        status: Line = ()
        rates = (0.0, 0.0)
        if self._redraws:
            rates = self._rates.update(received, sent, now)
            status = status_line(statistics, *rates)
        self._at_rest = not any(rates) and not self._traffic.owes_a_count
        if lines or status != self._status:
            self._draw(lines, status)

    def end(self, watch: trio_mqtt.Watch) -> None:
        """Show what is left, and that the broker has stopped."""
        at = looks.clock()
        lines = self._new_lines(watch.take(), watch, time.monotonic())
        lines += self._traffic.left_out(at)
        lines.append((at, ("Stopped.", looks.STRONG)))
        self._draw(lines, ())

    def _new_lines(
        self, events: list[trio_mqtt.BrokerEvent], watch: trio_mqtt.Watch, now: float
    ) -> list[Line]:
        at = looks.clock()
        missed_messages, self._missed_messages = (
            watch.missed_messages - self._missed_messages,
            watch.missed_messages,
        )
        missed_events, self._missed_events = (
            watch.missed_events - self._missed_events,
            watch.missed_events,
        )
        lines: list[Line] = [(at, (escape(text), look)) for text, look in self._told]
        self._told.clear()
        return lines + self._traffic.lines(events, missed_messages, missed_events, now, at)

    def _draw(self, lines: list[Line], status: Line) -> None:
        painter = self._painter
        if painter is None:
            self._output.put(encoded("".join(f"{looks.plain(line)}\n" for line in lines)))
            return
        text = "".join(f"{painter.paint_within(line)}\n" for line in lines)
        if self._redraws:
            text = f"{_CLEAR_LINE}{text}"
            if status:
                text += painter.paint_within(status)
        self._status = status
        self._output.put(encoded(text))
